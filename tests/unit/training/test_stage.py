"""The stage `train` in one process: artifacts, exact resumption, interruption, refusals."""

import json
import shutil
import signal
import time

import pytest
import structlog
import torch
from eventually import PATIENCE_S
from safetensors.torch import load_file
from tiny_training import World

from touge.alpamayo.inputs.prompt import prompt_hash
from touge.alpamayo.weights import checkpoint, lora
from touge.contract.artifacts import StageRef
from touge.contract.errors import CheckpointError, DataError, Interrupted, SettingsError, TougeError
from touge.contract.recipe import Train
from touge.storage.execution import committed, newest_checkpoint, read_progress
from touge.training import stage
from touge.training.metrics import idle_share, read_rows
from touge.training.weights import vision_is_frozen

pytestmark = pytest.mark.slow

TENSORS = "shard-00001-model-00001-of-00001.safetensors"
WEIGHTS = {"lora": "adapter/adapter_model.safetensors", "full": "checkpoint/model.safetensors"}


def trained(context):
    """Run the stage, commit, and return the folder of its artifact."""
    context.execution.commit(stage.run(context))
    return committed(context.store, StageRef(context.stage.id)).fetch(context.scratch / "artifact")


def weights(folder):
    return load_file(next(folder / name for name in WEIGHTS.values() if (folder / name).is_file()))


def assert_equal(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def history(folder):
    """Return the metrics of every step, without times."""
    timeless = {"time_us", "samples_per_second", "idle_share"}
    return [row.model_dump(exclude=timeless) for row in read_rows(folder / "metrics.jsonl")]


def saved_steps(context):
    marks = (info.key for info in context.store.list(context.execution.prefix) if info.key.endswith("manifest.json"))
    return [int(key.split("/step-")[1].split("/")[0]) for key in marks if "/step-" in key]


def interrupted(world, plan, step, execution="tiny-1-1-a", asked=None):
    """Run the stage until it stops after a step: it asks once a step, and before these once for vision features."""
    with pytest.raises(Interrupted, match=f"stopped after step {step};"):
        stage.run(world.context(plan, execution, stop_after=step + 1 if asked is None else asked))


def test_lora_leaves_an_adapter_that_fits_the_base(world, base):
    world.curate()
    plan = world.plan()

    folder = trained(world.context(plan))

    model, _ = checkpoint.load(base)
    assert lora.load_adapter(model, folder / "adapter", base_digest=plan.base.digest).rank == 4
    assert all(tensor.any() for name, tensor in weights(folder).items() if "lora_B" in name)


def test_full_training_leaves_a_checkpoint_of_its_own(world, base):
    world.curate()

    folder = trained(world.context(world.plan(method="full")))

    before = checkpoint.load(base)[0].state_dict()
    after = checkpoint.load(folder / "checkpoint")[0].state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if not name.endswith(checkpoint.REBUILT)}


def test_a_training_learns_its_windows(world):
    world.curate(count=2)

    first, *_, last = history(
        trained(world.context(world.plan(steps=40, method="full", learning_rate=3e-3, checkpoint_every=99)))
    )

    assert last["loss"] < first["loss"] / 2
    assert last["reasoning"] < first["reasoning"] / 2


def test_the_artifact_tells_how_the_training_went(world):
    world.curate(changes={0: {"split": "test"}})
    plan = world.plan(steps=3)
    context = world.context(plan)

    folder = trained(context)

    summary = json.loads((folder / "training.json").read_text())
    adapters = sum(tensor.numel() for tensor in weights(folder).values())
    assert summary == committed(context.store, StageRef(context.stage.id)).manifest.metadata
    assert (summary["schema"], summary["method"], summary["model"]) == ("touge.training/1", "lora", "adapter")
    assert (summary["base"], summary["prompt"], summary["steps"]) == (plan.base.digest, prompt_hash(), 3)
    assert summary["samples"] == {"train": 7, "wordless": 0, "base_words": 0}
    assert summary["parameters"]["trained"] == adapters < summary["parameters"]["all"]
    assert [0, 1, 2] == [row["step"] for row in history(folder)]
    assert summary["last"]["loss"] == history(folder)[-1]["loss"]
    assert summary["idle_share"] == idle_share(read_rows(folder / "metrics.jsonl"))
    assert len(list((folder / "tensorboard").iterdir())) == 1


@pytest.mark.parametrize("tainted", [False, True])
def test_tainted_data_taints_the_artifact(world, tainted):
    world.curate(count=4, tainted=tainted)

    assert stage.run(world.context(world.plan(steps=1)))["tainted"] is tainted


