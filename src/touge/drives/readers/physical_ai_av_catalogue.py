"""What the metadata of a PhysicalAI-AV folder says: which clips there are, where their parts lie, what is said of them.

Under the reader `physical_ai_av`, which makes drives of it. Every table is read once; no clip is opened here.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from touge.contract.errors import DataError, ObjectNotFound
from touge.drives import parquet
from touge.drives.countries import country_code
from touge.drives.drive import ReasoningEvent
from touge.drives.physical_ai_av import (
    CLIP_INDEX,
    DATA_COLLECTION,
    EGOMOTION,
    FEATURE_PRESENCE,
    FEATURES,
    PLACE,
    REASONING,
    SENSOR_PRESENCE,
)
from touge.drives.ranged import read_member, read_object
from touge.storage import Store

#: NVIDIA's files say `coc`; exports of the same events say `cot`.
_TEXT_KEYS = ("coc", "cot")


@dataclass(frozen=True, slots=True)
class Feature:
    """Where one feature lies: the file of a chunk, and in a zip the members of a clip by alias."""

    chunk_path: str
    members: Mapping[str, str]

    def key(self, chunk: int) -> str:
        """Return the file of a chunk."""
        return self.chunk_path.format(chunk_id=chunk)


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip: chunk, where it was recorded, and the features that it has."""

    id: str
    chunk: int
    country: str | None
    place: str | None
    features: frozenset[str]


