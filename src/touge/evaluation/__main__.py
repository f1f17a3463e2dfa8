"""`python -m touge.evaluation`: the stages `evaluate-map` and `evaluate`; with arguments, the command for people."""

from __future__ import annotations

import sys

from touge.evaluation.command import main as command
from touge.evaluation.stage import evaluate, evaluate_map
from touge.stage import main as stage

if __name__ == "__main__":
    works = {"evaluate-map": evaluate_map, "evaluate": evaluate}
    sys.exit(command(sys.argv[1:]) if sys.argv[1:] else stage(works, []))