def test_a_trajectory_without_weight_leaves_the_expert_alone(world):
    world.curate(count=4)

    after = weights(trained(world.context(world.plan(steps=2, loss={"trajectory": 0}))))

    assert not any(tensor.any() for name, tensor in after.items() if "expert" in name and "lora_B" in name)
    assert all(tensor.any() for name, tensor in after.items() if "vlm" in name and "lora_B" in name)


def test_tokens_without_weight_have_no_loss_in_the_metrics(world):
    world.curate(count=4)

    rows = history(trained(world.context(world.plan(steps=2, loss={"trajectory_tokens": 0}))))

    assert [None, None] == [row["trajectory_tokens"] for row in rows]
    assert all(row["reasoning"] > 0 for row in rows)


def test_the_average_is_what_is_saved(world):
    world.curate(count=4)

    last = weights(trained(world.context(world.plan())))
    average = weights(trained(world.context(world.plan(averaging=0.9))))

    assert last.keys() == average.keys()
    assert not any(torch.equal(last[name], average[name]) for name in last)


def test_progress_ends_complete(world):
    world.curate(count=4)
    context = world.context(world.plan())

    stage.run(context)

    progress = read_progress(context.store, StageRef(context.stage.id), context.execution.name)
    assert (progress.done, progress.total, progress.unit) == (4, 4, "step")
    assert progress.metrics["loss"] > 0


RESUMED = [
    {},
    {"averaging": 0.9, "lora": {"rank": 4, "dropout": 0.3}},
    {"gradient_accumulation": 2, "lora": {"rank": 4, "vision": "all-linear"}},
    {"method": "full", "averaging": 0.5},
    {"method": "qlora", "lora": {"rank": 4, "variant": "dora", "action_projections": ["action_out_proj"]}},
]


@pytest.mark.parametrize("train", RESUMED, ids=json.dumps)
def test_a_training_that_is_interrupted_twice_ends_with_the_bits_of_an_uninterrupted_one(tmp_path, base, train):
    whole, parts = (World(tmp_path / name, base) for name in ("whole", "parts"))
    for world in (whole, parts):
        world.curate(count=5)
    expected = trained(whole.context(whole.plan(steps=6, **train)))
    plan = parts.plan(steps=6, **train)

    cached = vision_is_frozen(Train.model_validate(plan.stage("train").section["train"]))
    interrupted(parts, plan, 1, "tiny-1-1-a", asked=1 + cached)
    interrupted(parts, plan, 5, "tiny-1-2-b", asked=4 + cached)
    found = trained(parts.context(plan, "tiny-1-3-c"))

    assert_equal(weights(found), weights(expected))
    assert history(found) == history(expected)


def test_a_stop_before_the_first_step_leaves_no_checkpoint(world):
    world.curate(count=4)
    context = world.context(world.plan(), stop_after=0)

    with pytest.raises(Interrupted, match="stopped after step 0"):
        stage.run(context)

    assert newest_checkpoint(context.store, StageRef(context.stage.id)) is None


def test_the_two_newest_checkpoints_are_kept_and_none_of_the_last_step(world):
    world.curate(count=4)
    context = world.context(world.plan(steps=4, checkpoint_every=1))

    stage.run(context)

    assert saved_steps(context) == [2, 3]


def test_where_the_newest_checkpoint_is_incomplete_the_one_before_it_is_used(tmp_path, base):
    whole, parts = (World(tmp_path / name, base) for name in ("whole", "parts"))
    for world in (whole, parts):
        world.curate(count=4)
    expected = trained(whole.context(whole.plan()))
    plan = parts.plan()
    interrupted(parts, plan, 3)
    context = parts.context(plan, "tiny-1-2-b")
    newest = newest_checkpoint(context.store, StageRef(context.stage.id))
    context.store.put(newest.artifact.prefix + "metrics.jsonl", b"cut")

    assert newest.step == 3
    assert newest_checkpoint(context.store, StageRef(context.stage.id)).step == 2
    assert_equal(weights(trained(context)), weights(expected))


def test_a_checkpoint_whose_content_changed_is_refused_with_what_to_remove(world):
    world.curate(count=4)
    plan = world.plan()
    interrupted(world, plan, 3)
    context = world.context(plan, "tiny-1-2-b")
    key = newest_checkpoint(context.store, StageRef(context.stage.id)).artifact.prefix + TENSORS
    content = context.store.get(key)
    context.store.put(key, content[:-4] + b"\xff\xff\xff\xff")

    with pytest.raises(CheckpointError, match=r"step 3 is damaged.*sha256.*Remove \S+step-00000003/ and submit again"):
        stage.run(context)


