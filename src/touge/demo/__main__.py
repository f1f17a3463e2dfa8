"""`python -m touge.demo`: make synthetic drives and the biased base model that jobs/demo.yaml begins with."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from touge.contract.errors import TougeError
from touge.contract.exit_codes import ExitCode
from touge.contract.identity import digest
from touge.demo.base import TRAINING, make_base
from touge.drives.physical_ai_av_writer import write_world
from touge.drives.synthetic.route import Style
from touge.drives.synthetic.world import WorldSpec
from touge.stage import DEBUG
from touge.storage.sources import code_digests

_OTHER_WORLD = 1000
#: No streets: the dozen drives that a share of them would be are too few to learn from (docs/decisions/003).
_MIX = ((Style.MOUNTAIN, 0.9), (Style.ARTERIAL, 0.1))


@dataclass(frozen=True, slots=True)
class Size:
    """How much is made; the two worlds have no road in common.

    Attributes:
        drives: Of the data that the demo curates.
        base_drives: Of the base model's own past.
        training: Of the base: the section `train` of its recipe.
    """

    drives: int = 300
    base_drives: int = 300
    training: Mapping[str, Any] = field(default_factory=lambda: TRAINING)


def main(argv: Sequence[str] | None = None) -> int:
    """Make what is not there yet; return the exit code."""
    arguments = _parser().parse_args(argv)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        make(arguments.folder.resolve(), arguments.seed, Size())
    except TougeError as error:
        if os.environ.get(DEBUG) == "1":
            traceback.print_exc()
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return ExitCode.OK


def make(folder: Path, seed: int, size: Size) -> None:
    """Write `drives` and `base` into a folder, `work` and `base-drives` beside them."""
    _world(WorldSpec(seed=seed, drives=size.drives, mix=_MIX), folder / "drives")
    _world(WorldSpec(seed=seed + _OTHER_WORLD, drives=size.base_drives, mix=_MIX), folder / "base-drives")
    _say(f"base model: taught to name every bend and to drive straight on ({folder / 'base'})")
    make_base(folder / "base-drives", folder / "base", folder / "work", seed=seed, training=size.training)


def _world(spec: WorldSpec, folder: Path) -> None:
    """Draw a world, unless this very one, drawn by this code, is there."""
    mark, key = folder.with_suffix(".key"), digest([repr(spec), code_digests()["curate-map"]])
    if mark.is_file() and mark.read_text(encoding="utf-8") == key:
        return
    _say(f"drawing {spec.drives} drives into {folder}")
    mark.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    write_world(spec, folder)
    mark.write_text(key, encoding="utf-8")


def _say(text: str) -> None:
    sys.stderr.write(f"demo: {text}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m touge.demo",
        description="Make synthetic drives and a tiny base model that says what is ahead and drives straight. "
        "`python -m controller submit jobs/demo.yaml` then curates, tunes and evaluates.",
    )
    parser.add_argument("--folder", type=Path, default=Path(".touge/demo"), help="where everything goes")
    parser.add_argument("--seed", type=int, default=0, help="of both worlds, the base's weights and its training")
    return parser


if __name__ == "__main__":
    sys.exit(main())
