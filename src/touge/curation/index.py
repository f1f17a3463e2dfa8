"""What the merge keeps in memory of each row: enough to split, weigh and prove, and where the rest lies on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from sys import intern

from touge.contract.errors import DataError
from touge.contract.sample import Sample
from touge.curation.places import Position
from touge.motion.labels import report_bucket

#: What a row says until the merge has split the whole; never stored.
UNDECIDED = "train"
_LISTED = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of one shard.

    Attributes:
        drive: Its drive.
        t0_us: Its time.
        shard: Which shard's file it is in.
        offset: Of its line, bytes.
        size: Of its line, bytes.
        kind: Of its label.
        direction: Of its label.
        radius_band: Of its label.
        bucket: `curve`, `straight`, or the kind.
        source: Where its reasoning comes from, `none` where it has none yet.
        place: As the source or its cell names it.
        position: On a map, where there is one.
        picture: First bytes of the sha256 of its newest frame; empty without frames.
    """

    drive: str
    t0_us: int
    shard: int
    offset: int
    size: int
    kind: str
    direction: str
    radius_band: str
    bucket: str
    source: str
    place: str | None
    position: Position | None
    picture: bytes

    @property
    def id(self) -> str:
        """Sample id."""
        return f"{self.drive}@{self.t0_us}"


def row_of(sample: Sample) -> bytes:
    """Return a sample as a line of a shard: all of it but the split, which nobody knows yet."""
    return sample.model_dump_json(by_alias=True, exclude={"split"}).encode() + b"\n"


def sample_of(line: bytes) -> Sample:
    """Return the sample of a shard's line, its split undecided."""
    return Sample.read_json(line.rstrip()[:-1] + b',"split":"' + UNDECIDED.encode() + b'"}')


def index_of(shards: Sequence[Path]) -> list[Entry]:
    """Return the entries of all shards' rows, in the order of drive and time.

    Raises:
        DataError: If two rows have one id.
    """
    entries = [entry for number, path in enumerate(shards) for entry in _entries(number, path)]
    entries.sort(key=lambda entry: (entry.drive, entry.t0_us))
    twice = [one.id for one, other in pairwise(entries) if one.id == other.id]
    if twice:
        raise DataError(
            f"{len(twice)} windows come twice, first {', '.join(twice[:_LISTED])}: two of the recipe's drives have the "
            "same id. List each source once, or give the drives other names"
        )
    return entries


def lines_of(entries: Iterable[Entry], shards: Sequence[Path]) -> Iterator[bytes]:
    """Yield the row of each entry, read from where it lies."""
    streams = [path.open("rb") for path in shards]
    try:
        for entry in entries:
            stream = streams[entry.shard]
            stream.seek(entry.offset)
            yield stream.read(entry.size)
    finally:
        for stream in streams:
            stream.close()


def _entries(shard: int, path: Path) -> Iterator[Entry]:
    offset = 0
    with path.open("rb") as stream:
        for line in stream:
            yield _entry(sample_of(line), shard, offset, len(line))
            offset += len(line)


def _entry(sample: Sample, shard: int, offset: int, size: int) -> Entry:
    frames = next(iter(sample.images.values()), ())
    position = Position.of(sample.notes, sample.id)
    return Entry(
        drive=intern(sample.drive),
        t0_us=sample.t0_us,
        shard=shard,
        offset=offset,
        size=size,
        kind=intern(sample.label.kind),
        direction=intern(sample.label.direction),
        radius_band=intern(sample.label.radius_band),
        bucket=intern(str(report_bucket(sample.label))),
        source=intern(sample.reasoning.source if sample.reasoning else "none"),
        place=intern(sample.place) if sample.place else None,
        position=position,
        picture=bytes.fromhex(frames[-1].sha256)[:8] if frames else b"",
    )
