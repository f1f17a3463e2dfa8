"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        name: What it is.
        ok: Whether a run can do with it.
        found: What was seen.
        advice: What to do where it is not ok.
        hint: What is worth knowing where it is.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""
    hint: str = ""

    def __str__(self) -> str:
        mark, more = ("note" if self.hint else "ok  ", self.hint) if self.ok else ("FAIL", self.advice)
        return f"{mark} {self.name}: {self.found}" + (f"\n     {more}" if more else "")
