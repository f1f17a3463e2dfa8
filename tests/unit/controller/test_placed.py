"""Where stages are at work, as people are told."""

from __future__ import annotations

import pytest
from run_builders import ended, plan_of, running

from controller.cli.placed import placed
from controller.cli.status import status_text
from controller.state import RunStatus, StageStatus, State


def status(*executions):
    train = plan_of().stage("train")
    stage = StageStatus(name="train", id=train.id, state=State.RUNNING, attempts=2)
    return RunStatus(state=State.RUNNING, stages=(stage,), executions=executions)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [((), ""), (("b", "a"), "a, b"), (("a", "b", "c"), "a, b, c"), (("a", "b", "c", "d", "e"), "a, b, c and 2 more")],
)
def test_few_nodes_are_named(nodes, said):
    assert placed(status(running("train", nodes=nodes)), "train") == said


def test_it_is_the_newest_attempt_that_counts_and_the_stages_own():
    executions = (
        ended("train", 30, attempt=1, nodes=("old",)),
        running("train", attempt=2, nodes=("new",)),
        ended("curate", 0, nodes=("other",)),
    )

    assert placed(status(*executions), "train") == "new"


def test_status_has_a_column_of_nodes_where_there_are_any():
    with_nodes = status_text("bend", status(running("train", nodes=("gpu-7",))), {})
    without = status_text("bend", status(running("train")), {})

    assert "attempts  node   progress" in with_nodes
    assert "gpu-7" in with_nodes
    assert "node" not in without
