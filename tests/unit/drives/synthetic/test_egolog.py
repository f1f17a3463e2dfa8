"""What instruments report of true motion."""

import numpy as np
import pytest

from touge.drives.synthetic.egolog import Noise, recorded
from touge.drives.synthetic.road import centreline, straight
from touge.drives.synthetic.route import Style, route
from touge.drives.synthetic.vehicle import Driver, Manoeuvres, drive

MOTION = drive(route(Style.MOUNTAIN, 600, np.random.default_rng(0)), Driver(), Manoeuvres(1.6), start=10, seconds=20.4)
SILENT = Noise(0.0, 0.0, 2.0, 0.0, 0.0)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_the_log_is_anchored_at_time_zero():
    log = recorded(MOTION, 0.2, SILENT, rng())
    zero = np.flatnonzero(log.t_us == 0)[0]

    assert log.t_us[0] == -200_000
    np.testing.assert_allclose(log.xyz[zero], 0, atol=1e-9)
    assert log.yaw[zero] == 0


def test_velocity_is_given_in_the_anchors_frame():
    log = recorded(MOTION, 0.2, SILENT, rng())

    np.testing.assert_allclose(np.gradient(log.xyz, 0.01, axis=0)[5:-5], log.velocity[5:-5], atol=0.1)


def test_curvature_is_positive_to_the_left():
    log = recorded(MOTION, 0.2, SILENT, rng())
    speed = np.linalg.norm(log.velocity, axis=1)

    np.testing.assert_allclose(np.gradient(log.yaw, 0.01)[5:-5], (speed * log.curvature)[5:-5], atol=0.03)


def test_the_noise_of_positions_has_the_size_that_is_asked():
    road = centreline(straight(2000))
    still = drive(road, Driver(wander=0.0), Manoeuvres(0.0), start=10, seconds=100)
    log = recorded(still, 0.0, Noise(position=0.01, drift=0.0), rng())

    assert log.xyz[:, 1].std() == pytest.approx(0.01, rel=0.05)


def test_the_drift_of_positions_is_slow_and_has_the_size_that_is_asked():
    road = centreline(straight(9000))
    still = drive(road, Driver(wander=0.0), Manoeuvres(0.0), start=10, seconds=600)
    log = recorded(still, 0.0, Noise(position=0.0, drift=0.02), rng())

    assert log.xyz[:, 1].std() == pytest.approx(0.02, rel=0.25)
    assert np.abs(np.diff(log.xyz[:, 1])).max() < 0.001
