"""A small world in the PhysicalAI-AV layout, written once."""

import shutil
from pathlib import Path

import pytest

from touge.drives.physical_ai_av_writer import write_world
from touge.drives.synthetic.defects import Defect
from touge.drives.synthetic.world import WorldSpec

WORLD = WorldSpec(
    seed=1,
    drives=4,
    clip_s=2.0,
    width=64,
    height=32,
    cameras=("front_wide", "front_tele"),
    defects=((3, Defect.TRUNCATED_VIDEO),),
)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "drives"
    write_world(WORLD, folder, workers=1)
    return folder


@pytest.fixture
def world(pristine, tmp_path) -> Path:
    """Return a copy of the world that a test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "drives"))
