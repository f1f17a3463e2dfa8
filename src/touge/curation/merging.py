"""The stage `curate`: the rows of all shards to one data set, split, weighed, proved and accounted for.

Second half of curation. In memory is the light index of `index`, and a row at a time besides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from touge.contract.errors import DataError, Interrupted
from touge.contract.recipe import Balance, Curate
from touge.contract.sample import Sample
from touge.curation.account import DriveAccount, ShardAccount, reasons
from touge.curation.decision import Decision, decide
from touge.curation.index import index_of, lines_of, sample_of
from touge.curation.leakage import prove
from touge.curation.mapping import ACCOUNT, REJECTED, SAMPLES
from touge.curation.report import Curation, cells, held_out, mix, sources, totals, with_splits
from touge.curation.summary import examples, page
from touge.stage import StageContext
from touge.storage.execution import Artifact
from touge.storage.shards import ShardReader

LEAKAGE = "leakage.json"
CURATION = "curation.json"
SUMMARY = "summary.html"


def curate(context: StageContext) -> dict[str, Any]:
    """Make one data set of all shards; return the manifest's metadata.

    Raises:
        DataError: If no window is left, a row comes twice, nothing can be held out, or the split leaks.
        Interrupted: If asked to stop.
    """
    recipe, shards = context.plan.recipe.curate, context.shards("map")
    files = [_fetched(artifact, context.scratch / f"map-{number:05d}") for number, artifact in enumerate(shards)]
    accounts = [ShardAccount.read_json(artifact.read(ACCOUNT)) for artifact in shards]
    entries = index_of(files)
    if not entries:
        raise DataError(_nothing_left([drive for account in accounts for drive in account.drives]))
    decision = decide(entries, recipe.split, recipe.seed)
    report = _report(context, recipe, decision, accounts)
    rows, chosen = context.scratch / SAMPLES, examples(decision.entries)
    shown = []
    with rows.open("wb") as out:
        for sample in _finished(decision, recipe.balance, files, [shard.prefix for shard in shards]):
            if context.stopping():
                raise Interrupted("stopped while rows were written; submit again to begin the merge anew")
            out.write(sample.to_json().encode() + b"\n")
            if sample.id in chosen:
                shown.append(sample)
    write = context.execution.write
    write(SAMPLES, rows)
    write(LEAKAGE, report.leakage.to_json().encode())
    write(CURATION, report.to_json().encode())
    write(SUMMARY, page(report, _illustrated(shown, ShardReader(context.store))).encode())
    sizes = Counter(split for _, split in decision.entries)
    facts = {"tainted": report.tainted, "leakage": report.leakage.verdict, "windows": dict(sorted(sizes.items()))}
    context.log.info("curated", **facts)
    return facts


def _report(context: StageContext, recipe: Curate, decision: Decision, accounts: Sequence[ShardAccount]) -> Curation:
    found = (drive for account in accounts for drive in account.drives)
    drives = with_splits(sorted(found, key=lambda drive: (drive.source, drive.drive)), decision)
    return Curation(
        labels=recipe.labels,
        tainted=recipe.contradictions == "keep",
        contradictions=sum(drive.contradictions for drive in drives),
        totals=totals(drives, decision),
        cells=cells(decision),
        reasoning=sources(decision),
        held_out=held_out(decision, recipe.split),
        mix=mix(decision, recipe.balance),
        leakage=prove(decision.entries, decision.unit),
        inputs=context.plan.inventories,
        left_out=accounts[0].left_out,
        drives=drives,
    )


def _finished(decision: Decision, balance: Balance, files: Sequence[Path], prefixes: Sequence[str]) -> Iterator[Sample]:
    """Yield every row as it is handed on: split, weighed, its frames found from the root of the store."""
    weight = decision.weights(balance)
    lines = lines_of((entry for entry, _ in decision.entries), files)
    for (entry, split), line in zip(decision.entries, lines, strict=True):
        sample = sample_of(line)
        images = {
            camera: tuple(ref.model_copy(update={"path": prefixes[entry.shard] + ref.path}) for ref in refs)
            for camera, refs in sample.images.items()
        }
        yield sample.model_copy(update={"images": images, "split": split, "weight": weight(entry, split)})


def _fetched(artifact: Artifact, folder: Path) -> Path:
    return artifact.fetch(folder, [SAMPLES]) / SAMPLES


def _illustrated(samples: Sequence[Sample], shards: ShardReader) -> list[tuple[Sample, bytes | None]]:
    """Return samples with their newest frame of the first camera, where they have one."""
    newest = [next(iter(sample.images.values()), ())[-1:] for sample in samples]
    return [(sample, shards.read(refs[0].path) if refs else None) for sample, refs in zip(samples, newest, strict=True)]


def _nothing_left(drives: Sequence[DriveAccount]) -> str:
    windows = sum(drive.windows for drive in drives)
    if not drives:
        return "no window left: there is no drive and no row in curate.drives; check the addresses"
    if not windows:
        return (
            f"no window left: the {len(drives)} drive(s) are too short for a single one; a window needs 1.6 s of "
            "history and 6.4 s of future"
        )
    table = "".join(f"\n  {count:8d}  {reason}" for reason, count in reasons(drives).items())
    return (
        f"no window left: all {windows} windows of {len(drives)} drive(s) were rejected\n  windows   reason{table}\n"
        f"{REJECTED} of the curate-map stage names each window with what was measured"
    )
