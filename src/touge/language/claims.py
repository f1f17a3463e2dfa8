"""Text in, what it claims of the ego vehicle out; English and Japanese.

Before `consistency`, which holds claims against trajectories. The parser binds directions to manoeuvres clause by
clause: most direction words in driving texts speak of somebody else.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby

from touge.language.claim import Claim, ClaimKind
from touge.language.english import english_claims
from touge.language.japanese import japanese_claims
from touge.motion.labels import Direction

_JAPANESE = re.compile(r"[ぁ-んァ-ン一-龥]")
_DASHES = str.maketrans({"’": "'", "‘": "'", "–": "-", "—": "-", "‑": "-", "−": "-"})


def claims(text: str) -> tuple[Claim, ...]:
    """Return what a text claims of the ego vehicle, in its order; empty where it claims nothing.

    What says more counts alone: a side before straightness ("go straight, then take the left curve"), straightness
    before lane keeping. The same said twice in a row is one claim; an S-curve ("left then right") is two.
    """
    plain = unicodedata.normalize("NFKC", text).translate(_DASHES)
    if _JAPANESE.search(plain):
        found = japanese_claims(re.sub(r"\s+", "", plain))
    else:
        found = english_claims(re.sub(r"\s+", " ", plain.lower()))
    told = next((some for some in (_sided(found), _straight(found), found) if some), ())
    runs = groupby(told, key=lambda claim: (claim.kind, claim.direction))
    return tuple(next(run) for _, run in runs)


def first_claim(text: str) -> Claim | None:
    """Return the first claim of a text, or None."""
    return next(iter(claims(text)), None)


def _sided(found: tuple[Claim, ...]) -> tuple[Claim, ...]:
    return tuple(claim for claim in found if claim.direction is not Direction.NONE)


def _straight(found: tuple[Claim, ...]) -> tuple[Claim, ...]:
    return tuple(claim for claim in found if claim.kind is ClaimKind.STRAIGHT)
