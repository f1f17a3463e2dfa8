"""Reading drives from a real HTTP S3 server."""

import numpy as np
import pytest
from s3_server import S3Server

from touge.drives.physical_ai_av_writer import write_world
from touge.drives.readers.physical_ai_av import PhysicalAiAvReader
from touge.drives.readers.physical_ai_av_catalogue import Catalogue
from touge.drives.synthetic.world import WorldSpec
from touge.storage import Store, open_store

WORLD = WorldSpec(drives=1, clip_s=1.0, width=32, height=16)


@pytest.fixture
def bucket(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "loopback")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret-of-loopback")
    server = S3Server()
    yield server.new_store()
    server.close()


def first_drive(store: Store):
    return next(PhysicalAiAvReader(Catalogue(store)).drives()).open()


def test_a_world_reads_the_same_from_a_bucket(bucket, tmp_path):
    write_world(WORLD, tmp_path, workers=1)
    for path in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        bucket.put(path.relative_to(tmp_path).as_posix(), path)

    local, remote = first_drive(open_store(f"file://{tmp_path}")), first_drive(bucket)

    np.testing.assert_array_equal(local.poses.xyz, remote.poses.xyz)
    frames = [np.array(list(drive.cameras["front_wide"].frames(range(11)))) for drive in (local, remote)]
    np.testing.assert_array_equal(*frames)
