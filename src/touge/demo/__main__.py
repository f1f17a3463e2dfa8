"""`python -m touge.demo`: make synthetic drives and the biased base model that jobs/demo.yaml begins with.

Processes that draw and curate import this module anew, so it brings no torch with it.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import structlog

from touge.contract.errors import TougeError
from touge.contract.exit_codes import ExitCode
from touge.contract.recipe import load_recipe
from touge.stage import DEBUG


def main(argv: Sequence[str] | None = None) -> int:
    """Make what is not there yet; return the exit code."""
    from touge.demo.making import Size, make

    arguments = _parser().parse_args(argv)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        recipe = load_recipe(arguments.recipe.read_text("utf-8"), source=str(arguments.recipe))
        make(recipe, arguments.folder.resolve(), arguments.store.resolve(), arguments.seed, Size())
    except TougeError as error:
        if os.environ.get(DEBUG) == "1":
            traceback.print_exc()
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return ExitCode.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m touge.demo",
        description="Make synthetic drives and a tiny base model that says what is ahead and drives straight. "
        "`python -m controller submit jobs/demo.yaml` then curates, tunes and evaluates.",
    )
    parser.add_argument("--folder", type=Path, default=Path(".touge/demo"), help="where everything goes")
    parser.add_argument("--store", type=Path, default=Path(".touge/store"), help="of the demo's run")
    parser.add_argument("--recipe", type=Path, default=Path("jobs/demo.yaml"), help="the demo's")
    parser.add_argument("--seed", type=int, default=0, help="of the world, the base's weights and its training")
    return parser


if __name__ == "__main__":
    sys.exit(main())
