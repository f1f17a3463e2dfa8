"""A small curated data set for benchmarks: four cameras at the model's own size, words of many lengths.

Synthetic drives are drawn and curated by touge's own stages, once as recordings and once more as brought rows whose
words are repeated: once in the first, up to `_REPEATS` times in others, so that batches of several lengths occur.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from touge.contract.artifacts import StageRef
from touge.contract.plan import Plan
from touge.contract.recipe import Recipe
from touge.contract.sample import Sample
from touge.demo.pipeline import Pipeline
from touge.drives.synthetic.route import Style
from touge.drives.synthetic.world import WorldSpec
from touge.storage import open_store
from touge.storage.execution import Artifact, committed

CAMERAS = ("cross_left", "front_wide", "cross_right", "front_tele")
#: A window's words come once, up to so many times.
_REPEATS = 8
_WORLD = WorldSpec(
    seed=1, drives=4, clip_s=10.0, unseen_s=6.4, cameras=CAMERAS, width=576, height=320, mix=((Style.MOUNTAIN, 1.0),)
)
_TINY = replace(_WORLD, cameras=CAMERAS[1:2], width=64, height=32, drives=4)


@dataclass(frozen=True, slots=True)
class DataSet:
    """A folder with a store in it.

    Attributes:
        folder: Made if it is not there.
        tiny: Whether one camera of 64 x 32 pixels is enough.
    """

    folder: Path
    tiny: bool

    @property
    def cameras(self) -> tuple[str, ...]:
        """That filmed it."""
        return (_TINY if self.tiny else _WORLD).cameras

    @property
    def store(self) -> Path:
        """Where the data set lies, and what is trained on it will."""
        return self.folder / "store"

    def make(self) -> None:
        """Draw and curate, unless that was done."""
        if not self._rows.is_file():
            self._write_rows()
        recipe = self._recipe(self._rows, {})  # curation reads no base
        if self._curated(recipe, self.store) is None:
            self._curate(recipe, self.store)

    def plan(self, base: Path, train: dict[str, Any], store: Path) -> Plan:
        """Return the plan of a training on it; `store` holds a copy of `self.store`."""
        return self._pipeline(self._recipe(base, train), store).plan

    @property
    def _rows(self) -> Path:
        """Brought rows, beside the store of the frames that they name."""
        return self.folder / "drawn/rows.jsonl"

    def _write_rows(self) -> None:
        from touge.drives.physical_ai_av_writer import write_world

        drives, store = self.folder / "drives", self._rows.parent
        if not drives.is_dir():
            write_world(_TINY if self.tiny else _WORLD, drives)
        recipe = self._recipe(drives, {}, {"format": "physical-ai-av", "uri": f"file://{drives}"})
        rows = map(Sample.read_json, self._curate(recipe, store).read("samples.jsonl").splitlines())
        text = "".join(_wordy(row, number).to_json() + "\n" for number, row in enumerate(rows))
        self._rows.write_text(text, encoding="utf-8")

    def _curate(self, recipe: Recipe, store: Path) -> Artifact:
        from touge.curation.mapping import curate_map
        from touge.curation.merging import curate

        pipeline = self._pipeline(recipe, store)
        pipeline.run("curate-map", curate_map)
        return pipeline.run("curate", curate)

    def _curated(self, recipe: Recipe, store: Path) -> Artifact | None:
        return committed(open_store(f"file://{store}"), StageRef(self._pipeline(recipe, store).plan.stage("curate").id))

    def _pipeline(self, recipe: Recipe, store: Path) -> Pipeline:
        return Pipeline.of(recipe, open_store(f"file://{store}"), self.folder / "scratch")

    def _recipe(self, base: Path, train: dict[str, Any], source: dict[str, str] | None = None) -> Recipe:
        brought = {"format": "jsonl", "uri": f"file://{self._rows}"}
        image = {"image": {"min_pixels": 64 * 32, "max_pixels": 64 * 32}} if self.tiny else {}
        return Recipe.model_validate(
            {
                "apiVersion": "touge/v1",
                "name": "benchmark",
                "base": f"file://{base}",
                "curate": {
                    "drives": [source or brought],
                    "cameras": self.cameras,
                    "reasoning": {"straight": "template"},
                    "balance": {"straight": None},
                    "split": {"validation": 0, "test": 0},
                    **image,
                },
                "train": {"method": "lora"} | train,
            }
        )


def _wordy(row: Sample, number: int) -> Sample:
    """Return the row with its words as often as its number says."""
    if row.reasoning is None:
        return row
    text = " ".join([row.reasoning.text] * (1 + number % _REPEATS))
    return row.model_copy(update={"reasoning": row.reasoning.model_copy(update={"text": text, "source": "dataset"})})
