"""`plan --render`: what it prints, and what it says when it cannot."""

from __future__ import annotations

import json

import pytest
import yaml
from job_templates import NAMES, cronjob, templates
from run_builders import make_recipe, plan_of

from controller.cli.app import main
from controller.cli.rendering import read_documents, rendered, to_yaml
from controller.state import Task
from touge.contract.errors import SettingsError
from touge.contract.recipe import dump_recipe


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Write a recipe whose base and drives are files here, and return its path."""
    monkeypatch.setenv("TOUGE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOUGE_STORE", f"file://{tmp_path}/store")
    (tmp_path / "base").mkdir()
    for name in ("base/config.json", "drive.jsonl"):
        (tmp_path / name).write_text("{}")
    drives = [{"format": "jsonl", "uri": f"file://{tmp_path}/drive.jsonl"}]
    path = tmp_path / "bend.yaml"
    path.write_text(dump_recipe(make_recipe(base=f"file://{tmp_path}/base", curate={"drives": drives})))
    return path


@pytest.fixture
def charts(tmp_path):
    """Write the templates as `helm template --output-dir` does, and return the folder."""
    folder = tmp_path / "rendered" / "touge" / "templates"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(cronjob(name)))
    (folder / "NOTES.txt").write_text("not: [yaml")
    return tmp_path / "rendered"


def test_every_stages_objects_are_printed_as_yaml(recipe, charts, capsys):
    assert main(["plan", str(recipe), "--render", "--templates", str(charts)]) == 0

    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    stages = ["curate-map", "curate", "train", "evaluate-map", "evaluate"]
    assert [item["metadata"]["labels"]["touge/stage"] for item in printed] == stages


def test_json_holds_the_same_objects(recipe, charts, capsys):
    command = ["plan", str(recipe), "--render", "--templates", str(charts)]
    main(command)
    as_yaml = list(yaml.safe_load_all(capsys.readouterr().out))
    main([*command, "-o", "json"])

    assert json.loads(capsys.readouterr().out) == as_yaml


def test_what_is_committed_is_not_sent():
    plan = plan_of()
    done = frozenset({Task(stage="curate-map"), Task(stage="curate")})

    sent = [item["metadata"]["labels"]["touge/stage"] for item in rendered(plan, done, templates())]
    assert sent == ["train", "evaluate-map", "evaluate"]


def test_yaml_says_everything_in_full():
    assert not any(mark in to_yaml(rendered(plan_of(), frozenset(), templates())) for mark in ("&id", "*id"))


def test_a_list_from_kubectl_is_read_item_by_item(tmp_path):
    (tmp_path / "all.yml").write_text(yaml.safe_dump({"kind": "List", "items": [cronjob(name) for name in NAMES]}))

    assert [document["kind"] for document in read_documents(tmp_path)] == ["CronJob"] * len(NAMES)


@pytest.mark.parametrize("words", [["--render"], ["--templates", "x"]])
def test_the_two_options_go_together(words, recipe, capsys):
    assert main(["plan", str(recipe), *words]) == 2
    said = capsys.readouterr().err
    assert "--render" in said
    assert "--templates DIR" in said
    assert "helm template" in said


def test_a_missing_folder_is_named_with_the_command_that_fills_it(recipe, tmp_path, capsys):
    assert main(["plan", str(recipe), "--render", "--templates", str(tmp_path / "nowhere")]) == 10
    assert "no such folder; `helm template --output-dir" in capsys.readouterr().err


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [")

    with pytest.raises(SettingsError, match=r"bad\.yaml is not YAML"):
        read_documents(tmp_path)


def test_the_problems_of_all_stages_are_told_together():
    some = {name: template for name, template in templates().items() if name == "curate"}

    with pytest.raises(SettingsError) as caught:
        rendered(plan_of(), frozenset(), some)

    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == ["train", "evaluate-map", "evaluate"]
