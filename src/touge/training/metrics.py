"""How the training went: one row a step, as JSONL for reports and as TensorBoard files for people.

Rows up to a checkpoint travel with it, so that a resumed training tells its whole story.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from touge.contract.model import Document


class MetricsRow(Document):
    """One optimiser step.

    Losses are means over the step: `reasoning` and `trajectory_tokens` in nats a token (null where the step had no
    such token, or gave it no weight and did not read it), `trajectory` the flow's mean squared error. `idle_share` is
    the part of the leading process's time that it waited for input.
    """

    step: int
    time_us: int
    loss: float
    reasoning: float | None
    trajectory_tokens: float | None
    trajectory: float
    learning_rate: float
    gradient_norm: float
    samples_per_second: float
    idle_share: float

    def numbers(self) -> dict[str, float]:
        """Return everything that is plotted, by name."""
        given = self.model_dump(exclude={"step", "time_us"}).items()
        return {name: value for name, value in given if value is not None}


def idle_share(rows: Sequence[MetricsRow]) -> float:
    """Return the idle share of all steps together; each step has as many samples."""
    seconds = [1 / row.samples_per_second for row in rows]
    idle = sum(row.idle_share * taken for row, taken in zip(rows, seconds, strict=True))
    return idle / sum(seconds) if rows else 0.0


def write_rows(rows: Iterable[MetricsRow], path: Path) -> Path:
    """Write metrics.jsonl."""
    path.write_text("".join(row.to_json() + "\n" for row in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[MetricsRow]:
    """Read what `write_rows` wrote."""
    return [MetricsRow.read_json(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_tensorboard(rows: Iterable[MetricsRow], folder: Path) -> None:
    """Write an event file of all rows, each at its own wall time."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for row in rows:
            for name, value in row.numbers().items():
                writer.add_scalar(f"train/{name}", value, row.step, walltime=row.time_us / 1e6)
