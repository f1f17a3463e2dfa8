"""Which files decide what a stage does."""

import pytest

from touge.contract.code import STAGE_PACKAGES
from touge.storage.sources import computed_digests

FILES = {
    "contract/recipe.py": "a = 1",
    "contract/figures.yaml": "rows: []",
    "curation/split.py": "b = 2",
    "training/loop.py": "c = 3",
}


def digests(folder, **changed):
    for name, text in (FILES | changed).items():
        path = folder / "touge" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / "constraints.txt").write_text("torch==2", encoding="utf-8")
    return computed_digests(folder / "touge", folder / "constraints.txt")


@pytest.fixture
def before(tmp_path):
    return digests(tmp_path / "before")


def test_a_change_of_the_contract_changes_every_stage(before, tmp_path):
    after = digests(tmp_path / "after", **{"contract/recipe.py": "a = 2"})

    assert {stage for stage in STAGE_PACKAGES if after[stage] != before[stage]} == set(STAGE_PACKAGES)


def test_a_change_of_the_training_leaves_curated_data_as_they_are(before, tmp_path):
    after = digests(tmp_path / "after", **{"training/loop.py": "c = 4"})

    assert after["train"] != before["train"]
    assert after["curate"] == before["curate"]


@pytest.mark.parametrize("name", ["contract/figures.yaml", "training/.loop.py.swp", "training/__pycache__/loop.pyc"])
def test_measurements_and_what_tools_leave_change_no_stage(before, tmp_path, name):
    assert digests(tmp_path / "after", **{name: "other"}) == before
