"""Content ids, code digests, exit codes and the stage environment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touge.contract.artifacts import Shard, StageRef, checkpoint_prefix
from touge.contract.code import STAGE_PACKAGES, code_digest
from touge.contract.environment import StageEnvironment
from touge.contract.errors import SettingsError
from touge.contract.exit_codes import Consequence, rule_for
from touge.contract.identity import canonical_json, digest, run_id, stage_id
from touge.contract.inventory import Inventory, InventoryItem
from touge.contract.plan import STAGE_NAMES

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
SOURCES = {"stage.py": b"s", "training/loop.py": b"t", "curation/split.py": b"c", "demo/base.py": b"d"}


@given(st.dictionaries(st.text(), json_values))
def test_the_order_of_keys_does_not_change_a_digest(value):
    assert digest(value) == digest(dict(reversed(list(value.items()))))


@given(json_values, json_values)
def test_different_values_have_different_digests(one, other):
    assert (canonical_json(one) == canonical_json(other)) == (digest(one) == digest(other))


@pytest.mark.parametrize("change", [{"section": {"a": 2}}, {"inputs": {"data": "y"}}, {"code": "z"}])
def test_each_part_changes_a_stage_id(change):
    parts = {"section": {"a": 1}, "inputs": {"data": "x"}, "code": "c"}

    assert stage_id("train", **parts) != stage_id("train", **(parts | change))


def test_a_run_id_fits_a_dns_label_with_room_for_a_stage_and_an_attempt():
    assert len(run_id("n" * 30, ["a", "b"])) + len("-evaluate-map-99") <= 63


def test_an_inventory_is_the_same_at_another_address():
    items = [InventoryItem(key=key, size=1, tag="t") for key in "ba"]

    assert Inventory.of("s3://one", items).digest == Inventory.of("s3://two", reversed(items)).digest


@pytest.mark.parametrize(
    ("path", "stages"),
    [
        ("stage.py", set(STAGE_NAMES)),
        ("training/loop.py", {"train"}),
        ("curation/split.py", {"curate-map", "curate"}),
        ("demo/base.py", set()),
    ],
)
def test_changed_code_changes_the_stages_that_may_import_it(path, stages):
    changed = SOURCES | {path: b"new"}

    assert stages == {
        name for name in STAGE_PACKAGES if code_digest(name, SOURCES, b"") != code_digest(name, changed, b"")
    }


def test_changed_constraints_change_every_stage():
    assert all(code_digest(name, SOURCES, b"1") != code_digest(name, SOURCES, b"2") for name in STAGE_PACKAGES)


@pytest.mark.parametrize(
    ("code", "consequence"),
    [
        (0, Consequence.DONE),
        (1, Consequence.FAIL),
        (13, Consequence.FAIL),
        (30, Consequence.RETRY),
        (31, Consequence.RESUME),
        (120, Consequence.FAIL),
        (137, Consequence.RETRY),
        (139, Consequence.RETRY_ONCE),
        (143, Consequence.RESUME),
    ],
)
def test_an_exit_code_has_its_consequence(code, consequence):
    assert consequence == rule_for(code).consequence


def test_the_stage_environment_survives_the_round_trip():
    environment = StageEnvironment("plan.json", "file:///s", "train", 3, "uid", "/scratch", "/log", 2)

    assert environment == StageEnvironment.parse(environment.to_environ())


def test_every_missing_variable_is_named():
    with pytest.raises(SettingsError, match=r"TOUGE_PLAN.*TOUGE_STORE.*TOUGE_ATTEMPT='x'"):
        StageEnvironment.parse({"TOUGE_ATTEMPT": "x", "TOUGE_STAGE": "train"})


def test_checkpoints_and_shards_sort_as_they_count():
    assert checkpoint_prefix(999) < checkpoint_prefix(1000)
    assert StageRef("m", Shard(9, 12)).prefix < StageRef("m", Shard(10, 12)).prefix
