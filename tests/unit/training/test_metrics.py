"""How the training went, in files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from touge.training.metrics import MetricsRow, idle_share, read_rows, write_rows, write_tensorboard

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.builds(
    MetricsRow,
    step=st.integers(0, 10**6),
    time_us=st.integers(0, 2**53),
    loss=NUMBERS,
    reasoning=NUMBERS | st.none(),
    trajectory_tokens=NUMBERS | st.none(),
    trajectory=NUMBERS,
    learning_rate=NUMBERS,
    gradient_norm=NUMBERS,
    samples_per_second=NUMBERS,
    idle_share=NUMBERS,
)


def row(step, **changes):
    numbers = {"loss": 2.5, "reasoning": 1.0, "trajectory_tokens": 0.5, "trajectory": 1.0}
    rates = {"learning_rate": 0.125, "gradient_norm": 3.0, "samples_per_second": 4.0, "idle_share": 0.25}
    return MetricsRow(step=step, time_us=1_700_000_000_000_000 + step * 1_000_000, **numbers | rates | changes)


@given(rows=st.lists(ROWS, max_size=4))
def test_rows_are_read_back_equal(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "metrics.jsonl"

    assert rows == read_rows(write_rows(rows, path))


def test_a_number_that_is_none_is_left_out_of_the_plots():
    assert "reasoning" not in row(0, reasoning=None).numbers()
    assert set(row(0).numbers()) == {
        "loss", "reasoning", "trajectory_tokens", "trajectory", "learning_rate", "gradient_norm", "samples_per_second",
        "idle_share",
    }  # fmt: skip


def test_the_idle_share_of_all_steps_is_that_of_their_time():
    slow, quick = row(0, samples_per_second=1.0, idle_share=0.5), row(1, samples_per_second=4.0, idle_share=0.0)

    assert idle_share([slow, quick]) == pytest.approx(0.5 / 1.25)
    assert idle_share([]) == 0.0


def test_a_loss_that_is_no_number_is_never_a_row():
    with pytest.raises(ValueError, match="finite number"):
        row(0, loss=float("nan"))


def test_tensorboard_gets_every_number_at_its_step_and_time(tmp_path):
    write_tensorboard([row(0), row(1, loss=1.25)], tmp_path)

    (path,) = tmp_path.iterdir()
    found = {
        (value.tag, event.step): (value.tensor.float_val[0] if value.HasField("tensor") else value.simple_value, event)
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    }
    assert found["train/loss", 0][0] == 2.5
    assert found["train/loss", 1][0] == 1.25
    assert found["train/learning_rate", 1][0] == 0.125
    assert found["train/loss", 1][1].wall_time == 1_700_000_001.0
    assert len(found) == 16