def test_a_checkpoint_of_another_training_is_refused(world):
    world.curate(count=4)
    plan, other = world.plan(), world.plan(lora={"rank": 2, "alpha": 8})
    interrupted(world, plan, 1)
    stages = world.root / "store" / "stages"
    shutil.copytree(stages / plan.stage("train").id, stages / other.stage("train").id)

    with pytest.raises(CheckpointError, match="step 1 is of another training"):
        stage.run(world.context(other))


def test_a_loss_that_is_no_number_names_its_samples_and_keeps_the_last_checkpoint(world):
    world.curate(count=4)
    context = world.context(world.plan(learning_rate=1e30, checkpoint_every=1))

    with pytest.raises(TougeError, match=r"(?s)step 1: loss nan.*Samples: drive@\d, drive@\d\..*checkpoint is kept"):
        stage.run(context)

    assert saved_steps(context) == [1]
    assert newest_checkpoint(context.store, StageRef(context.stage.id)).step == 1


def test_weights_that_are_no_numbers_any_more_are_not_saved(world):
    world.curate(count=4)
    context = world.context(world.plan(learning_rate=1e39, checkpoint_every=1))

    with pytest.raises(TougeError, match=r"step 0 left weights that are not finite.*last checkpoint is kept"):
        stage.run(context)

    assert saved_steps(context) == []


def test_a_number_of_processes_that_cannot_make_the_planned_batch_is_refused(world):
    world.curate(count=4)

    with pytest.raises(SettingsError, match=r"1 processes take 2 samples at a time; the plan says 7.*TOUGE_PROCESSES"):
        stage.run(world.context(world.plan(global_batch=7)))


def test_fewer_processes_than_planned_make_its_batch_in_more_parts(tmp_path, base):
    planned, fewer = (World(tmp_path / name, base) for name in ("planned", "fewer"))
    for world in (planned, fewer):
        world.curate(count=4)

    expected = trained(planned.context(planned.plan(gradient_accumulation=4)))

    assert_equal(weights(trained(fewer.context(fewer.plan(global_batch=8)))), weights(expected))


def test_the_planned_number_of_processes_is_accepted(world):
    world.curate(count=4)

    assert stage.run(world.context(world.plan(steps=1, global_batch=2)))["steps"] == 1


def test_qlora_says_what_4_bits_cost_and_leaves_an_adapter_for_the_full_base(world, base):
    world.curate(count=4)
    plan = world.plan(method="qlora", steps=8)

    folder = trained(world.context(plan))

    summary = json.loads((folder / "training.json").read_text())
    cost = summary["quantisation"]
    model, _ = checkpoint.load(base)
    assert cost["windows"] == 4
    assert cost["base"]["cross_entropy"] != cost["nf4"]["cross_entropy"]
    assert cost["base"] == pytest.approx(cost["nf4"], rel=0.2)
    assert 0 < cost["apart"] < cost["nf4"]["ade"]
    adapters = sum(tensor.numel() for tensor in weights(folder).values())
    assert summary["parameters"]["all"] == sum(p.numel() for p in model.parameters()) + adapters
    assert history(folder)[-1]["loss"] < history(folder)[0]["loss"]
    assert lora.load_adapter(model, folder / "adapter", base_digest=plan.base.digest).rank == 4


def test_what_4_bits_cost_is_told_before_the_first_step(world):
    world.curate(count=4)
    context = world.context(world.plan(method="qlora"))

    with structlog.testing.capture_logs() as logs:
        stage.run(context)

    told = [line["event"] for line in logs]
    assert told.index("base in 4 bits") < told.index("training")
    assert {"base", "nf4", "apart", "windows"} <= logs[told.index("base in 4 bits")].keys()


def test_a_section_that_is_no_training_is_refused(world):
    plan = world.plan()
    plan.stage("train").section["train"]["stepps"] = 3

    with pytest.raises(SettingsError, match="did you mean `steps`"):
        stage.run(world.context(plan))


def test_a_damaged_frame_is_refused(world):
    world.curate()
    shard = next((world.root / "store").rglob("*.tar"))
    content = bytearray(shard.read_bytes())
    content[600] ^= 255  # inside the first picture
    shard.write_bytes(content)

    with pytest.raises(DataError, match=r"images-00000\.tar#0-0\.jpg: content differs"):
        stage.run(world.context(world.plan(steps=8)))


