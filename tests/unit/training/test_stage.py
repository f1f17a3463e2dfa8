"""The stage `train` in one process: artifacts, resumption, interruption, refusals."""

import json

import pytest
import torch
from safetensors.torch import load_file

from touge.alpamayo import checkpoint, lora
from touge.contract.artifacts import StageRef
from touge.contract.errors import DataError, Interrupted, SettingsError, TougeError
from touge.storage.execution import newest_checkpoint, read_progress
from touge.training import stage


def trained(context):
    """Run the stage, commit, and return its adapter or checkpoint weights."""
    context.execution.commit(stage.run(context))
    found = next(iter(context.store.list(context.execution.prefix + "adapter/adapter_model")), None) or next(
        iter(context.store.list(context.execution.prefix + "checkpoint/model"))
    )
    path = context.scratch / "weights.safetensors"
    path.write_bytes(context.store.get(found.key))
    return load_file(path)


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_lora_leaves_an_adapter_that_fits_the_base(world, base, tmp_path):
    world.curate()
    plan = world.plan()
    context = world.context(plan)

    trained(context)

    folder = context.artifact_of(context) if hasattr(context, "artifact_of") else tmp_path / "fetched"
    for info in context.store.list(context.execution.prefix + "adapter/"):
        path = folder / info.key.rsplit("/", 1)[1]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(context.store.get(info.key))
    model, _ = checkpoint.load(base)
    assert lora.load_adapter(model, folder, base_digest=plan.base.digest).rank == 4
