"""Label definitions of other projects, each side of their edges."""

import math

import numpy as np
import pytest
from roads import arc, bend, driven, lane_change, mirrored, straight

from touge.motion.comparison import NvidiaMetaAction, VadCommand, WaymoMotion


@pytest.mark.parametrize(
    ("future", "kind"),
    [
        (straight(), "straight"),
        (arc(1 / 0.0016), "curve"),
        (arc(1 / 0.0014), "straight"),
        (bend(500.0, 5.0, 8.5, 4.0), "curve"),  # 0.017 rad
        (bend(500.0, 5.0, 6.5, 4.0), "straight"),  # 0.013 rad
        (bend(100.0, 10.0, 4.0), "straight"),  # 0.04 rad in 0.4 s
        (arc(19.0, 5.0), "turn"),
        (arc(21.0, 5.0), "curve"),
        (straight(0.2), "stop"),
    ],
)
def test_nvidia_meta_actions_ask_for_rate_total_and_a_second(future, kind):
    assert NvidiaMetaAction().label(future).kind == kind


@pytest.mark.parametrize(
    ("future", "kind"),
    [
        (straight(), "straight"),
        (arc(64.0 / math.radians(31)), "curve"),
        (arc(64.0 / math.radians(29)), "lane_change"),
        (lane_change(2.6, 50.0, 10.0), "lane_change"),
        (lane_change(2.3, 50.0, 10.0), "straight"),
        (straight(0.4), "stop"),
        (straight(0.5), "straight"),
    ],
)
def test_waymo_buckets_ask_for_30_degrees_or_two_and_a_half_metres(future, kind):
    assert WaymoMotion().label(future).kind == kind


@pytest.mark.parametrize(("lateral", "kind"), [(2.1, "curve"), (1.9, "straight")])
def test_the_vad_command_looks_at_three_seconds(lateral, kind):
    radius = (30.0**2 + lateral**2) / (2 * lateral)

    assert VadCommand().label(driven(lambda s: np.where(s < 40, 1 / radius, 0.0), 10.0)).kind == kind


@pytest.mark.parametrize("definition", [NvidiaMetaAction(), WaymoMotion(), VadCommand()])
def test_a_right_hand_bend_is_to_the_right_with_its_radius_band(definition):
    label = definition.label(mirrored(arc(80.0)))

    assert (label.direction, label.radius_band) == ("right", "60-100")


def test_definitions_disagree_on_a_prefectural_road_at_its_limit():
    gentle = bend(400.0, 30.0, 60.0, 60 / 3.6)

    assert [each.label(gentle).kind for each in (NvidiaMetaAction(), WaymoMotion(), VadCommand())] == [
        "curve",
        "lane_change",
        "straight",
    ]
