"""Which run is meant: by its id, by the beginning of it, or the newest one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from controller.cli.verb import UsageError

if TYPE_CHECKING:
    from controller.records import Records, RunRecord


def find_run(records: Records, given: str | None) -> RunRecord:
    """Return the one run that is meant; None means the newest.

    Raises:
        UsageError: If there is none, or more than one.
    """
    known = [summary.run for summary in records.summaries()]
    if not known:
        raise UsageError("there is no run yet; `submit RECIPE` makes one")
    if given is None:
        return records.read(known[-1])
    matches = [run for run in known if run == given] or [run for run in known if run.startswith(given)]
    if len(matches) == 1:
        return records.read(matches[0])
    names = matches or known
    if matches:
        raise UsageError(f"{given!r} is the beginning of {len(matches)} runs: {', '.join(names)}; give more of the id")
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    raise UsageError(
        f"no run {given!r}" + (f"; did you mean {near[0]}?" if near else f"; known: {', '.join(names[-8:])}")
    )
