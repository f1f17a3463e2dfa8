"""Merged and exported models: what they compute, where they say they come from, what is refused."""

import json
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace

import pytest
import torch
from alive import Alive
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file

from touge.alpamayo.__main__ import main
from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.weights import checkpoint, lora, release
from touge.alpamayo.weights.release import export_adapter, export_checkpoint, identity, merge
from touge.alpamayo.weights.shards import INDEX, Shards
from touge.contract.errors import CheckpointError, SettingsError
from touge.storage.inventory import resolve_model

ADAPTER = lora.Adapter(rank=4, alpha=8, vision=("qkv",), action_projections="all-linear")
LIMIT = 40_000


@pytest.fixture
def base(config_and_tokenizer, tmp_path):
    """A base whose weights are bfloat16, in several files."""
    config, tokenizer = config_and_tokenizer
    torch.manual_seed(0)
    model = AlpamayoR1(AlpamayoConfig.parse(config.raw | {"model_dtype": "bfloat16"}), torch.bfloat16)
    checkpoint.save(model, tokenizer, tmp_path / "base", limit=LIMIT)
    (tmp_path / "base" / "LICENSE").write_text("terms")
    (tmp_path / "base" / "modeling.py").write_text("import os")
    return tmp_path / "base"


def tuned(base, folder, settings=ADAPTER, *, four_bit=False):
    """Write an adapter with something to say; return the model that it was made on."""
    model, _ = checkpoint.load(base, dtype=torch.bfloat16, four_bit=four_bit)
    lora.inject(model, settings)
    dice = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "magnitude" in name:
            noise = torch.randn(parameter.shape, generator=dice) * 0.05
            parameter.data = parameter.data + noise.to(parameter.dtype)
    lora.save_adapter(model, settings, folder, base_digest=identity(base))
    return model


def merged_by_peft(base, adapter):
    """Return the weights that PEFT's own merge leaves."""
    model, _ = checkpoint.load(base, dtype=torch.bfloat16)
    lora.load_adapter(model, adapter, base_digest=identity(base))
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}
    for layer in layers.values():
        layer.merge()
    for name, layer in layers.items():
        model.set_submodule(name, layer.get_base_layer())
    return model.state_dict()


@pytest.mark.parametrize("variant", lora.VARIANTS)
def test_a_merge_equals_peft_s_own(base, tmp_path, variant):
    settings = lora.Adapter(rank=4, alpha=8, variant=variant, action_projections="all-linear")
    tuned(base, tmp_path / "adapter", settings)

    merge(base, tmp_path / "adapter", tmp_path / "out", limit=LIMIT)

    found = checkpoint.load(tmp_path / "out", dtype=torch.bfloat16)[0].state_dict()
    expected = merged_by_peft(base, tmp_path / "adapter")
    before = checkpoint.load(base, dtype=torch.bfloat16)[0].state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=2**-8, atol=1e-6)  # one step of bfloat16
    changed = {name.removesuffix(".weight") for name in found if not found[name].equal(before[name])}
    assert changed == {name for name in changed if name.split(".")[-1] in lora.DECODER_LINEARS or "action" in name}
    assert len(changed) == 2 * 2 * 7 + 6


def test_an_adapter_of_4_bits_is_merged_into_the_full_base(base, tmp_path):
    tuned(base, tmp_path / "adapter", four_bit=True)

    merge(base, tmp_path / "adapter", tmp_path / "out")

    expected = merged_by_peft(base, tmp_path / "adapter")
    for name, tensor in checkpoint.load(tmp_path / "out", dtype=torch.bfloat16)[0].state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=2**-8, atol=1e-6)


