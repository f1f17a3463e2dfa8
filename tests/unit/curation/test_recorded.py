"""A recorded drive to samples."""

import dataclasses
import gc
import hashlib
import tracemalloc
import weakref

import numpy as np
import pytest
from curating import PaintedCamera, make_drive, make_poses, painted, rules

from touge.contract.recipe import Image
from touge.contract.sample import CameraModel
from touge.curation.archive import Archive
from touge.curation.pictures import decoded
from touge.curation.recorded import Recorder
from touge.curation.roll import Roll
from touge.curation.windows import nearest_frames
from touge.drives.drive import ReasoningEvent
from touge.motion.definitions import definition
from touge.motion.features import features
from touge.storage import open_store
from touge.storage.shards import ShardReader

SECOND = 1_000_000
TIMES = np.arange(0, 12 * SECOND + 1, 100_000)
#: Of the 12 s: t0 at 1.6 s, 2.6 s, … 5.6 s have a whole future, 6.6 s … 11.6 s do not.
WHOLE, SHORT = 5, 6


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path}/store")


@pytest.fixture
def outcomes(tmp_path, store):
    """Return what becomes of a drive's windows, their frames stored."""

    def run(drive, **changes):
        (tmp_path / "scratch").mkdir(exist_ok=True)
        with Archive(tmp_path / "scratch", lambda path: store.put(path.name, path)) as archive:
            return list(Recorder(rules(**changes), archive, "f" * 64).outcomes(drive))

    return run


def reasons(found) -> list[str]:
    """Return the first reason of each window, '' where it was kept."""
    return [outcome.rejections[0].reason if outcome.rejections else "" for outcome in found]


def samples(found):
    return [outcome.sample for outcome in found if outcome.sample is not None]


def test_every_window_is_kept_or_has_a_reason(outcomes):
    assert reasons(outcomes(make_drive())) == [""] * WHOLE + ["short_future"] * SHORT


def test_windows_come_at_the_stride(outcomes):
    found = outcomes(make_drive(), windows={"stride_s": 0.5})

    assert [outcome.t0_us for outcome in found[:4]] == [1_600_000, 2_100_000, 2_600_000, 3_100_000]


def test_a_drive_too_short_for_a_window_has_none(outcomes):
    assert outcomes(make_drive(make_poses(seconds=1.0))) == []


def test_a_drive_too_short_for_a_future_is_rejected_by_name(outcomes):
    assert set(reasons(outcomes(make_drive(make_poses(seconds=6.0))))) == {"short_future"}


def test_a_sample_holds_the_arc_that_was_driven(outcomes):
    one = samples(outcomes(make_drive(make_poses(curvature=-0.008))))[0]
    yaw = -0.008 * 10.0 * 0.1 * np.arange(1, 65)

    np.testing.assert_allclose(np.array(one.future)[:, 2], yaw, atol=1e-6)
    np.testing.assert_allclose(np.array(one.future)[:, 0], np.sin(-yaw) / 0.008, atol=1e-3)
    assert one.history[-1] == (0.0, 0.0, 0.0, 0.0)
    assert (one.label.kind, one.label.direction, one.label.radius_band) == ("curve", "right", "100-150")


def test_features_and_label_can_be_computed_again_from_the_row(outcomes):
    for one in samples(outcomes(make_drive())):
        future = np.array(one.future)

        assert one.label == definition("jp-2026.1").label(future)
        assert one.features == pytest.approx(features(future).to_dict(), abs=1e-6)


def test_another_definition_gives_other_labels(outcomes):
    one = samples(outcomes(make_drive(), labels="vad-command"))[0]

    assert one.label.config == "vad-command"


