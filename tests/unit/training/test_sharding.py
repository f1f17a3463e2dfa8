"""Weights that ranks split, of which one holds nothing: steps, norms and checkpoints against one process."""

import sys
from pathlib import Path

import pytest
import split_layer
import torch
from tiny_training import OWN

from touge.training.launch import Layout, launch
from touge.training.state import State, restore_state, save_state

pytestmark = pytest.mark.slow


@pytest.fixture
def split(tmp_path, monkeypatch):
    """Let ranks train the layer from a step on; return the folder of what they wrote, and the norms they saw."""
    monkeypatch.setenv("PYTHONPATH", str(Path(split_layer.__file__).parent))
    for name, value in OWN.items():
        monkeypatch.setenv(name, value)

    def run(ranks, dtype, first, steps):
        command = [sys.executable, split_layer.__file__, str(tmp_path), dtype, str(first), str(steps)]
        assert launch(command, Layout(ranks), tmp_path) == (0, "")
        together = tmp_path / f"step-{first + steps}"
        together.mkdir()
        for path in tmp_path.glob("part-*/*"):
            path.rename(together / path.name)
        return together, [float(norm) for norm in (together / "norms.txt").read_text().split()]

    return run


def alone(dtype, steps):
    """Return the layer's state after these steps in one process, and the norms."""
    model = split_layer.layer(dtype)
    state = State.begin(dict(model.named_parameters()), split_layer.TRAIN)
    return state, split_layer.advance(model, state, steps, lambda part: part)


def restored(folder, dtype, step):
    state = State.begin(dict(split_layer.layer(dtype).named_parameters()), split_layer.TRAIN)
    restore_state(state, folder, step)
    return state


def test_three_ranks_step_two_rows_as_one_process_does_and_it_reads_their_checkpoint(split):
    folder, norms = split(3, "float32", 0, 3)

    expected, seen = alone(torch.float32, 3)
    found = restored(folder, torch.float32, 3).tensors()
    assert norms == pytest.approx(seen, rel=1e-5)
    assert found.keys() == expected.tensors().keys()
    for name, tensor in expected.tensors().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-6, msg=name)


def test_moments_of_8_bits_go_from_one_process_to_two_and_back(split, tmp_path):
    state, _ = alone(torch.bfloat16, 2)
    (tmp_path / "step-2").mkdir()
    save_state(state, tmp_path / "step-2")

    folder, norms = split(2, "bfloat16", 2, 2)

    found, (expected, seen) = restored(folder, torch.bfloat16, 4), alone(torch.bfloat16, 4)
    assert found.tensors()["exp_avg.weight"].dtype == torch.uint8
    assert norms == pytest.approx(seen[2:], rel=1e-2)
    for name, weight in expected.weights.items():
        torch.testing.assert_close(found.weights[name].float(), weight.float(), rtol=2**-6, atol=1e-4, msg=name)
