"""Models of the hub, against a small hub on loopback."""

import subprocess
import sys

import pytest
from hub_server import COMMIT, HubServer

from touge.contract.errors import CheckpointError, DataError, InfrastructureError, SettingsError
from touge.contract.plan import ResolvedModel
from touge.storage.hub import HubModel
from touge.storage.inventory import resolve_model
from touge.storage.models import model_folder

FILES = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"[]", "code.py": b"import os"}
NAME = "nvidia/Alpamayo-R1-10B"


@pytest.fixture
def serve(monkeypatch, tmp_path):
    servers = []

    def start(**changes):
        server = HubServer(NAME, FILES, **changes)
        servers.append(server)
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        return server

    yield start
    for server in servers:
        server.close()


def test_a_branch_becomes_its_commit(serve):
    serve()

    assert resolve_model(f"hf://{NAME}@main") == ResolvedModel(uri=f"hf://{NAME}@{COMMIT}", digest=COMMIT)


def test_a_commit_needs_neither_the_network_nor_the_library(serve):
    server = serve()
    code = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from touge.storage.inventory import resolve_model\n"
        f"print(resolve_model('hf://{NAME}@{COMMIT}').digest)"
    )

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == COMMIT
    assert server.requests == []


def test_a_branch_without_the_library_says_what_to_do():
    code = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from touge.contract.errors import SettingsError\n"
        "from touge.storage.inventory import resolve_model\n"
        f"try: resolve_model('hf://{NAME}@main')\n"
        "except SettingsError as error: print(error)"
    )

    assert "40-digit commit" in subprocess.check_output([sys.executable, "-c", code], text=True)


def test_files_are_fetched_but_never_code(serve, tmp_path):
    serve()

    folder = model_folder(ResolvedModel(uri=f"hf://{NAME}@{COMMIT}", digest=COMMIT), tmp_path)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: data for name, data in FILES.items() if name != "code.py"
    }


def test_a_backbone_is_fetched_without_its_weights(serve, tmp_path):
    serve()

    folder = HubModel(NAME, COMMIT).download(tmp_path, weights=False)

    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "tokenizer.json"]


def test_what_is_in_the_cache_is_not_fetched_again(serve, tmp_path):
    server = serve()
    HubModel(NAME, COMMIT).download(tmp_path)
    server.requests.clear()

    HubModel(NAME, COMMIT).download(tmp_path)

    assert not [path for path in server.requests if "/resolve/" in path]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_whose_content_is_not_what_its_hash_says_is_refused(serve, tmp_path, name):
    serve(served={name: FILES[name][::-1]})

    with pytest.raises(CheckpointError, match=rf"{name} is damaged.*Remove .*blobs/[0-9a-f]+ and submit again"):
        HubModel(NAME, COMMIT).download(tmp_path)


def test_a_file_that_is_damaged_in_the_cache_is_refused(serve, tmp_path):
    serve()
    folder = HubModel(NAME, COMMIT).download(tmp_path)
    (folder / "model.safetensors").resolve().write_bytes(b"WEIGHTS")

    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        HubModel(NAME, COMMIT).download(tmp_path)


def test_a_gated_model_names_the_token(serve, tmp_path):
    serve(gated=True)

    with pytest.raises(SettingsError, match="HF_TOKEN"):
        HubModel(NAME, "main").pinned()
    with pytest.raises(SettingsError, match="HF_TOKEN"):
        HubModel(NAME, COMMIT).download(tmp_path)


@pytest.mark.parametrize("uri", ["hf://nvidia/Alpamayo-R2@main", f"hf://{NAME}@no-such-branch"])
def test_what_the_hub_does_not_have_is_named(serve, uri):
    serve()

    with pytest.raises(DataError, match=r"no such repository or revision"):
        resolve_model(uri)


def test_a_hub_that_is_away_is_an_infrastructure_error(serve):
    serve().close()

    with pytest.raises(InfrastructureError, match="HF_ENDPOINT"):
        HubModel(NAME, "main").pinned()


@pytest.mark.parametrize("uri", ["hf://", "hf://name@main", f"hf://{NAME}", "hf://a/b/c@main"])
def test_an_address_of_another_form_is_refused(uri):
    with pytest.raises(SettingsError, match="owner/name@revision"):
        HubModel.parse(uri)
