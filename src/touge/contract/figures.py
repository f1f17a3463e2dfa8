"""What trainings were seen to take of a GPU: `figures.yaml`, typed, and the README's table made from it.

Read by `plan`, and by a training that ran out of memory. Pure, but for reading that one file at import.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import date
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import Field

from touge.contract.model import Document
from touge.contract.recipe import Train

_MARKED = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)


class Measured(Document):
    """Where, when and by what a row was measured."""

    gpu: str
    date: date
    command: str


class Figure(Document):
    """What one kind of training takes of one GPU; an estimate where it was not measured."""

    method: str
    cameras: int
    batch: int = Field(description="samples a process and micro-step")
    flow_draws: int = Field(alias="flowDraws")
    economy: str
    card: int = Field(description="smallest card, decimal GB as on the box")
    peak_gib: float | None = Field(None, alias="peakGib")
    reserved_gib: float | None = Field(None, alias="reservedGib")
    samples_per_second: float | None = Field(None, alias="samplesPerSecond")
    measured: Measured | None = None

    @property
    def told(self) -> str:
        """What is known of it, in a few words."""
        if self.measured is None or self.peak_gib is None:
            return "estimated"
        return f"measured {self.peak_gib:.1f} GiB: {_cameras(self.cameras)}, batch {self.batch}"

    def covers(self, train: Train, cameras: int) -> bool:
        """Whether a training is of this method, with no more cameras and samples a pass.

        Flow draws are not asked for: they pass through the expert alone.
        """
        return self.method == train.method and cameras <= self.cameras and train.batch_size <= self.batch


class Figures(Document):
    """The whole of `figures.yaml`."""

    rows: tuple[Figure, ...]


ROWS = Figures.model_validate(yaml.safe_load(files("touge.contract").joinpath("figures.yaml").read_text("utf-8"))).rows


def figure_of(train: Train, cameras: int, rows: Iterable[Figure] = ROWS) -> Figure | None:
    """Return the row with the smallest card that covers a training; None where no row does."""
    return min((row for row in rows if row.covers(train, cameras)), key=lambda row: row.card, default=None)


def table(rows: Iterable[Figure] = ROWS) -> str:
    """Return the rows in Markdown."""
    heading = [
        "method",
        "cameras",
        "batch",
        "flow draws",
        "economy",
        "peak GiB (reserved)",
        "samples/s",
        "card",
        "known by",
    ]
    lines = [heading, ["---"] * len(heading), *map(_cells, rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def written(page: str) -> str:
    """Return a page with the table of today between its marks."""
    return _MARKED.sub(lambda found: found[1] + table() + found[2], page)


def _cells(row: Figure) -> list[str]:
    measured, peak, reserved, rate = row.measured, row.peak_gib, row.reserved_gib, row.samples_per_second
    known = f"{measured.gpu}, {measured.date}, `{measured.command}`" if measured else "estimate"
    gib = f"{peak:.2f} ({reserved:.2f})" if peak and reserved else "-"
    numbers = [str(number) for number in (row.cameras, row.batch, row.flow_draws)]
    return [row.method, *numbers, row.economy, gib, f"{rate:.2f}" if rate else "-", f"{row.card} GB", known]


def _cameras(count: int) -> str:
    return f"{count} cameras" if count > 1 else "1 camera"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
