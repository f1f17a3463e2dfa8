"""Worlds of drives."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from touge.contract.errors import DataError
from touge.drives.synthetic.defects import Defect
from touge.drives.synthetic.route import Style
from touge.drives.synthetic.world import WorldSpec, corners, plans, record, road_of
from touge.motion.definitions import definition
from touge.motion.frames import ego_window

SPEC = WorldSpec(seed=3, drives=6)
SMALL = WorldSpec(seed=3, drives=2, clip_s=2.0, width=64, height=32)


def pictures(spec: WorldSpec, number: int) -> np.ndarray:
    return np.array(list(record(spec, plans(spec)[number]).films["front_wide"].pictures()))


def test_equal_specifications_make_equal_drives():
    first, second = (record(SPEC, plans(SPEC)[4]) for _ in range(2))

    np.testing.assert_array_equal(first.log.xyz, second.log.xyz)
    np.testing.assert_array_equal(pictures(SMALL, 1), pictures(SMALL, 1))


def test_a_drive_does_not_depend_on_how_many_there_are():
    more = dataclasses.replace(SPEC, drives=50)

    np.testing.assert_array_equal(record(SPEC, plans(SPEC)[5]).log.xyz, record(more, plans(more)[5]).log.xyz)


def test_seeds_make_other_roads_and_other_names():
    other = dataclasses.replace(SPEC, seed=4)

    assert {plan.id for plan in plans(SPEC)}.isdisjoint(plan.id for plan in plans(other))
    assert {plan.place for plan in plans(SPEC)}.isdisjoint(plan.place for plan in plans(other))


def test_two_drives_share_each_road_there_and_back():
    there, back = plans(SPEC)[:2]

    assert there.place == back.place != plans(SPEC)[2].place
    assert (there.backward, back.backward) == (False, True)
    forward, backward = (road_of(SPEC, plan)[0].kappa for plan in (there, back))
    assert forward.max() == pytest.approx(-backward.min())


def test_styles_are_mixed_as_asked():
    spec = WorldSpec(drives=400, mix=((Style.MOUNTAIN, 3.0), (Style.CITY, 1.0)))

    shares = Counter(plan.style for plan in plans(spec))
    assert shares[Style.MOUNTAIN] == pytest.approx(300, abs=6)
    assert shares[Style.ARTERIAL] == 0


def test_a_mix_of_nothing_is_refused():
    with pytest.raises(DataError, match="shares of the mix add up to 0"):
        plans(WorldSpec(mix=((Style.CITY, 0.0),)))


def test_faults_strike_the_drives_they_are_meant_for():
    spec = dataclasses.replace(SPEC, defects=((2, Defect.DROPOUT),))

    assert [plan.defect for plan in plans(spec)] == [None, None, Defect.DROPOUT, None, None, None]
    assert np.diff(record(spec, plans(spec)[2]).log.t_us).max() > 1_000_000


def test_frames_and_poses_cover_the_clip():
    recording = record(SPEC, plans(SPEC)[0])

    assert len(recording.t_us) == 201
    assert recording.t_us[0] == 0
    assert recording.log.t_us[0] == -200_000
    assert recording.log.t_us[-1] >= recording.t_us[-1] + 190_000


def test_a_city_has_corners():
    spec = WorldSpec(drives=10, mix=((Style.CITY, 1.0),))

    assert any(corners(road_of(spec, plan)[0]) for plan in plans(spec))


def test_black_frames_are_black_and_the_others_are_not():
    spec = dataclasses.replace(SMALL, defects=((0, Defect.BLACK_FRAMES),))
    brightness = pictures(spec, 0).mean(axis=(1, 2, 3))

    assert (brightness == 0).sum() == 10
    assert (brightness > 30).sum() == len(brightness) - 10


def labels_of(spec: WorldSpec) -> Counter:
    label = definition("jp-2026.1").label
    found: Counter = Counter()
    for plan in plans(spec):
        log = record(spec, plan).log
        for t0 in range(1_600_000, 13_600_001, 1_000_000):
            future = ego_window(log.t_us, log.xyz, log.quat, t0).future
            found[label(future).kind] += 1
    return found


def test_half_of_the_windows_are_curves_and_a_third_is_straight():
    found = labels_of(WorldSpec(seed=11, drives=60))
    total = sum(found.values())

    assert 0.4 <= (found["curve"] + found["s_curve"]) / total <= 0.62
    assert 0.3 <= found["straight"] / total <= 0.5
    assert found["ambiguous"] / total <= 0.08
    assert min(found[kind] for kind in ("turn", "lane_change", "s_curve")) > 0
