"""`python -m touge.training`: the stage `train`, by one process or by the ranks that this one starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from touge.contract import environment
from touge.contract.errors import TougeError
from touge.stage import StageContext, Work, main, now_us
from touge.training.launch import DONE, Layout, RankRecord, die_with_parent, granted_s, launch
from touge.training.meeting import await_node_0

_RANK, _LOCAL_RANK = "RANK", "LOCAL_RANK"


def _train(context: StageContext) -> dict[str, Any]:
    """Do the stage's work; torch and its friends are imported only where there is work to do."""
    from touge.training.stage import run

    return run(context)


_WORKS: dict[str, Work] = {"train": _train}


def _run() -> int:
    if _RANK in os.environ:
        return _as_rank()
    try:
        layout = Layout.of(os.environ)
        if layout.ranks == 1 or not os.environ.get(environment.SCRATCH):
            return main(_WORKS)
        return _as_launcher(layout)
    except (TougeError, OSError) as error:
        return main({"train": _refusing(error)})


def _refusing(error: Exception) -> Work:
    """Return work that fails, so that the stage's own shell reports the error."""

    def work(_context: StageContext) -> dict[str, Any]:
        raise error

    return work


def _as_launcher(layout: Layout) -> int:
    """Start the ranks; pass on the code and the message of the first that failed."""
    records = _records()
    records.mkdir(parents=True, exist_ok=True)
    for left in records.iterdir():
        left.unlink()
    if layout.node:
        await_node_0(layout.endpoint)
    code, message = launch([sys.executable, "-m", "touge.training"], layout, records, grace_s=granted_s(os.environ))
    if message and (target := os.environ.get(environment.TERMINATION_LOG)):
        Path(target).write_text(message, encoding="utf-8")
    return code


def _as_rank() -> int:
    """Do the stage's work as one of several ranks and leave a record of how it ended."""
    die_with_parent()
    record = _records() / f"{os.environ[_LOCAL_RANK]}.json"
    message = record.with_suffix(".message")
    os.environ[environment.TERMINATION_LOG] = str(message)
    code = main(_WORKS, leads=os.environ[_RANK] == "0")
    if not code:
        record.with_suffix(DONE).touch()
    else:
        text = message.read_text(encoding="utf-8", errors="replace") if message.is_file() else ""
        record.write_text(RankRecord(code=code, time_us=now_us(), message=text).to_json(), encoding="utf-8")
    return code


def _records() -> Path:
    return Path(os.environ[environment.SCRATCH]) / "ranks"


if __name__ == "__main__":
    sys.exit(_run())
