"""A synthetic world with one fault in each drive: every fault is noticed, and counted by its name."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from curating import Curator, plan_of, rows_of

from touge.contract.errors import DataError
from touge.drives.physical_ai_av import CLIP_INDEX
from touge.drives.physical_ai_av_writer import write_world
from touge.drives.synthetic.defects import Defect
from touge.drives.synthetic.route import Style
from touge.drives.synthetic.world import WorldSpec

REASONS = {
    Defect.DROPOUT: "gap",
    Defect.JUMP: "position_jump",
    Defect.REPEATED_FIX: "position_jump",
    Defect.WRONG_SIGN: "yaw_mismatch",
    Defect.WRONG_SPEED: "speed_mismatch",
    Defect.CLOCK_SKEW: "clock_skew",
    Defect.MISSING_FRAMES: "missing_frames",
    Defect.BLACK_FRAMES: "black_frames",
    Defect.FROZEN_FRAMES: "frozen_frames",
}
#: Faults that begin in the middle of a drive: windows before them stay good.
LATE = set(REASONS) - {Defect.WRONG_SIGN, Defect.WRONG_SPEED, Defect.CLOCK_SKEW}
#: Two good drives come first, and one that the index calls invalid last.
GOOD, INVALID = 2, 2 + len(REASONS)
WORLD = WorldSpec(
    seed=1,
    drives=INVALID + 1,
    mix=((Style.MOUNTAIN, 1.0),),
    drives_per_road=1,
    clip_s=18.0,
    defects=tuple(enumerate(REASONS, GOOD)),
)
IMAGE = {"min_pixels": 192 * 64, "max_pixels": 192 * 64}


def section(folder) -> dict:
    return {"drives": [{"format": "physical-ai-av", "uri": f"file://{folder}"}], "image": IMAGE, "shards": 2}


def marked_invalid(folder, clip: int) -> None:
    table = pq.read_table(folder / CLIP_INDEX)
    valid = [number != clip for number in range(len(table))]
    place = table.column_names.index("clip_is_valid")
    pq.write_table(table.set_column(place, "clip_is_valid", pa.array(valid)), folder / CLIP_INDEX)


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(WORLD, folder / "drives", workers=1)
    marked_invalid(folder / "drives", INVALID)
    return Curator(folder / "curation").curate(section(folder / "drives"))


@pytest.fixture(scope="module")
def account(curated):
    return json.loads(curated.read("curation.json"))


@pytest.mark.parametrize(
    ("number", "reason"), list(enumerate(REASONS.values(), GOOD)), ids=[str(one) for one in REASONS]
)
def test_a_fault_is_counted_by_its_name_and_nothing_else_is_but_short_futures(number, reason, account):
    drive = account["drives"][number]

    assert drive["drive"].endswith(f"{number:05d}")
    assert set(drive["rejected"]) <= {reason, "short_future"}
    assert drive["rejected"][reason] > 0


@pytest.mark.parametrize("number", [GOOD + list(REASONS).index(defect) for defect in sorted(LATE)])
def test_windows_before_the_fault_stay(number, account):
    assert account["drives"][number]["kept"] > 0


@pytest.mark.parametrize("number", range(GOOD))
def test_a_good_drive_loses_its_end_only(number, account):
    drive = account["drives"][number]

    assert set(drive["rejected"]) == {"short_future"}
    assert drive["kept"] == drive["windows"] - 6


def test_nothing_disappears(account, curated):
    totals = account["totals"]

    assert totals["windows"] == sum(drive["windows"] for drive in account["drives"])
    assert totals["windows"] == totals["kept"] + sum(totals["rejected"].values())
    assert totals["kept"] == len(rows_of(curated))
    assert set(totals["rejected"]) == {*REASONS.values(), "short_future"}


def test_a_drive_that_the_reader_leaves_out_is_counted(account):
    assert account["left_out"] == [{"clip_is_invalid": 1}]
    assert len(account["drives"]) == INVALID


def test_rows_carry_geometry_country_place_and_provenance(curated):
    row = rows_of(curated)[0]

    assert (row["cameras"]["front_wide"]["width"], row["cameras"]["front_wide"]["height"]) == (192, 64)
    assert row["place"].startswith("synthetic-0001-mountain-")
    assert row["notes"]["country"]
    assert row["provenance"]["reader"] == "physical-ai-av"
    assert len(row["provenance"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("defect", "said"), [(Defect.NAN_POSE, "position is not finite in 1 rows"), (Defect.TRUNCATED_VIDEO, "mp4")]
)
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(defect, said, tmp_path):
    write_world(WorldSpec(seed=1, drives=1, clip_s=10.0, defects=((0, defect),)), tmp_path / "drives", workers=1)

    with pytest.raises(DataError, match=rf"synthetic-0001-00000.*{said}"):
        Curator(tmp_path / "curation").map(plan_of(section(tmp_path / "drives") | {"shards": 1}))
