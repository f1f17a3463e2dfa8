"""The report's page: whole by itself, in words and pictures."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from touge.evaluation.comparison import Comparison, compare
from touge.evaluation.page import render
from touge.evaluation.stage import pick

from .worlds import material

JPEG = b"\xff\xd8\xff\xe0 a picture"
LOSSES = [
    {"step": step, "reasoning": 1.0 / (step + 1), "trajectory": 0.5, "trajectory_tokens": None} for step in range(50)
]


def page_of(comparison: Comparison, **changes) -> str:
    picks = pick(comparison)
    frames = {comparison.windows.samples[one.index].id: JPEG for one in picks}
    return render(comparison, picks, **({"frames": frames, "losses": LOSSES} | changes))


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(material())


@pytest.fixture(scope="module")
def page(comparison) -> str:
    return page_of(comparison)


class Balance(HTMLParser):
    """Complains about tags that are not closed."""

    VOID = frozenset({"meta", "br", "img", "link", "circle", "line", "polyline", "rect", "image"})

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_needs_nothing_from_outside(page):
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", page) + re.findall(r"url\(([^)]+)", page)

    assert addresses
    assert all(address.startswith("data:image/") for address in addresses)
    assert "<script" not in page
    assert "@import" not in page


def test_every_tag_is_closed(page):
    balance = Balance()
    balance.feed(page)

    assert balance.open == []


def test_the_verdict_and_every_check_are_on_the_page(page, comparison):
    assert "Gate passed" in page
    assert page.count('class="mark"') == len(comparison.report.verdict.checks)


def test_a_failed_gate_says_so_and_why():
    page = page_of(compare(material(tuned=0.03)))

    assert "Gate failed" in page
    assert "gain_left" in page


def test_no_verdict_says_why():
    assert "Too few independent drives" in page_of(compare(material(drives=7)))


def test_the_finding_stands_in_one_sentence(page):
    assert "On 96 held-out curve windows of 24 drives, the base model names the right direction in 100%" in page


def test_japanese_reasoning_is_written_as_it_was_said(page):
    assert "この先右カーブ、減速します。" in page


def test_reasoning_cannot_inject_markup():
    whole = material()
    evil = "<script>alert('left')</script> Left curve ahead."
    spoken = {
        key: row.model_copy(update={"rollouts": tuple(r.model_copy(update={"reasoning": evil}) for r in row.rollouts)})
        for key, row in whole.predictions["tuned"].items()
    }

    page = page_of(compare(material(predictions={"base": whole.predictions["base"], "tuned": spoken})))

    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_each_picked_window_shows_paths_over_its_frame_and_from_above(page, comparison):
    picks = len(pick(comparison))

    assert page.count("data:image/jpeg;base64,") == picks
    assert page.count("paths seen from above") == picks


def test_a_window_without_a_frame_says_so(comparison):
    assert "no frame" in page_of(comparison, frames={})


def test_the_loss_curve_is_drawn_where_the_training_is_known(page, comparison):
    assert "training loss by step" in page
    assert "training loss by step" not in page_of(comparison, losses=[])


def test_provenance_is_on_the_page(page):
    assert "base.digest" in page
    assert "ab" * 32 in page


def test_a_world_without_straights_or_cameras_still_has_a_page():
    whole = material()
    curves = tuple(s.model_copy(update={"cameras": {}}) for s in whole.samples if s.label.kind == "curve")

    assert "no verdict" in page_of(compare(material(samples=curves)))


def test_the_page_stays_small(page):
    assert len(page) < 1_000_000


def test_templates_lie_beside_the_code():
    from touge.evaluation import page as module

    assert (Path(module.__file__).parent / "templates" / "report.html").is_file()