def test_frames_are_those_at_and_before_t0_and_are_found_again(outcomes, store):
    one = samples(outcomes(make_drive()))[0]
    reader = ShardReader(store)

    assert [ref.t_us - one.t0_us for ref in one.images["front_wide"]] == [-300_000, -200_000, -100_000, 0]
    for ref in one.images["front_wide"]:
        data = reader.read(ref.path)
        assert hashlib.sha256(data).hexdigest() == ref.sha256
        assert np.abs(decoded(data, "x").astype(int) - painted(ref.t_us // 100_000)).mean() < 2


def test_a_frame_of_two_windows_is_stored_once(outcomes, store):
    found = samples(outcomes(make_drive(), windows={"stride_s": 0.1}))
    index = store.get("images-00000.tar.idx.json").decode()
    paths = {ref.path for one in found for ref in one.images["front_wide"]}

    assert len(found) > 40
    assert index.count('"name"') == len(paths) == len(found) + 3


def test_frames_of_rejected_windows_are_not_stored(outcomes, store):
    poses = make_poses()
    outcomes(make_drive(dataclasses.replace(poses, speed=poses.speed * 3.6)))

    assert list(store.list()) == []


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        (PaintedCamera(TIMES, black=frozenset({26})), ["", "black_frames", "", "", ""]),
        (PaintedCamera(TIMES, frozen=frozenset({24, 25, 26})), ["", "frozen_frames", "", "", ""]),
        (PaintedCamera(np.delete(TIMES, 24)), ["", "missing_frames", "", "", ""]),
        (PaintedCamera(TIMES[:10]), ["missing_frames"] * WHOLE),
        (PaintedCamera(TIMES[:0]), ["missing_frames"] * WHOLE),
        (PaintedCamera(TIMES - 5 * SECOND), ["clock_skew"] * WHOLE),
        (PaintedCamera(TIMES, name="rear_tele"), ["missing_camera"] * WHOLE),
    ],
    ids=["black", "frozen", "missing", "too early an end", "no frames", "another clock", "no camera"],
)
def test_every_fault_of_a_camera_is_counted_by_name(camera, expected, outcomes):
    found = outcomes(make_drive(cameras=[camera]))

    assert len(found) == WHOLE + SHORT
    assert reasons(found)[:WHOLE] == expected


def test_all_reasons_against_a_window_are_written_down(outcomes):
    poses = make_poses()
    found = outcomes(make_drive(dataclasses.replace(poses, speed=poses.speed * 3.6), cameras=[]))

    assert [rejection.reason for rejection in found[0].rejections] == ["missing_camera", "speed_mismatch"]


def test_a_vehicle_that_creeps_may_see_the_same_picture(outcomes):
    frozen = PaintedCamera(TIMES, frozen=frozenset(range(len(TIMES))))

    assert reasons(outcomes(make_drive(make_poses(speed=0.3), cameras=[frozen])))[:WHOLE] == [""] * WHOLE


def test_several_cameras_are_kept_in_the_models_order(outcomes):
    tele = PaintedCamera(TIMES + 20_000, name="front_tele")
    drive = make_drive(cameras=[tele, PaintedCamera(TIMES)])
    one = samples(outcomes(drive, cameras=["front_wide", "front_tele"]))[0]

    assert list(one.images) == ["front_wide", "front_tele"]
    assert [ref.t_us - one.t0_us for ref in one.images["front_tele"]] == [-280_000, -180_000, -80_000, 20_000]


def test_large_frames_are_stored_small_with_their_geometry(outcomes, store):
    lens = {"fx": 100.0, "fy": 100.0, "cx": 63.5, "cy": 31.5}
    pose = tuple(np.eye(4).ravel().tolist())
    model = CameraModel(model="pinhole", intrinsics=lens, ego_from_camera=pose, width=128, height=64)
    one = samples(outcomes(make_drive(cameras=[PaintedCamera(TIMES, model=model, size=(64, 128))])))[0]

    kept = one.cameras["front_wide"]
    assert (kept.width, kept.height, kept.intrinsics["fx"], kept.intrinsics["cx"]) == (64, 32, 50.0, 31.5)
    assert decoded(ShardReader(store).read(one.images["front_wide"][0].path), "x").shape == (32, 64, 3)


