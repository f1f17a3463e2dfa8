"""What a text may claim of the ego vehicle, and how found claims are put together; common to both languages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from re import Match, Pattern

from touge.motion.labels import Direction


class ClaimKind(StrEnum):
    """Which manoeuvre the ego vehicle is said to do."""

    CURVE = "curve"
    TURN = "turn"
    LANE_CHANGE = "lane_change"
    NUDGE = "nudge"
    STRAIGHT = "straight"
    KEEP_LANE = "keep_lane"


@dataclass(frozen=True, slots=True)
class Claim:
    """One manoeuvre of the ego vehicle with its side (none for straight and keep lane) and the words that say it."""

    kind: ClaimKind
    direction: Direction
    words: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A phrase that says a manoeuvre.

    Attributes:
        kind: Of the claim, or a function of the match where the surroundings decide.
        pattern: With a group `d` for the side, unless the kind has none.
    """

    kind: ClaimKind | Callable[[Match[str]], ClaimKind]
    pattern: Pattern[str]

    def claim(self, match: Match[str], words: dict[str, Direction]) -> Claim:
        """Return the claim of one match; `words` maps the text of group `d` to a side."""
        kind = self.kind(match) if callable(self.kind) else self.kind
        side = match.groupdict().get("d")
        return Claim(kind, words[side] if side else Direction.NONE, match.group().strip())


def accepted(
    rules: Iterable[Rule], text: str, is_ego: Callable[[Match[str], Rule], bool]
) -> list[tuple[Rule, Match[str]]]:
    """Return the matches that speak of the ego vehicle, in the order of the text, none over another.

    Of two that overlap the one that begins first is taken, of those the longer one.
    """
    found = [(rule, match) for rule in rules for match in rule.pattern.finditer(text) if is_ego(match, rule)]
    found.sort(key=lambda pair: (pair[1].start(), -pair[1].end()))
    kept: list[tuple[Rule, Match[str]]] = []
    for rule, match in found:
        if not kept or match.start() >= kept[-1][1].end():
            kept.append((rule, match))
    return kept
