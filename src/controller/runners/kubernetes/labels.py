"""Labels of run records, by which runs are found and listed without reading them."""

from __future__ import annotations

from controller.manifests.job import RUN

#: Every object of a run, the record included, names the run.
OF_RUNS = RUN
RECORD = "touge/record"
STATE, REASON, GATE, OVER = "touge/state", "touge/reason", "touge/gate", "touge/over"
#: Annotations, unix microseconds: when the run was made, and until when somebody who stays with it may be believed in.
CREATED, ATTENDED = "touge/created-us", "touge/attended-until-us"


def of_run(run: str) -> str:
    """Return the selector of a run's objects."""
    return f"{RUN}={run}"