@dataclass(frozen=True, slots=True)
class Listing:
    """The clips that can be read, and counts of the others by reason."""

    clips: Mapping[str, Clip]
    left_out: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The metadata of one copy of the data set.

    Attributes:
        store: Root of the copy, which may hold some chunks only.
        region: ISO country code; only clips recorded there are listed.
    """

    store: Store
    region: str | None = None

    def feature(self, name: str) -> Feature:
        """Return where a feature lies.

        Raises:
            DataError: If the data set has no such feature.
        """
        if name not in self.features:
            raise DataError(f"{self.store.uri}/{FEATURES}: no feature {name}; it lists {', '.join(self.features)}")
        return self.features[name]

    def read(self, feature: str, clip: Clip, alias: str) -> tuple[bytes, str]:
        """Return one member of a clip's zip, and its full name for messages.

        Raises:
            DataError: If the chunk or the member is missing or damaged.
        """
        where = self.feature(feature)
        key, member = where.key(clip.chunk), where.members[alias].format(clip_id=clip.id)
        return read_member(self.store, key, member), f"{self.store.uri}/{key}#{member}"

    def calibration(self, feature: str, clip: Clip, **sensor: str) -> Mapping[str, Any] | None:
        """Return the row of one sensor of a clip, or None where this copy has none."""
        if feature not in self.features:
            return None
        table = self._optional(self.features[feature].key(clip.chunk))
        wanted = {"clip_id": clip.id, **sensor}
        rows = [] if table is None else table.to_pylist()
        return next((row for row in rows if all(row.get(name) == value for name, value in wanted.items())), None)

    @cached_property
    def features(self) -> Mapping[str, Feature]:
        """All features by name."""
        text = read_object(self.store, FEATURES).decode("utf-8-sig")
        try:
            return {
                row["feature"]: Feature(row["chunk_path"], json.loads(row["clip_files_in_zip"] or "{}"))
                for row in csv.DictReader(io.StringIO(text))
            }
        except (KeyError, json.JSONDecodeError) as error:
            raise DataError(
                f"{self.store.uri}/{FEATURES}: expected columns feature, chunk_path and clip_files_in_zip: {error!r}"
            ) from error

    @cached_property
    def listing(self) -> Listing:
        """The clips of the index, sorted out.

        Raises:
            DataError: If metadata is missing or damaged, or no clip is left.
        """
        source = f"{self.store.uri}/{CLIP_INDEX}"
        table = parquet.read_table(read_object(self.store, CLIP_INDEX), source)
        ids = parquet.values(table, "clip_id", source)
        chunks = parquet.integers(table, "chunk", source).tolist()
        valid = parquet.values(table, "clip_is_valid", source)
        clips: dict[str, Clip] = {}
        left_out: Counter[str] = Counter()
        every = frozenset(self.features)
        for clip, chunk, usable in sorted(zip(ids, chunks, valid, strict=True)):
            country, place = self._collected.get(clip, (None, None))
            if reason := self._reason_against(chunk, usable=usable, country=country):
                left_out[reason] += 1
            else:
                clips[clip] = Clip(clip, chunk, country, place, self._present.get(clip, every))
        if not clips:
            raise DataError(self._nothing(left_out))
        return Listing(clips, left_out)

    def _reason_against(self, chunk: int, *, usable: bool, country: str | None) -> str | None:
        if not usable:
            return "clip_is_invalid"
        if self.region and (country is None or country_code(country) != self.region.upper()):
            return "other_region"
        return None if self.feature(EGOMOTION).key(chunk) in self._egomotion else "chunk_not_in_this_copy"

    def _nothing(self, left_out: Mapping[str, int]) -> str:
        counts = ", ".join(f"{reason} {count}" for reason, count in sorted(left_out.items())) or "it is empty"
        expected = self.feature(EGOMOTION).chunk_path
        countries = sorted({country for country, _ in self._collected.values() if country})
        return (
            f"{self.store.uri}/{CLIP_INDEX}: no clip can be read ({counts}). Ego motion is expected in {expected}; "
            f"region asked for: {self.region or 'any'}, countries there are: {', '.join(countries) or 'unknown'}"
        )

    @cached_property
    def _egomotion(self) -> frozenset[str]:
        """Chunks of ego motion that this copy holds."""
        prefix = self.feature(EGOMOTION).chunk_path.partition("{")[0]
        return frozenset(info.key for info in self.store.list(prefix))

    @cached_property
    def _present(self) -> Mapping[str, frozenset[str]]:
        """Features by clip; those that the table does not list are taken to be there."""
        table = self._optional(FEATURE_PRESENCE, SENSOR_PRESENCE)
        if table is None:
            return {}
        ids = parquet.values(table, "clip_id", FEATURE_PRESENCE)
        flags = {name: table.column(name).to_pylist() for name in table.column_names if name in self.features}
        unlisted = frozenset(self.features) - frozenset(flags)
        return {clip: unlisted | {name for name in flags if flags[name][row]} for row, clip in enumerate(ids)}

    @cached_property
    def _collected(self) -> Mapping[str, tuple[str | None, str | None]]:
        """Country and place by clip."""
        table = self._optional(DATA_COLLECTION)
        if table is None:
            return {}
        ids = parquet.values(table, "clip_id", DATA_COLLECTION)
        country, place = (
            table.column(name).to_pylist() if name in table.column_names else [None] * len(ids)
            for name in ("country", PLACE)
        )
        return dict(zip(ids, zip(country, place, strict=True), strict=True))

    @cached_property
    def reasoning(self) -> Mapping[str, tuple[ReasoningEvent, ...]]:
        """What is said of each clip that something is said of.

        Raises:
            DataError: If an event has no text or no time.
        """
        table = self._optional(REASONING)
        if table is None:
            return {}
        source = f"{self.store.uri}/{REASONING}"
        rows = zip(parquet.values(table, "clip_id", source), parquet.values(table, "events", source), strict=True)
        return {clip: _events(text, f"{source}, clip {clip}") for clip, text in rows if text is not None}

    def _optional(self, *keys: str) -> Any:
        """Return the first of these tables that is there, or None."""
        for key in keys:
            try:
                data = self.store.get(key)
            except ObjectNotFound:
                continue
            return parquet.read_table(data, f"{self.store.uri}/{key}")
        return None


def _events(text: str, source: str) -> tuple[ReasoningEvent, ...]:
    """Parse the events of one clip; an empty text is an error, because it would train silence."""
    try:
        events = [(int(event["event_start_timestamp"]), _text(event)) for event in json.loads(text)]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{source}: expected a JSON list of events with event_start_timestamp and coc: {error!r}"
        ) from error
    if silent := [t_us for t_us, said in events if not said.strip()]:
        raise DataError(f"{source}: no text under {' or '.join(_TEXT_KEYS)} in the events at {silent} us")
    return tuple(ReasoningEvent(t_us, said.strip()) for t_us, said in sorted(events))


def _text(event: Mapping[str, Any]) -> str:
    return next((str(event[key]) for key in _TEXT_KEYS if event.get(key)), "")
