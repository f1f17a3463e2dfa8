"""Checkpoints are streamed: equal to the last bit, never much in memory, refused before a weight is read."""

import json

import pytest
import torch
from alive import Alive
from safetensors.torch import load_file, save_file

from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.tokenizer import train_tiny_tokenizer
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.tiny import TinySizes, tiny_document
from touge.alpamayo.weights import checkpoint
from touge.alpamayo.weights.shards import INDEX, Shards
from touge.contract.errors import CheckpointError
from touge.storage.inventory import resolve_model

DTYPES = [torch.float32, torch.bfloat16]
TEXTS = ("Right curve ahead, slow down and follow it.", "この先左カーブ、減速します。", "Keep going straight.")
#: Decoder linears outweigh the rest, as at full size.
DEEP = TinySizes(hidden=128, mlp=384, layers=6, vision_depth=1, pixels=64 * 32, future_bins=32, history_bins=32)


def state(model):
    """Return every number of a model, buffers that no file carries included."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


@pytest.fixture
def folder(model, tokenizer, tmp_path):
    checkpoint.save(model, tokenizer, tmp_path / "base", limit=40_000)
    return tmp_path / "base"


def merged_file(folder):
    """Return all tensors as the library reads them."""
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_streamed_model_equals_a_plain_one_to_the_last_bit(config_and_tokenizer, folder, dtype):
    plain = AlpamayoR1(config_and_tokenizer[0], dtype)
    plain.load_state_dict(merged_file(folder))
    checkpoint.cast(plain, dtype)

    streamed = state(checkpoint.load(folder, dtype=dtype)[0])

    expected = state(plain)
    assert streamed.keys() == expected.keys()
    for name, tensor in expected.items():
        assert streamed[name].dtype == tensor.dtype, name
        assert streamed[name].equal(tensor), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_buffers_that_are_left_out_are_rebuilt_as_a_model_builds_them(config_and_tokenizer, folder, dtype):
    for path in folder.glob("*.safetensors"):
        save_file({n: t for n, t in load_file(path).items() if not n.endswith(checkpoint.REBUILT)}, path)

    buffers = dict(checkpoint.load(folder, dtype=dtype)[0].named_buffers())

    expected = dict(AlpamayoR1(config_and_tokenizer[0], dtype).named_buffers())
    assert {name.split(".")[-1] for name in buffers} == {*checkpoint.REBUILT, "inv_freq", "original_inv_freq"}
    assert buffers.keys() == expected.keys()
    assert all(buffers[name].equal(tensor) for name, tensor in expected.items())
    assert {torch.float32} == {buffer.dtype for buffer in buffers.values()}


def test_no_weight_is_a_view_of_a_file(folder):
    model, _ = checkpoint.load(folder)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}

    for path in folder.glob("*.safetensors"):
        with path.open("r+b") as file:
            file.seek(-1000, 2)
            file.write(b"\x7f" * 1000)

    assert all(parameter.equal(before[name]) for name, parameter in model.named_parameters())


def deep(folder, limit=10**9):
    tokenizer = train_tiny_tokenizer(["right curve ahead"])
    model = AlpamayoR1(AlpamayoConfig.parse(tiny_document(tokenizer, DEEP)))
    checkpoint.save(model, tokenizer, folder, limit=limit)
    return sum(p.nbytes for p in model.parameters()), max(p.nbytes for p in model.parameters())


@pytest.mark.parametrize("limit", [10**9, 10**6], ids=["one file", "several files"])
@pytest.mark.parametrize("four_bit", [False, True])
def test_beside_the_model_no_more_than_a_few_tensors_are_ever_in_memory(tmp_path, limit, four_bit):
    total, largest = deep(tmp_path, limit)

    with Alive() as alive:
        model, _ = checkpoint.load(tmp_path, dtype=torch.bfloat16, four_bit=four_bit)

    held = sum(tensor.nbytes for tensor in state(model).values())
    assert alive.peak <= 1.05 * held + 3 * largest
    assert alive.peak < total / 2 + 3 * largest
    if four_bit:
        assert alive.peak < total / 2  # what the model takes in bfloat16


def test_a_save_holds_one_tensor_beside_the_model(tmp_path):
    tokenizer = train_tiny_tokenizer(["right curve ahead"])
    document = tiny_document(tokenizer, DEEP) | {"model_dtype": "bfloat16"}
    model = AlpamayoR1(AlpamayoConfig.parse(document))
    held = sum(tensor.nbytes for tensor in state(model).values())

    with Alive() as alive:
        checkpoint.save(model, tokenizer, tmp_path)

    assert alive.peak <= held + max(p.nbytes for p in model.parameters())


def test_weights_are_saved_in_the_type_that_the_config_states(config_and_tokenizer, tmp_path):
    config, tokenizer = config_and_tokenizer
    model = AlpamayoR1(AlpamayoConfig.parse(config.raw | {"model_dtype": "bfloat16"}))
    checkpoint.save(model, tokenizer, tmp_path)

    kinds = {name: spec.dtype for name, spec in Shards.open(tmp_path).specs.items()}

    assert {torch.bfloat16} == {kinds[name] for name, _ in model.named_parameters()}
    assert {torch.float32} == {kind for name, kind in kinds.items() if name.endswith(checkpoint.REBUILT)}


def test_a_type_that_is_none_of_ours_is_refused(config_and_tokenizer, tmp_path):
    config, tokenizer = config_and_tokenizer
    model = AlpamayoR1(AlpamayoConfig.parse(config.raw | {"model_dtype": "float8"}))

    with pytest.raises(CheckpointError, match="'float8'; known are bfloat16, float16, float32"):
        checkpoint.save(model, tokenizer, tmp_path)


def test_everything_that_does_not_fit_is_listed_before_a_weight_is_read(folder):
    path = folder / json.loads((folder / INDEX).read_text())["weight_map"]["vlm.lm_head.weight"]
    tensors = load_file(path)
    tensors["vlm.lm_head.bias"] = tensors.pop("vlm.lm_head.weight")
    save_file(tensors, path)
    raw = json.loads((folder / "config.json").read_text())
    raw["expert_cfg"]["intermediate_size"] += 16
    (folder / "config.json").write_text(json.dumps(raw))
    read = []

    class Watched(Shards):
        def read(self, name):
            read.append(name)
            return super().read(name)

    weights = Watched.open(folder)
    with torch.device("meta"):
        model = AlpamayoR1(AlpamayoConfig.read(folder))
    with pytest.raises(CheckpointError) as refused:
        checkpoint.check_fit(model, weights, folder)

    text = str(refused.value)
    assert "1 missing:\n  vlm.lm_head.weight\n" in text
    assert "1 unexpected:\n  vlm.lm_head.bias\n" in text
    assert "6 of another shape:\n  expert.layers.0.mlp.gate_proj.weight: [48, 32], expected [64, 32]" in text
    assert read == []


def test_a_truncated_shard_is_refused(folder):
    path = max(folder.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-7])

    with pytest.raises(CheckpointError, match="damaged or truncated"):
        checkpoint.load(folder)


def released(folder, backbone):
    """Move to another folder what the release leaves to its backbone: configuration, tokenizer and the ids."""
    raw = json.loads((folder / "config.json").read_text())
    backbone.mkdir()
    (backbone / "config.json").write_text(json.dumps(raw.pop("vlm_config")))
    train_tiny_tokenizer(TEXTS * 5).save(str(backbone / "tokenizer.json"))
    (folder / "tokenizer.json").unlink()
    stated = {name: raw.pop(name) for name in ("vocab_size", "traj_token_start_idx", "traj_token_ids")}
    (folder / "config.json").write_text(json.dumps(raw | {"vlm_name_or_path": "Qwen/Qwen3-VL-8B-Instruct"}))
    return stated


def test_what_the_release_leaves_to_its_backbone_is_found_there(model, tokenizer, folder, tmp_path):
    stated = released(folder, tmp_path / "backbone")

    again, words = checkpoint.load(folder, backbone=tmp_path / "backbone")

    assert all(again.state_dict()[name].equal(tensor) for name, tensor in model.state_dict().items())
    assert words.get_vocab() == tokenizer.get_vocab()
    assert again.config.trajectory_start == stated["traj_token_start_idx"]
    assert again.vocabulary == model.vocabulary


def test_without_its_backbone_the_release_says_what_is_missing(folder, tmp_path):
    released(folder, tmp_path / "backbone")

    with pytest.raises(CheckpointError, match=r"`vocab_size` is missing(?s:.*)give the folder of 'Qwen/Qwen3-VL-8B"):
        checkpoint.load(folder)


def test_a_folder_s_digest_is_the_plan_s(folder):
    (folder / "more").mkdir()
    (folder / "more" / "notes.txt").write_text("峠")

    assert checkpoint.digest(folder) == resolve_model(f"file://{folder}").digest
