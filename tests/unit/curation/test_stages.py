"""Both stages from end to end: drives and rows in, one data set out."""

import dataclasses
import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from curating import Curator, arc, plan_of, rows_of

from touge.contract.artifacts import StageRef
from touge.contract.errors import DataError, Interrupted
from touge.contract.sample import Sample
from touge.curation.mapping import curate_map
from touge.curation.merging import curate
from touge.storage.execution import committed
from touge.storage.shards import ShardReader

CURVATURES = (0.01, -0.01, 0.0, 0.0)
WRONG = {"reasoning": {"text": "Follow the right curve.", "language": "en", "source": "dataset"}}


@pytest.fixture
def many(rows):
    """Return 20 drives on 10 roads: half of the windows curve."""
    for number in range(20):
        rows.add_drive(f"drive-{number:02}", CURVATURES[number // 2 % 4], place=f"road-{number // 2}")
    return rows


def table(folder, name: str, curvature: float, x: float, y: float, seconds: float = 20.0) -> None:
    """Write a drive on an arc from (x, y), with positions on a map."""
    t = np.arange(round(seconds * 20) + 1) / 20
    path = arc(curvature, 10.0, t) + np.array([x, y, 0.0])
    lines = [f"{time:.2f},{px:.6f},{py:.6f},{yaw:.6f},10.0" for time, (px, py, yaw) in zip(t, path, strict=True)]
    (folder / f"{name}.csv").write_text("\n".join(["t,x,y,yaw,v", *lines]) + "\n")


def tables(folder, **changes) -> dict:
    """Return a section `curate` for tables, with drawn frames."""
    source = {
        "format": "table",
        "uri": f"file://{folder}",
        "timestamp": {"column": "t", "unit": "s"},
        "motion": {"kind": "positions", "x": "x", "y": "y", "yaw": "yaw", "speed": "v"},
        "camera": {"render": "synthetic", "width": 128, "height": 64},
    }
    return {"drives": [source], "image": {"min_pixels": 8192, "max_pixels": 8192}} | changes


def account(artifact) -> dict:
    return json.loads(artifact.read("curation.json"))


def elsewhere(found: list[dict]) -> list[dict]:
    """Return rows without where their frames lie."""
    for row in found:
        for frames in row["images"].values():
            for frame in frames:
                del frame["path"]
    return found


def test_every_row_is_a_sample_in_the_order_of_drive_and_time(curator, many):
    found = [Sample.model_validate(row) for row in rows_of(curator.curate(many.section()))]

    assert len(found) == 60
    assert [one.id for one in found] == sorted(one.id for one in found)


def test_every_frame_is_found_from_the_root_of_the_store(curator, many):
    artifact = curator.curate(many.section(shards=3))
    reader = ShardReader(artifact.store)

    refs = [ref for row in rows_of(artifact) for ref in row["images"]["front_wide"]]
    assert len(refs) == 240
    assert all(hashlib.sha256(reader.read(ref["path"])).hexdigest() == ref["sha256"] for ref in refs)


def test_a_road_and_a_drive_are_on_one_side(curator, many):
    artifact = curator.curate(many.section())
    for key in ("drive", "place"):
        sides = {}
        for row in rows_of(artifact):
            sides.setdefault(row[key], set()).add(row["split"])

        assert all(len(names) == 1 for names in sides.values())
        assert {name for names in sides.values() for name in names} == {"train", "validation", "test"}


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_training_reaches_the_wanted_share_of_straights_and_nothing_else_is_weighed(share, curator, many):
    artifact = curator.curate(many.section(balance={"straight": share}))
    weights = Counter()
    for row in rows_of(artifact):
        if row["split"] == "train":
            weights[row["label"]["kind"]] += row["weight"]
        else:
            assert row["weight"] == 1.0

    assert weights["straight"] / weights.total() == pytest.approx(share)
    assert account(artifact)["mix"]["weighed"] == share


def test_the_same_content_gives_the_same_bytes(tmp_path, many):
    names = ("samples.jsonl", "leakage.json", "curation.json", "summary.html")
    first, second = (Curator(tmp_path / name).curate(many.section()) for name in ("first", "second"))

    assert [first.read(name) for name in names] == [second.read(name) for name in names]


def test_the_number_of_shards_changes_nothing_but_where_frames_lie(tmp_path, many):
    many.add("drive-00", 9_000_000, **WRONG)
    one, three = (Curator(tmp_path / str(shards)).curate(many.section(shards=shards)) for shards in (1, 3))

    assert elsewhere(rows_of(one)) == elsewhere(rows_of(three))
    for name in ("leakage.json", "curation.json", "summary.html"):
        assert one.read(name) == three.read(name)


def test_a_shard_without_a_drive_is_fine(curator, rows):
    rows.add_drive("only")
    artifact = curator.curate(rows.section(shards=3, split={"validation": 0.0, "test": 0.0}))

    assert len(rows_of(artifact)) == 3


def test_what_came_in_is_what_was_kept_and_what_was_rejected(curator, many):
    many.add("drive-00", 9_000_000, **WRONG)
    many.add("drive-01", 9_000_000, 0.25, 4.0)
    many.add("drive-02", 9_000_000, images={})
    artifact = curator.curate(many.section(shards=2))
    found = account(artifact)

    assert found["totals"] == {
        "windows": 63,
        "kept": 60,
        "rejected": {"contradiction": 1, "curvature": 1, "missing_camera": 1},
    }
    assert sum(cell["windows"] for cell in found["cells"]) == sum(found["reasoning"].values()) == 60
    assert [drive["rejected"] for drive in found["drives"][:3]] == [
        {"contradiction": 1},
        {"curvature": 1},
        {"missing_camera": 1},
    ]
    assert len(rows_of(artifact)) == 60


def test_every_rejected_window_is_listed_with_all_its_reasons(curator, rows):
    rows.add_drive("good")
    rows.add("bad", 2_000_000, **WRONG)
    rows.add("bad", 3_000_000, 0.25, 4.0, images={})
    (shard,) = curator.map(plan_of(rows.section()))
    listed = [json.loads(line) for line in shard.read("rejected.jsonl").splitlines()]

    assert [(one["id"], [reason["reason"] for reason in one["reasons"]]) for one in listed] == [
        ("bad@2000000", ["contradiction"]),
        ("bad@3000000", ["missing_camera"]),
    ]


def test_kept_contradictions_taint_the_data_set(curator, many):
    many.add("drive-00", 9_000_000, **WRONG)
    artifact = curator.curate(many.section(contradictions="keep"))

    assert artifact.manifest.metadata["tainted"] is True
    assert (account(artifact)["tainted"], account(artifact)["contradictions"]) == (True, 1)
    assert WRONG["reasoning"] in [row["reasoning"] for row in rows_of(artifact)]


def test_rejected_contradictions_do_not_taint(curator, many):
    many.add("drive-00", 9_000_000, **WRONG)
    artifact = curator.curate(many.section())

    assert artifact.manifest.metadata["tainted"] is False
    assert account(artifact)["contradictions"] == 0


def test_rows_without_positions_leave_leakage_unknown(curator, many):
    artifact = curator.curate(many.section())

    assert artifact.manifest.metadata["leakage"] == "unknown"
    assert json.loads(artifact.read("leakage.json"))["verdict"] == "unknown"
    assert json.loads(artifact.read("leakage.json")) == account(artifact)["leakage"]


def test_drives_on_one_map_prove_that_nothing_leaks(curator, tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    for number in range(4):
        table(folder, f"road-{number}", 0.005, 0.0, 5000.0 * number)
    table(folder, "road-0-again", 0.005, 1.0, 1.0)
    artifact = curator.curate(tables(folder))
    leakage = json.loads(artifact.read("leakage.json"))
    sides = {row["drive"]: row["split"] for row in rows_of(artifact)}

    assert (leakage["verdict"], leakage["unit"]) == ("proved", "place")
    assert leakage["nearest_m"] is None or leakage["nearest_m"] >= 10.0
    assert account(artifact)["held_out"]["units"] == 4
    assert sides["road-0"] == sides["road-0-again"]


def test_a_split_by_drive_alone_of_one_road_is_refused(curator, tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    table(folder, "there", 0.005, 0.0, 0.0)
    table(folder, "there-again", 0.005, 1.0, 1.0)

    with pytest.raises(DataError, match=r"the split leaks(.|\n)*Set curate.split.by to \[drive, place\]"):
        curator.curate(tables(folder, split={"by": ["drive"], "validation": 0.0, "test": 0.5}))


def test_one_single_drive_is_split_in_blocks_and_what_lies_at_a_cut_is_counted(curator, rows):
    rows.add_drive("only", windows=300)
    artifact = curator.curate(rows.section())
    found = account(artifact)
    times = {}
    for row in rows_of(artifact):
        times.setdefault(row["split"], set()).add(row["t0_us"] // 60_000_000)

    assert (found["held_out"]["unit"], found["held_out"]["units"]) == ("block_60s", 6)
    assert found["totals"]["windows"] == 300 == found["totals"]["kept"] + found["totals"]["rejected"]["at_a_cut"]
    assert found["drives"][0]["splits"] == ["test", "train", "validation"]
    assert sum(map(len, times.values())) == len(set().union(*times.values()))
    assert json.loads(artifact.read("leakage.json"))["verdict"] == "unknown"


def test_all_windows_rejected_is_an_error_with_the_counts(curator, rows):
    rows.add_drive("a", **WRONG)
    rows.add("b", 2_000_000, 0.25, 4.0)

    with pytest.raises(
        DataError, match=r"all 4 windows of 2 drive\(s\) were rejected(.|\n)*3  contradiction\n.*1  cur"
    ):
        curator.curate(rows.section())


def test_drives_too_short_for_a_window_are_an_error_that_says_so(curator, tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    table(folder, "short", 0.0, 0.0, 0.0, seconds=1.0)

    with pytest.raises(DataError, match=r"the 1 drive\(s\) are too short for a single one"):
        curator.curate(tables(folder))


def test_no_rows_at_all_are_an_error(curator, rows):
    with pytest.raises(DataError, match=r"there is no drive and no row in curate\.drives"):
        curator.curate(rows.section())


def test_a_source_that_is_listed_twice_is_an_error(curator, rows):
    rows.add_drive("a")
    section = rows.section()

    with pytest.raises(DataError, match=r"3 windows come twice, first a@2000000"):
        curator.curate(section | {"drives": section["drives"] * 2})


def test_rows_and_drives_go_together(curator, rows, tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    table(folder, "driven", 0.005, 0.0, 0.0)
    rows.add_drive("brought")
    section = rows.section()
    artifact = curator.curate(section | {"drives": [*section["drives"], *tables(folder)["drives"]]})

    assert {row["drive"] for row in rows_of(artifact)} == {"brought", "driven"}
    assert [(drive["drive"], drive["source"]) for drive in account(artifact)["drives"]] == [
        ("brought", 0),
        ("driven", 1),
    ]


def test_scratch_space_is_given_back(curator, many):
    plan = plan_of(many.section())
    curator.map(plan)

    assert list(curator.context(plan, "curate-map").scratch.iterdir()) == []


def files(context) -> list[str]:
    return [info.key for info in context.store.list(context.execution.prefix)]


def test_a_map_that_is_asked_to_stop_is_interrupted_and_leaves_nothing_to_commit(curator, many):
    context = curator.context(plan_of(many.section()), "curate-map", stop=[15])

    with pytest.raises(Interrupted, match="stopped after 0 of 1 drives"):
        curate_map(context)
    assert files(context) == []
    assert committed(context.store, context.execution.ref) is None


def test_a_map_stops_between_windows_of_later_drives(curator, tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    for name in "abc":
        table(folder, name, 0.0, 0.0, 0.0)
    stop, ticks = [], []

    def clock() -> int:
        """Ask to stop at the second look at the time: when the first drive is done."""
        ticks.append(0)
        stop.extend([15] * (len(ticks) == 2))
        return 0

    context = dataclasses.replace(curator.context(plan_of(tables(folder)), "curate-map"), clock=clock, _stop=stop)
    with pytest.raises(Interrupted, match="stopped after 1 of 3 drives"):
        curate_map(context)
    assert committed(context.store, context.execution.ref) is None


def test_a_merge_that_is_asked_to_stop_is_interrupted_and_leaves_nothing_to_commit(curator, many):
    plan = plan_of(many.section())
    curator.map(plan)
    context = curator.context(plan, "curate", stop=[15])

    with pytest.raises(Interrupted):
        curate(context)
    assert files(context) == []
    assert committed(context.store, StageRef(context.stage.id)) is None


def test_what_was_interrupted_can_be_done_again(curator, many):
    section = many.section()
    with pytest.raises(Interrupted):
        curate_map(curator.context(plan_of(section), "curate-map", stop=[15]))

    assert len(rows_of(curator.curate(section))) == 60


def test_a_shard_that_was_changed_is_noticed(curator, many):
    plan = plan_of(many.section())
    (shard,) = curator.map(plan)
    shard.store.put(f"{shard.prefix}samples.jsonl", shard.read("samples.jsonl").replace(b"drive-00", b"drive-99"))

    with pytest.raises(DataError, match=r"samples\.jsonl: sha256 is"):
        curate(curator.context(plan, "curate"))