def test_a_row_that_is_no_sample_is_refused(world):
    world.curate(changes={2: {"schema": "touge.sample/2"}})

    with pytest.raises(DataError, match=r"1 rows are no touge\.sample/1:\s+- line 3"):
        stage.run(world.context(world.plan()))


def test_a_data_set_without_a_training_row_is_refused(world):
    world.curate(count=2, changes={0: {"split": "test"}, 1: {"split": "validation"}})

    with pytest.raises(DataError, match="nothing to train on"):
        stage.run(world.context(world.plan()))


def test_a_data_set_that_is_not_committed_is_refused(world):
    with pytest.raises(DataError, match="curate-0 is not committed"):
        stage.run(world.context(world.plan()))


def test_a_base_whose_weights_are_of_another_architecture_is_refused(tmp_path, base):
    shutil.copytree(base, tmp_path / "other")
    config = json.loads((base / "config.json").read_text())
    config["expert_cfg"]["intermediate_size"] += 16
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    world = World(tmp_path, tmp_path / "other")
    world.curate(count=2)

    with pytest.raises(CheckpointError, match="of another shape"):
        stage.run(world.context(world.plan()))


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_a_truncated_base_is_refused_before_a_step_is_spent(tmp_path, base, method):
    shutil.copytree(base, tmp_path / "base")
    path = tmp_path / "base" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    world = World(tmp_path, tmp_path / "base")
    world.curate(count=2)
    context = world.context(world.plan(method=method))

    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged or truncated"):
        stage.run(context)
    assert read_progress(context.store, StageRef(context.stage.id), context.execution.name) is None


def test_a_base_that_changed_since_the_plan_is_refused(tmp_path, base):
    shutil.copytree(base, tmp_path / "base")
    world = World(tmp_path, tmp_path / "base")
    world.curate(count=2)
    plan = world.plan()
    (tmp_path / "base" / "config.json").write_text("{}")

    with pytest.raises(CheckpointError, match="changed since the plan"):
        stage.run(world.context(plan))


def test_a_real_process_that_is_told_to_stop_leaves_a_checkpoint_and_ends_with_31(world, start):
    world.curate()
    plan = world.plan(steps=100_000, checkpoint_every=100_000)
    context = world.context(plan, "tiny-1-1-a")
    process = start(world.environ(plan, "a"))
    while read_progress(context.store, StageRef(context.stage.id), context.execution.name) is None:
        assert process.poll() is None, "it ended by itself"
        time.sleep(0.05)

    process.send_signal(signal.SIGTERM)

    assert process.wait(PATIENCE_S) == 31
    step = newest_checkpoint(context.store, StageRef(context.stage.id)).step
    assert step >= 1
    assert f"stopped after step {step};" in (world.root / "message-a").read_text()
    interrupted(world, plan, step + 2, "tiny-1-2-b", asked=3)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_economies_train_the_same_weights(world, method):
    world.curate(changes={2: {"reasoning": None}})
    wishes = {"recompute": 1, "columns": 16, "rounded_adapters": True, "on_host": method == "lora"}
    plain = weights(trained(world.context(world.plan(method=method, steps=2))))

    frugal = weights(trained(world.context(world.plan(method=method, steps=2, economy=wishes))))

    assert frugal.keys() == plain.keys()
    for name, tensor in plain.items():
        torch.testing.assert_close(frugal[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_the_log_tells_the_economy_before_the_first_step(world):
    world.curate(count=2)
    context = world.context(world.plan(steps=1, economy={"recompute": 2}))
    with structlog.testing.capture_logs() as logs:
        stage.run(context)

    events = [line["event"] for line in logs]
    told = logs[events.index("economy")]
    assert events.index("economy") < events.index("training")
    assert (told["recompute"], told["compiler"], told["gpu_gib"]) == (2, "", None)


def test_another_light_trains_other_weights_and_is_the_same_after_an_interruption(world):
    world.curate(count=4)
    light = {"brightness": 0.3, "gamma": 0.5}
    lit, again = world.plan(augmentation=light), world.plan(augmentation=light, checkpoint_every=99)

    plain = weights(trained(world.context(world.plan())))
    whole = weights(trained(world.context(lit)))
    interrupted(world, again, step=2, asked=2)
    resumed = weights(trained(world.context(again, "tiny-1-2-b")))

    assert any(not torch.equal(plain[name], whole[name]) for name in plain)
    assert_equal(resumed, whole)
