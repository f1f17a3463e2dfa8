"""The retry table of design §5, row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_builders import SECOND, ended

from controller.retries import OOM_KILLED, GiveUp, Policy, Retry, judge
from controller.state import Reason
from touge.contract.exit_codes import RULES, Consequence

POLICY = Policy(retries=5, crashes=1, stalls=3, backoff_s=2, backoff_cap_s=10)
TRIED_AGAIN = (30, 31, 134, 137, 139, 143)


def train(*codes: int | None, **fields):
    return [ended("train", code, attempt=number, **fields) for number, code in enumerate(codes, 1)]


@pytest.mark.parametrize("code", [1, 2, 9, 10, 11, 12, 13, 120])
def test_an_error_that_would_come_again_fails_at_once(code):
    assert isinstance(judge(train(code), POLICY), GiveUp)


@pytest.mark.parametrize("code", TRIED_AGAIN)
def test_an_error_that_may_pass_is_tried_again(code):
    assert isinstance(judge(train(code), POLICY), Retry)


@pytest.mark.parametrize(("code", "allowed"), [(30, 5), (137, 5), (134, 1), (139, 1), (31, 3), (143, 3), (None, 5)])
def test_each_kind_of_failure_is_forgiven_so_often(code, allowed):
    assert isinstance(judge(train(*[code] * allowed), POLICY), Retry)
    assert isinstance(judge(train(*[code] * (allowed + 1)), POLICY), GiveUp)


def test_out_of_host_memory_fails_with_its_own_reason():
    verdict = judge(train(137, reason=OOM_KILLED), POLICY)

    assert isinstance(verdict, GiveUp)
    assert verdict.reason == "HostMemory"


def test_an_interruption_with_a_newer_checkpoint_is_free():
    history = [ended("train", 31, attempt=n, checkpoint=n * 100) for n in range(1, 50)]

    verdict = judge(history, POLICY)

    assert isinstance(verdict, Retry)
    assert verdict.at_us == history[-1].ended_us


def test_interruptions_at_the_same_checkpoint_end_as_no_progress():
    history = [ended("train", 31, attempt=n, checkpoint=100) for n in range(1, 6)]

    verdict = judge(history, POLICY)

    assert isinstance(verdict, GiveUp)
    assert verdict.reason == "NoProgress"


def test_termination_counts_even_where_a_checkpoint_was_written():
    history = [ended("train", 143, attempt=n, checkpoint=n * 100) for n in range(1, 5)]

    assert isinstance(judge(history, POLICY), GiveUp)


def test_the_first_failure_of_its_kind_is_named_as_the_cause():
    verdict = judge(train(31, 30, 30, 30, 30, 30, 30), POLICY)

    assert isinstance(verdict, GiveUp)
    assert verdict.first.attempt == 2


def test_waits_double_up_to_the_cap():
    waits = [judge(train(*[30] * n), POLICY).at_us / SECOND - 2 for n in range(1, 6)]

    assert waits == [2, 4, 8, 10, 10]


def test_ending_well_without_a_commit_is_a_bug_and_says_so():
    verdict = judge(train(0), POLICY)

    assert isinstance(verdict, GiveUp)
    assert verdict.reason == "NotCommitted"


@given(st.lists(st.sampled_from([None, *TRIED_AGAIN]), min_size=11, max_size=30))
def test_failures_without_progress_always_end(codes):
    assert any(isinstance(judge(train(*codes[:n]), POLICY), GiveUp) for n in range(1, len(codes) + 1))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.code))
def test_every_row_of_the_table_has_its_consequence(rule):
    verdict = judge(train(rule.code), POLICY)

    assert isinstance(verdict, Retry) == (rule.consequence not in {Consequence.FAIL, Consequence.DONE})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.code))
def test_every_reason_of_the_table_is_typed(rule):
    assert Reason(rule.reason)