@torch.no_grad()
def test_a_merged_model_computes_what_base_and_adapter_do(base, tmp_path, encoder, window):
    model = tuned(base, tmp_path / "adapter")
    merge(base, tmp_path / "adapter", tmp_path / "out")
    merged, _ = checkpoint.load(tmp_path / "out", dtype=torch.bfloat16)
    batch = encoder.collate([encoder.training(window(1))])
    noise, time = torch.randn(1, 2, *model.config.action_shape), torch.rand(1, 2)

    apart, together = model.losses(batch, noise, time), merged.losses(batch, noise, time)

    torch.testing.assert_close(together.nll, apart.nll, rtol=0.05, atol=0.05)
    torch.testing.assert_close(together.flow, apart.flow, rtol=0.05, atol=0.05)


def test_a_merge_keeps_names_types_and_licence_of_the_base_and_leaves_code(base, tmp_path):
    tuned(base, tmp_path / "adapter")

    merge(base, tmp_path / "adapter", tmp_path / "out", limit=LIMIT)

    assert Shards.open(tmp_path / "out").specs == Shards.open(base).specs
    others = {path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".safetensors"}
    assert others == {"config.json", "tokenizer.json", "LICENSE", INDEX, "touge.json"}
    assert (tmp_path / "out" / "config.json").read_bytes() == (base / "config.json").read_bytes()


def test_a_merge_says_where_it_comes_from(base, tmp_path):
    tuned(base, tmp_path / "adapter")

    said = merge(base, tmp_path / "adapter", tmp_path / "out")

    stated = json.loads((tmp_path / "out" / "touge.json").read_text())
    assert stated["base"] == resolve_model(f"file://{base}").digest
    assert stated["adapter"] == resolve_model(f"file://{tmp_path}/adapter").digest
    assert stated["settings"]["rank"] == 4
    assert said == stated | {"digest": resolve_model(f"file://{tmp_path}/out").digest}


def test_a_hub_s_snapshot_is_known_by_its_commit(base, tmp_path):
    commit = "22fab1399111f50b52bfbe5d8b809f39bd4c2fe1"
    snapshot = shutil.copytree(base, tmp_path / "snapshots" / commit)
    (tmp_path / "link").symlink_to(snapshot)

    assert identity(snapshot) == identity(tmp_path / "link") == commit


def test_a_merge_holds_a_few_tensors_at_a_time(base, tmp_path):
    tuned(base, tmp_path / "adapter")
    largest = max(spec.size for spec in Shards.open(base).specs.values())
    total = sum(spec.size for spec in Shards.open(base).specs.values())

    with Alive() as alive:
        merge(base, tmp_path / "adapter", tmp_path / "out", limit=LIMIT)

    assert alive.peak <= 4 * largest < total


def test_an_adapter_of_another_base_is_refused_and_nothing_is_left(base, tmp_path):
    tuned(base, tmp_path / "adapter")

    with pytest.raises(CheckpointError, match="trained on base"):
        merge(base, tmp_path / "adapter", tmp_path / "out", base_digest="0" * 64)
    assert not (tmp_path / "out").exists()


def test_an_adapter_that_does_not_fit_is_refused(base, tmp_path):
    tuned(base, tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    weights = load_file(path)
    del weights[min(weights)]
    save_file(weights, path)

    with pytest.raises(CheckpointError, match="does not fit the model: action_in_proj"):
        merge(base, tmp_path / "adapter", tmp_path / "out")


def test_of_what_fails_midway_nothing_is_left(tmp_path):
    def write():
        with release._new(tmp_path / "out", {}) as folder:
            (folder / "config.json").write_text("{}")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_what_the_reference_loads(base, tmp_path):
    said = export_checkpoint(base, tmp_path / "out", limit=LIMIT)

    index = json.loads((tmp_path / "out" / INDEX).read_text())
    names = {name for file in set(index["weight_map"].values()) for name in load_file(tmp_path / "out" / file)}
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert names == set(index["weight_map"])
    assert {"vlm", "expert", "action_in_proj", "action_out_proj", "action_space"} == {n.split(".")[0] for n in names}
    assert not any("rotary" in name or ("embed_tokens" in name and "expert" in name) for name in names)
    assert config["model_type"] == "alpamayo_r1"
    assert not (tmp_path / "out" / "tokenizer.json").exists()
    assert said["source"] == identity(base)


def test_an_export_has_names_and_shapes_of_the_reference_s_own_files(tmp_path, golden_case):
    export_checkpoint(golden_case, tmp_path / "out")

    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path / "out", golden_case))
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(tensor) for name, tensor in theirs.items())
    assert json.loads((tmp_path / "out/config.json").read_text()) == json.loads(
        (golden_case / "config.json").read_text()
    )


