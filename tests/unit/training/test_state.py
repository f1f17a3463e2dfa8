"""What changes while training, to a folder and back."""

import pytest
import torch
from tiny_training import settings
from torch import nn

from touge.contract.errors import CheckpointError
from touge.training.metrics import MetricsRow
from touge.training.state import METRICS, State, restore_state, save_state

AVERAGED = settings(averaging=0.9)


def weights(seed=0, width=3, **more):
    dice = torch.Generator().manual_seed(seed)
    return {"a": nn.Parameter(torch.randn(width, 2, generator=dice)), "b": nn.Parameter(torch.zeros(3)), **more}


def step(state, number):
    for weight in state.weights.values():
        weight.grad = torch.sin(weight.detach() * number + number)
    state.optimiser.step()
    if state.average:
        state.average.update(state.weights)
    state.rows.append(
        MetricsRow(
            step=number,
            time_us=number,
            loss=1.5,
            reasoning=None,
            trajectory_tokens=0.1,
            trajectory=1 / 3,
            learning_rate=1e-2,
            gradient_norm=1.0,
            samples_per_second=3.0,
            idle_share=0.0,
        )
    )
    state.step = number + 1


@pytest.fixture
def saved(tmp_path):
    state = State.begin(weights(), AVERAGED)
    for number in range(3):
        step(state, number)
    save_state(state, tmp_path)
    return state


def test_a_restored_state_goes_on_to_the_same_bits(saved, tmp_path):
    restored = State.begin(weights(seed=1), AVERAGED)
    restore_state(restored, tmp_path, 3)
    for state in (saved, restored):
        step(state, 3)
        step(state, 4)

    for name in ("a", "b"):
        assert torch.equal(restored.weights[name], saved.weights[name])
        assert torch.equal(restored.average.weights[name], saved.average.weights[name])
    assert restored.rows == saved.rows
    assert restored.step == saved.step == 5


@pytest.mark.parametrize("forgotten", ["moments", "updates", "average"])
def test_every_part_of_the_state_counts(saved, tmp_path, forgotten):
    restored = State.begin(weights(seed=1), AVERAGED)
    restore_state(restored, tmp_path, 3)
    match forgotten:
        case "moments":
            for moments in restored.optimiser.state.values():
                moments["exp_avg"].zero_()
        case "updates":
            restored.average.updates = 0
        case "average":
            restored.average = restored.average.of(restored.weights, 0.9)
            restored.average.updates = 3
    for state in (saved, restored):
        step(state, 3)

    assert not torch.equal(restored.average.weights["a"], saved.average.weights["a"])


@pytest.mark.parametrize("other", [weights(width=4), weights(c=nn.Parameter(torch.zeros(1)))])
def test_a_checkpoint_of_other_weights_is_refused_with_their_names(saved, tmp_path, other):
    with pytest.raises(CheckpointError, match=r"step 3 is of another training.*such as average\.[ac]"):
        restore_state(State.begin(other, AVERAGED), tmp_path, 3)


def test_a_checkpoint_without_the_average_that_is_asked_for_is_refused(tmp_path):
    save_state(State.begin(weights(), settings()), tmp_path)

    with pytest.raises(CheckpointError, match=r"another training: 2 tensors differ.*average\.a, average\.b"):
        restore_state(State.begin(weights(), AVERAGED), tmp_path, 0)


def test_bytes_are_not_taken_for_numbers(tmp_path):
    wide = {"a": nn.Parameter(torch.ones(2, 256))}
    save_state(State.begin(wide, settings(optimiser={"states": "8bit"})), tmp_path)

    with pytest.raises(CheckpointError, match=r"differ in name, shape or type.*exp_avg\.a"):
        restore_state(State.begin(wide, settings()), tmp_path, 0)


@pytest.mark.parametrize("size", [1, 40, 10**9])
def test_a_state_may_be_of_many_files(tmp_path, monkeypatch, size):
    monkeypatch.setattr("touge.training.state.FILE_BYTES", size)
    state = State.begin(weights(), AVERAGED)
    save_state(state, tmp_path)
    restored = State.begin(weights(seed=1), AVERAGED)

    restore_state(restored, tmp_path, 0)

    assert len(list(tmp_path.glob("*.safetensors"))) == {1: 8, 40: 3, 10**9: 1}[size]
    assert all(torch.equal(tensor, state.tensors()[name]) for name, tensor in restored.tensors().items())


def test_a_folder_that_cannot_be_written_is_the_systems_error(saved, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"):
        save_state(saved, tmp_path / "file")


TENSORS = "shard-00001-model-00001-of-00001.safetensors"
DAMAGES = [(name, how) for name in (TENSORS, METRICS) for how in ("cut", "empty", "other")] + [(METRICS, "gone")]
DAMAGES.remove((METRICS, "empty"))  # a history without rows


@pytest.mark.parametrize(("name", "how"), DAMAGES)
def test_a_damaged_checkpoint_is_refused_with_what_to_do(saved, tmp_path, name, how):
    path = tmp_path / name
    content = path.read_bytes()
    path.unlink()
    if how != "gone":
        path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "other": b"{}" * 40}[how])

    with pytest.raises(CheckpointError, match=r"step 3 cannot be read \(\w+\).*an earlier one is used"):
        restore_state(State.begin(weights(), AVERAGED), tmp_path, 3)
