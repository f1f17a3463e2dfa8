from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from touge.alpamayo.nucleus import nucleus_draw

#: In the order of their likelihood: 2, 0, 3, 1.
PROBABILITIES = torch.tensor([[0.3, 0.05, 0.5, 0.15]])


def drawn(top_p: float, *thrown: float) -> list[int]:
    rows = PROBABILITIES.expand(len(thrown), -1)
    return nucleus_draw(rows, top_p, torch.tensor(thrown)).tolist()


def test_numbers_from_0_to_1_draw_the_tokens_from_the_likeliest_to_the_least_likely():
    assert drawn(1.0, 0.0, 0.49, 0.51, 0.79, 0.81, 0.94, 0.96, 1 - 2**-24) == [2, 2, 0, 0, 3, 3, 1, 1]


@pytest.mark.parametrize(("top_p", "kept"), [(1.0, {0, 1, 2, 3}), (0.94, {0, 2, 3}), (0.79, {0, 2}), (0.5, {2})])
def test_what_is_drawn_is_the_smallest_set_that_holds_top_p(top_p, kept):
    assert set(drawn(top_p, *torch.linspace(0, 1 - 2**-24, 200).tolist())) == kept


def test_tokens_are_drawn_as_often_as_they_are_likely_among_those_left():
    found = torch.tensor(drawn(0.94, *torch.arange(0, 1, 1 / 1900).tolist()))
    assert found.bincount(minlength=4).tolist() == pytest.approx([600, 0, 1000, 300], abs=2)


def test_a_token_without_probability_is_never_drawn():
    rows = torch.tensor([[0.0, 1.0, 0.0]])
    assert [int(nucleus_draw(rows, 1.0, torch.tensor([u]))) for u in (0.0, 0.5, 1 - 2**-24)] == [1, 1, 1]


@given(st.integers(0, 2**32), st.floats(0.01, 1.0))
def test_a_row_is_drawn_as_it_is_alone(seed, top_p):
    dice = torch.Generator().manual_seed(seed)
    rows, thrown = torch.randn(5, 40, generator=dice).softmax(dim=-1), torch.rand(5, generator=dice)
    alone = [int(nucleus_draw(row[None], top_p, number[None])) for row, number in zip(rows, thrown, strict=True)]
    assert nucleus_draw(rows, top_p, thrown).tolist() == alone
