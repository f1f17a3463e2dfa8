"""What a training leaves, and what it begins with: read back as it was, or refused with what to do."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file
from tiny_training import World

from touge.alpamayo.inputs.prompt import prompt_hash
from touge.alpamayo.weights import checkpoint, lora
from touge.contract.errors import CheckpointError
from touge.training import stage


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, base):
    """Train an adapter; return its folder and the digest of its base."""
    world = World(tmp_path_factory.mktemp("trained"), base)
    world.curate(count=2)
    plan = world.plan(steps=1)
    context = world.context(plan)
    stage.run(context)
    return world.root / "store" / context.execution.prefix / "adapter", plan.base.digest


@pytest.fixture
def copied(adapter, tmp_path):
    return shutil.copytree(adapter[0], tmp_path / "adapter")


def load(model, folder, adapter):
    return lora.load_adapter(model, folder, base_digest=adapter[1])


def change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_adapter_says_which_prompt_it_was_trained_with(adapter):
    assert json.loads((adapter[0] / "touge.json").read_text())["prompt"] == prompt_hash()


def test_an_adapter_that_was_asked_otherwise_is_refused(model, adapter, copied):
    change(copied / "touge.json", prompt="0123456789abcdef")

    with pytest.raises(CheckpointError, match=rf"trained on prompt 0123456789ab…, this is {prompt_hash()[:12]}"):
        load(model, copied, adapter)


def test_an_adapter_of_another_base_is_refused(model, adapter, copied):
    with pytest.raises(CheckpointError, match="trained on base"):
        lora.load_adapter(model, copied, base_digest="0" * 64)


@pytest.mark.parametrize("sidecar", ["", "[]", '{"base": 1}', None])
def test_an_adapter_without_its_sidecar_is_refused(model, adapter, copied, sidecar):
    (copied / "touge.json").unlink()
    if sidecar is not None:
        (copied / "touge.json").write_text(sidecar)

    with pytest.raises(CheckpointError):
        load(model, copied, adapter)


@pytest.mark.parametrize("described", [{}, {"rank": 4, "alpha": 8, "depth": 1}, 7])
def test_a_sidecar_that_describes_no_adapter_is_refused(model, adapter, copied, described):
    change(copied / "touge.json", adapter=described)

    with pytest.raises(CheckpointError, match="no adapter of ours"):
        load(model, copied, adapter)


def test_an_adapter_that_is_cut_off_is_refused(model, adapter, copied):
    path = copied / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(CheckpointError, match="damaged"):
        load(model, copied, adapter)


@pytest.mark.parametrize("how", ["other rank", "one missing", "one more"])
def test_an_adapter_that_does_not_fit_is_refused_before_it_is_loaded(model, adapter, copied, how):
    path = copied / "adapter_model.safetensors"
    weights = load_file(path)
    name = min(weights)
    match how:
        case "other rank":
            weights[name] = weights[name][:2].clone()
        case "one missing":
            del weights[name]
        case "one more":
            weights[name + "_more"] = weights[name].clone()
    save_file(weights, path)

    with pytest.raises(CheckpointError, match="does not fit the model: expert"):
        load(model, copied, adapter)


@pytest.mark.parametrize("text", ["", "{}", "[1]"])
def test_a_base_with_a_broken_tokenizer_is_refused(base, tmp_path, text):
    folder = shutil.copytree(base, tmp_path / "base")
    (folder / "tokenizer.json").write_text(text)

    with pytest.raises(CheckpointError, match=r"tokenizer\.json is no tokenizer"):
        checkpoint.load(folder)


@pytest.mark.parametrize("text", ["{}", '{"weight_map": []}', "no json"])
def test_a_base_with_a_broken_index_is_refused(base, tmp_path, text):
    folder = shutil.copytree(base, tmp_path / "base")
    (folder / "model.safetensors.index.json").write_text(text)

    with pytest.raises(CheckpointError, match=r"index\.json"):
        checkpoint.load(folder)
