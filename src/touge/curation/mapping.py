"""The stage `curate-map`: this shard's drives to rows and frames.

First half of curation. Streams: one drive's poses are in memory at a time, and about one window's frames.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from touge.contract.artifacts import Shard
from touge.contract.errors import Interrupted
from touge.contract.progress import Progress
from touge.contract.recipe import DriveSource, JsonlSource
from touge.contract.sample import Sample
from touge.curation import brought
from touge.curation.account import Ledger, reasons
from touge.curation.archive import Archive
from touge.curation.brought_frames import BroughtFrames
from touge.curation.index import row_of
from touge.curation.recorded import Recorder
from touge.curation.samples import Outcome, Rules
from touge.drives.drive import DriveRef, shard
from touge.drives.readers import open_reader
from touge.drives.readers.jsonl import read_samples
from touge.stage import StageContext
from touge.storage import open_store

SAMPLES = "samples.jsonl"
ACCOUNT = "rejections.json"
#: Every rejected window with all its reasons: to look them up, not to count them.
REJECTED = "rejected.jsonl"
#: Between two reports of progress.
_REPORT_US = 2_000_000


def curate_map(context: StageContext) -> dict[str, Any]:
    """Cut, judge and store the windows of this shard's drives; return the manifest's metadata.

    Raises:
        DataError: If a source is missing or damaged.
        Interrupted: If asked to stop.
    """
    ledger, rows, rejected = Ledger(), context.scratch / SAMPLES, context.scratch / REJECTED
    with (
        Archive(context.scratch, lambda path: _publish(context, path)) as archive,
        rows.open("wb") as kept,
        rejected.open("wb") as refused,
    ):
        for outcome in _outcomes(context, archive, ledger):
            if outcome.sample is not None:
                kept.write(row_of(outcome.sample))
            else:
                refused.write(_refusal(outcome))
    for path in (rows, rejected):
        _publish(context, path)
        path.unlink()
    account = ledger.account()
    context.execution.write(ACCOUNT, account.to_json().encode())
    facts = {"windows": ledger.windows, "kept": sum(drive.kept for drive in account.drives), "frames": archive.frames}
    context.log.info("windows cut", **facts, rejected=reasons(account.drives))
    return facts


def _outcomes(context: StageContext, archive: Archive, ledger: Ledger) -> Iterator[Outcome]:
    """Yield what becomes of every window of this shard, counted."""
    recipe, part = context.plan.recipe.curate, Shard(context.index, context.stage.shards)
    rules = Rules.of(recipe)
    sources = [(number, source, _drives(source, part, ledger)) for number, source in enumerate(recipe.drives)]
    tell = _Pace(context, sum(1 if drives is None else len(drives) for _, _, drives in sources))
    for number, source, drives in sources:
        if drives is None:
            found = brought.outcomes(_rows(source.uri, part), rules, archive, _frames(source.uri, context.scratch))
            yield from _counted(found, number, ledger, tell)
            tell.one_more()
            continue
        recorder = Recorder(rules, archive, context.plan.inventories[number].digest)
        for reference in drives:
            drive = reference.open()
            ledger.open(number, drive.id, drive.notes)
            yield from _counted(recorder.outcomes(drive), number, ledger, tell)
            tell.one_more()


def _counted(outcomes: Iterator[Outcome], source: int, ledger: Ledger, tell: _Pace) -> Iterator[Outcome]:
    for outcome in outcomes:
        tell.check()
        ledger.add(source, outcome)
        yield outcome


def _drives(source: DriveSource, part: Shard, ledger: Ledger) -> list[DriveRef] | None:
    """Return the drives of this shard, None for a source of rows; note what the reader leaves out."""
    if isinstance(source, JsonlSource):
        ledger.source({})
        return None
    reader = open_reader(source)
    ledger.source(reader.left_out)
    return list(shard(reader.drives(), part.index, part.count))


def _rows(uri: str, part: Shard) -> Iterator[Sample]:
    """Yield the rows of this shard: drives are dealt out by a hash, so that a drive's rows stay together."""
    return (row for row in read_samples(uri) if zlib.crc32(row.drive.encode()) % part.count == part.index)


def _frames(uri: str, scratch: Path) -> BroughtFrames:
    root = uri.rpartition("/")[0] if uri.endswith(".jsonl") else uri.rstrip("/")
    return BroughtFrames(open_store(root), scratch)


def _refusal(outcome: Outcome) -> bytes:
    reasons = [{"reason": rejection.reason, "detail": rejection.detail} for rejection in outcome.rejections]
    return json.dumps({"id": outcome.id, "reasons": reasons}, ensure_ascii=False).encode() + b"\n"


def _publish(context: StageContext, path: Path) -> None:
    context.execution.write(path.name, path)


class _Pace:
    """Reports progress now and then, and ends the work when the process is asked to stop."""

    def __init__(self, context: StageContext, total: int) -> None:
        self._context, self._total = context, total
        self._done, self._started, self._reported = 0, context.clock(), 0

    def one_more(self) -> None:
        self._done += 1
        now = self._context.clock()
        if now - self._reported >= _REPORT_US or self._done == self._total:
            self._reported = now
            self._context.execution.report(
                Progress(done=self._done, total=self._total, unit="drive", started_us=self._started, updated_us=now)
            )

    def check(self) -> None:
        if self._context.stopping():
            raise Interrupted(
                f"stopped after {self._done} of {self._total} drives; submit again to begin this shard anew"
            )
