"""A stage of tests: everything of a real one but the work.

In the folder that holds the store, or that TOUGE_SCRIPTS names, there may be `<stage>.plan`: one word an attempt: `ok`,
`fail:<code>`, `signal:<number>`, `data`, `hang`, `deaf`, `checkpoint` (writes one, waits for the stop, exits 31); and
in `verdict` what the report says: true, false or null.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from touge.contract.errors import DataError, Interrupted
from touge.contract.progress import Progress
from touge.stage import StageContext, main
from touge.storage.execution import newest_checkpoint


def work(context: StageContext) -> dict:
    """Do as the script says, then write an artifact."""
    context.log.info("working", index=context.index)
    _obey(_word(context), context)
    context.execution.write("environment.json", json.dumps(dict(os.environ)).encode())
    context.execution.write("resumed.json", json.dumps(_step(context)).encode())
    if context.stage.name == "evaluate":
        context.execution.write("report.json", json.dumps(_report(context)).encode())
        context.execution.write("report.html", b"<p>a report</p>")
    return {}


def _word(context: StageContext) -> str:
    script = _scripts(context) / f"{context.stage.name}.plan"
    attempt = int(os.environ["TOUGE_ATTEMPT"])
    words = script.read_text().split() if script.exists() else []
    return words[attempt - 1] if attempt <= len(words) else "ok"


def _scripts(context: StageContext) -> Path:
    return Path(os.environ.get("TOUGE_SCRIPTS") or Path(context.store.uri.removeprefix("file://")).parent)


def _obey(word: str, context: StageContext) -> None:
    name, _, value = word.partition(":")
    if name == "fail":
        raise SystemExit(int(value))
    if name == "signal":
        os.kill(os.getpid(), int(value))
    if name == "data":
        raise DataError("drive 7 is empty: expected frames; remove it")
    if name == "deaf":
        context.log.info("deaf")
        time.sleep(3600)
    if name == "checkpoint":
        _checkpoint(context)
    if name in {"hang", "checkpoint"}:
        _wait(context)


def _checkpoint(context: StageContext) -> None:
    step = _step(context) + 100
    folder = context.scratch / "checkpoint"
    folder.mkdir()
    (folder / "weights").write_text(str(step))
    context.execution.checkpoint(step, folder, {})
    now = context.clock()
    context.execution.report(Progress(done=step, total=1000, unit="step", started_us=now - 10**6, updated_us=now))


def _step(context: StageContext) -> int:
    found = newest_checkpoint(context.store, context.execution.ref)
    return found.step if found else 0


def _wait(context: StageContext) -> None:
    context.log.info("waiting")
    while not context.stopping():
        time.sleep(0.02)
    raise Interrupted("asked to stop")


def _report(context: StageContext) -> dict:
    script = _scripts(context) / "verdict"
    passed = json.loads(script.read_text()) if script.exists() else True
    check = {"name": "curve_ade", "passed": passed, "value": 1.5, "bound": "<= 0"}
    metrics = {"ade": {"6.4": {"value": 2.0, "low": 1.5, "high": 2.5}}, "curvature_gain": 0.9, "consistency": 0.95}
    return {
        "schema": "touge.report/1",
        "run": context.plan.run,
        "verdict": {"passed": passed, "checks": [check]},
        "windows": {"curve": 10, "straight": 5},
        "models": {"base": {"curve": metrics}, "tuned": {"curve": metrics}},
        "paired": {},
        "provenance": {},
    }


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    names = ("curate-map", "curate", "train", "evaluate-map", "evaluate")
    sys.exit(main(dict.fromkeys(names, work)))
