"""Models that lie in an object store: copied to the scratch folder, and what changed or broke off is refused."""

import pytest
from s3_server import Fault

from touge.contract.errors import CheckpointError, InfrastructureError
from touge.storage import open_store
from touge.storage.inventory import resolve_model
from touge.storage.models import model_folder

FILES = {"config.json": b"{}", "model-00001-of-00002.safetensors": b"weights" * 1000, "tokenizer.json": b"[]"}


@pytest.fixture
def uri(s3_server, monkeypatch):
    store = s3_server.new_store(attempts=1)
    for name, value in s3_server.settings.model_dump(exclude_none=True).items():
        monkeypatch.setenv(f"TOUGE_S3_{name.upper()}", str(value))
    for name, content in FILES.items():
        store.put(name, content)
    yield store.uri
    s3_server.mend()


def held(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def test_a_model_is_copied_below_the_scratch_folder(uri, tmp_path):
    folder = model_folder(resolve_model(uri), tmp_path)

    assert folder.is_relative_to(tmp_path)
    assert held(folder) == FILES


def test_what_is_there_is_not_copied_again(uri, tmp_path, s3_server):
    folder = model_folder(resolve_model(uri), tmp_path)
    (folder / "tokenizer.json").write_bytes(b"ours")

    assert held(model_folder(resolve_model(uri), tmp_path))["tokenizer.json"] == b"ours"


def test_a_backbone_is_copied_without_its_weights(uri, tmp_path):
    folder = model_folder(resolve_model(uri), tmp_path, weights=False)

    assert held(folder).keys() == {"config.json", "tokenizer.json"}


def test_a_model_that_changed_since_the_plan_is_refused(uri, tmp_path, s3_server):
    planned = resolve_model(uri)
    open_store(uri).put("config.json", b"{ }")

    with pytest.raises(CheckpointError, match="changed since the plan"):
        model_folder(planned, tmp_path)


def test_of_a_copy_that_breaks_off_nothing_counts(uri, tmp_path, s3_server):
    planned = resolve_model(uri)
    s3_server.fail(Fault("GET", "/model-00001-of-00002.safetensors", 200, done=True, truncated=True, times=9))

    with pytest.raises(InfrastructureError):
        model_folder(planned, tmp_path)
    assert not list(tmp_path.rglob("model-00001-of-00002.safetensors"))

    s3_server.mend()
    assert held(model_folder(planned, tmp_path)) == FILES