def test_words_of_the_data_set_go_to_the_window_beside_them(outcomes):
    event = ReasoningEvent(2_700_000, "左カーブに沿って走る。", "ja")
    found = samples(outcomes(make_drive(reasoning=(event,))))

    assert [one.reasoning.source for one in found] == ["template", "dataset", "template", "template", "template"]
    assert found[1].reasoning.text == event.text


WRONG = (ReasoningEvent(2_600_000, "Follow the right curve."),)


def test_words_that_contradict_the_driving_reject_their_window(outcomes):
    found = outcomes(make_drive(reasoning=WRONG))

    assert reasons(found)[:WHOLE] == ["", "contradiction", "", "", ""]
    assert found[1].rejections[0].detail == "says 'right curve', drives curve to the left"


def test_contradictions_are_kept_and_marked_where_the_recipe_says_so(outcomes):
    found = outcomes(make_drive(reasoning=WRONG), contradictions="keep")

    assert [outcome.contradicts for outcome in found[:WHOLE]] == [False, True, False, False, False]
    assert found[1].sample.reasoning.text == WRONG[0].text


def test_positions_of_a_common_frame_are_noted_with_their_cell(outcomes):
    poses = make_poses(curvature=0.0)
    moved = dataclasses.replace(poses, xyz=poses.xyz + np.array([5000.0, -250.0, 0.0]))
    one = samples(outcomes(make_drive(moved, global_frame=True, country="JP")))[0]

    assert one.notes == {"country": "JP", "position": {"frame": "f" * 64, "x": 5016.0, "y": -250.0, "heading": 0.0}}
    assert one.place == "ffffffffffff/50/-3/0"


def test_positions_of_a_frame_of_its_own_say_nothing(outcomes):
    one = samples(outcomes(make_drive(place="pass")))[0]

    assert (one.place, one.notes) == ("pass", {})


class Watched:
    """A camera that remembers which of its frames are alive."""

    name, model = "front_wide", None

    def __init__(self, t_us):
        self.t_us, self.seen, self.most = t_us, [], 0

    def frames(self, indices):
        for index in indices:
            frame = painted(index)
            self.seen.append(weakref.ref(frame))
            self.most = max(self.most, len(self.alive()))
            yield frame

    def alive(self):
        return [frame for frame in self.seen if frame() is not None]


@pytest.fixture
def no_collector():
    """Leave memory to reference counts alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("stride", [5, 10])
def test_a_roll_holds_the_frames_of_about_one_window(stride, no_collector):
    camera = Watched(np.arange(0, 120 * SECOND, 100_000))
    windows = [nearest_frames(camera.t_us, t0 * 100_000) for t0 in range(10, 1190, stride)]
    roll = Roll(camera, windows, Image(min_pixels=2048, max_pixels=2048))

    for indices in windows:
        assert [shot.t_us for shot in roll.take(indices)] == camera.t_us[indices].tolist()
    assert len(camera.seen) == 4 * len(windows)
    assert camera.most <= 10


def test_a_drives_frames_are_given_back_with_the_drive(outcomes, no_collector):
    camera = Watched(TIMES)

    assert len(samples(outcomes(make_drive(cameras=[camera])))) == WHOLE
    assert len(camera.seen) == 4 * WHOLE
    assert camera.alive() == []


def test_memory_does_not_grow_with_the_drives(tmp_path, store, no_collector):
    (tmp_path / "scratch").mkdir()

    def peak(drives: int) -> int:
        tracemalloc.start()
        with Archive(tmp_path / "scratch", lambda path: store.put(path.name, path), limit=20_000) as archive:
            recorder = Recorder(rules(), archive, "")
            kept = sum(
                outcome.sample is not None
                for number in range(drives)
                for outcome in recorder.outcomes(make_drive(id=f"drive-{number:03}"))
            )
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert kept == WHOLE * drives
        return most

    peak(1)  # imports and caches
    assert peak(20) < 1.5 * peak(2)
