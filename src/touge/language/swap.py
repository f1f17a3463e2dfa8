"""Left for right in a text: the intervention that shows whether the reasoning moves the trajectory.

Evaluation gives the swapped text back to the model. Every direction word is swapped, also those of other road users,
so that the picture that the text draws is mirrored as a whole.
"""

from __future__ import annotations

import re

_OPPOSITE = {"left": "right", "right": "left", "左": "右", "右": "左"}
#: Where the words do not name a side. "Turn right behind the truck" does.
_STEERED = "".join(
    f"(?<!{verb} )" for verb in ("turn", "turning", "merge", "nudge", "steer", "move", "shift", "bends", "curves")
)
_IDIOM = (
    rf"\bright[- ]of[- ]way\b|{_STEERED}\bright (?:now|away|behind|in front|next to|beside)\b|\ball right\b"
    r"|\bleft (?:behind|over)\b|\b(?:has|have|had|time|distance|room|space) left\b|右左折|左右"
)
_WORDS = re.compile(rf"(?P<idiom>{_IDIOM})|\b(?:left|right)(?=wards?\b|most\b|hand|\b)|[左右]", re.IGNORECASE)


def swap_directions(text: str) -> str:
    """Return the text with left and right exchanged, case kept; neutral compounds (右左折, right of way) stay."""
    return _WORDS.sub(lambda match: match.group() if match["idiom"] else _swapped(match.group()), text)


def _swapped(word: str) -> str:
    other = _OPPOSITE[word.lower()]
    if word.isupper():
        return other.upper()
    return other.capitalize() if word.istitle() else other
