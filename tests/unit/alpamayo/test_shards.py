"""Safetensors files, tensor by tensor, against the library's own reader and writer."""

import json
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from touge.alpamayo.weights.shards import INDEX, WEIGHTS, Shards, Spec, split, write_shards
from touge.contract.errors import CheckpointError

TENSORS = {
    "b": torch.arange(6, dtype=torch.bfloat16).reshape(2, 3),
    "a": torch.arange(4, dtype=torch.float32),
    "scalar": torch.tensor(2.5),
    "half": torch.ones(3, dtype=torch.float16),
    "none": torch.empty(0, 4),
}


def specs(tensors=TENSORS):
    return {name: Spec(tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}


def write(folder, limit=10**9):
    write_shards(folder, specs(), TENSORS.__getitem__, limit=limit)


def assert_equal(found):
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


def test_one_file_is_as_the_library_reads_it(tmp_path):
    write(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [WEIGHTS]
    assert_equal(load_file(tmp_path / WEIGHTS))


def test_several_files_have_an_index_and_the_release_s_names(tmp_path):
    write(tmp_path, limit=16)

    index = json.loads((tmp_path / INDEX).read_text())
    files = sorted(path.name for path in tmp_path.iterdir() if path.name != INDEX)
    assert files == [f"model-{i:05}-of-00003.safetensors" for i in (1, 2, 3)]
    assert set(index["weight_map"].values()) == set(files)
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in TENSORS.values())
    assert all(name in load_file(tmp_path / file) for name, file in index["weight_map"].items())


@pytest.mark.parametrize("limit", [16, 10**9])
def test_what_was_written_is_read_back(tmp_path, limit):
    write(tmp_path, limit)
    shards = Shards.open(tmp_path)

    assert dict(shards.specs) == specs()
    assert_equal({name: shards.read(name) for name in shards.specs})


def test_what_the_library_wrote_is_read(tmp_path):
    save_file(TENSORS, tmp_path / WEIGHTS)
    shards = Shards.open(tmp_path)

    assert_equal({name: shards.read(name) for name in shards.specs})


def test_another_type_is_converted(tmp_path):
    write_shards(tmp_path, {"a": Spec((4,), torch.bfloat16)}, TENSORS.__getitem__)

    assert load_file(tmp_path / WEIGHTS)["a"].equal(TENSORS["a"].bfloat16())


def test_one_tensor_at_a_time_is_asked_for_and_none_is_kept(tmp_path):
    given_out = []

    def read(name):
        assert not any(ref() is not None for ref in given_out)
        tensor = TENSORS[name].clone()
        given_out.append(weakref.ref(tensor))
        return tensor

    write_shards(tmp_path, specs(), read, limit=16)

    assert len(given_out) == len(TENSORS)


@pytest.mark.parametrize("error", [RuntimeError("no disk"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_write_that_fails(tmp_path, error):
    def read(name):
        if name == "half":
            raise error
        return TENSORS[name]

    with pytest.raises(type(error)):
        write_shards(tmp_path, specs(), read, limit=16)

    assert list(tmp_path.iterdir()) == []


def test_a_tensor_of_another_shape_than_announced_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="announced"):
        write_shards(tmp_path, {"a": Spec((5,), torch.float32)}, TENSORS.__getitem__)

    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 400))
def test_files_hold_everything_in_order_within_the_limit(lengths, limit):
    given_specs = {str(i): Spec((length,), torch.float32) for i, length in enumerate(lengths)}

    parts = split(given_specs, limit)

    assert [name for part in parts for name in part] == list(given_specs)
    for part in parts:
        assert len(part) == 1 or sum(spec.size for spec in part.values()) <= limit


def test_a_truncated_file_is_refused_before_anything_is_read(tmp_path):
    write(tmp_path, limit=16)
    path = tmp_path / "model-00002-of-00003.safetensors"
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(CheckpointError, match=r"model-00002-of-00003.*damaged or truncated.*fetch"):
        Shards.open(tmp_path)


def test_a_missing_file_is_refused(tmp_path):
    write(tmp_path, limit=16)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()

    with pytest.raises(CheckpointError, match=r"model-00002-of-00003.*is missing, .*fetch"):
        Shards.open(tmp_path)


def test_a_tensor_in_two_files_is_refused(tmp_path):
    write(tmp_path, limit=16)
    save_file({"a": TENSORS["a"]}, tmp_path / "more.safetensors")
    index = json.loads((tmp_path / INDEX).read_text())
    index["weight_map"]["more"] = "more.safetensors"
    (tmp_path / INDEX).write_text(json.dumps(index))

    with pytest.raises(CheckpointError, match=r"both hold a;"):
        Shards.open(tmp_path)


def test_a_type_that_is_no_weight_s_is_refused(tmp_path):
    save_file({"a": torch.zeros(3, dtype=torch.uint8)}, tmp_path / WEIGHTS)

    with pytest.raises(CheckpointError, match="1 tensors such as a are of type U8"):
        Shards.open(tmp_path)