def test_weights_of_another_type_are_exported_in_the_stated_one(base, tmp_path):
    for path in base.glob("*.safetensors"):
        save_file({name: tensor.float() for name, tensor in load_file(path).items()}, path)

    export_checkpoint(base, tmp_path / "out")

    kinds = {name: spec.dtype for name, spec in Shards.open(tmp_path / "out").specs.items()}
    assert {torch.bfloat16} == {kind for name, kind in kinds.items() if not name.endswith(checkpoint.REBUILT)}


@torch.no_grad()
@pytest.mark.parametrize("variant", lora.VARIANTS)
def test_an_exported_adapter_is_read_by_a_stock_peft_model_and_names_its_base(base, tmp_path, encoder, window, variant):
    model = tuned(base, tmp_path / "adapter", replace(ADAPTER, variant=variant))
    export_adapter(tmp_path / "adapter", tmp_path / "out", base_name="nvidia/Alpamayo-R1-10B")
    batch = encoder.collate([encoder.training(window(1))])
    noise, time = torch.randn(1, 2, *model.config.action_shape), torch.rand(1, 2)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stock = PeftModel.from_pretrained(checkpoint.load(base, dtype=torch.bfloat16)[0], str(tmp_path / "out"))

    assert stock.peft_config["default"].base_model_name_or_path == "nvidia/Alpamayo-R1-10B"
    found = stock.base_model.model.losses(batch, noise, time)
    torch.testing.assert_close(found.flow, model.losses(batch, noise, time).flow, rtol=0, atol=0)


@torch.no_grad()
def test_an_adapter_in_bfloat16_is_read_back_in_it(base, tmp_path, encoder, window):
    settings = replace(ADAPTER, variant="dora", dtype="bfloat16")
    model = tuned(base, tmp_path / "adapter", settings)
    again, _ = checkpoint.load(base, dtype=torch.bfloat16)

    assert lora.load_adapter(again, tmp_path / "adapter", base_digest=identity(base)) == settings

    adapters = {name: p for name, p in again.named_parameters() if lora.is_adapter(name)}
    own = dict(model.named_parameters())
    assert {torch.bfloat16} == {p.dtype for p in adapters.values()}
    assert all(p.equal(own[name].to(p.dtype)) for name, p in adapters.items())


def test_a_folder_that_is_there_is_not_written_to(base, tmp_path):
    with pytest.raises(SettingsError, match="is there already"):
        export_checkpoint(base, tmp_path)


def test_the_command_merges_and_prints_the_digest(base, tmp_path, capsys):
    tuned(base, tmp_path / "adapter")

    code = main(["merge", "--base", f"{base}", "--adapter", f"{tmp_path}/adapter", "--out", f"{tmp_path}/out"])

    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert said["digest"] == resolve_model(f"file://{said['out']}").digest


@pytest.mark.parametrize("what", ["base", "adapter"])
def test_the_command_exports_either(base, tmp_path, capsys, what):
    tuned(base, tmp_path / "adapter")

    assert main(["export", f"{tmp_path}/{what}", "--out", f"{tmp_path}/out"]) == 0
    assert (tmp_path / "out" / "adapter_config.json").is_file() is (what == "adapter")


def test_the_command_ends_with_the_code_of_what_is_wrong(base, tmp_path):
    command = [sys.executable, "-m", "touge.alpamayo", "export", f"{tmp_path}/nothing", "--out", f"{tmp_path}/out"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 12
    assert done.stderr.startswith("error: ")
    assert "no checkpoint" in done.stderr
