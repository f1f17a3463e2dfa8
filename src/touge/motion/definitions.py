"""The label definitions that recipes may name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from touge.contract.errors import RecipeError
from touge.motion.comparison import NvidiaMetaAction, VadCommand, WaymoMotion
from touge.motion.jp_2026_1 import Jp20261
from touge.motion.labels import LabelDefinition

_ALL: tuple[LabelDefinition, ...] = (Jp20261(), NvidiaMetaAction(), WaymoMotion(), VadCommand())

DEFINITIONS: Mapping[str, LabelDefinition] = MappingProxyType({each.name: each for each in _ALL})


def definition(name: str) -> LabelDefinition:
    """Return the definition of that name.

    Raises:
        RecipeError: If there is none; names the nearest and all that there are.
    """
    if name in DEFINITIONS:
        return DEFINITIONS[name]
    near = difflib.get_close_matches(name, DEFINITIONS, n=1)
    hint = f"did you mean `{near[0]}`? " if near else ""
    message = f"curate.labels: no label definition is called `{name}`; {hint}known are {', '.join(DEFINITIONS)}"
    raise RecipeError(message)
