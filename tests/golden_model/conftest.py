"""Golden vectors: any folder with config.json, model.safetensors, case.safetensors and case.json."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.inputs.positions import rope_positions
from touge.alpamayo.model import AlpamayoR1

CASES = Path(__file__).parent / "cases"

#: Rebuilt from the configuration where a checkpoint leaves them out.
BUFFERS = ("freqs", "accel_mean", "accel_std", "curvature_mean", "curvature_std")


def pytest_addoption(parser):
    parser.addoption("--golden", action="append", type=Path, help="folder of golden vectors; repeatable")


def pytest_generate_tests(metafunc):
    if "golden" in metafunc.fixturenames:
        folders = metafunc.config.getoption("--golden") or sorted(CASES.iterdir())
        metafunc.parametrize("golden", folders, ids=lambda folder: folder.name, indirect=True, scope="module")


@dataclass(frozen=True)
class Golden:
    """One case: the model with its weights, inputs and outputs."""

    model: AlpamayoR1
    tensors: dict[str, Tensor]
    facts: dict

    @property
    def history(self) -> Tensor:
        """[B, 16, 4] x, y, z, yaw."""
        return poses(self.tensors["ego_history_xyz"], self.tensors["ego_history_rot"])

    @property
    def future(self) -> Tensor:
        """[B, 64, 4] x, y, z, yaw."""
        return poses(self.tensors["ego_future_xyz"], self.tensors["ego_future_rot"])

    @property
    def batch(self) -> Batch:
        """The case's training batch, as the reference fused it."""
        t = self.tensors
        start = (t["fused_input_ids"][0] == self.model.vocabulary.future_start).nonzero()[0]
        return Batch(
            ids=tuple(str(row) for row in range(len(t["input_ids"]))),
            input_ids=t["fused_input_ids"],
            attention_mask=t["attention_mask"].bool(),
            labels=t["labels_mask"],
            reasoning=torch.zeros_like(t["labels_mask"]),
            positions=self._positions(t["fused_input_ids"], t["attention_mask"].bool(), t["image_grid_thw"]),
            prefix=int(start) + 1,
            history=self.history,
            action=t["action"],
            pixels=t["pixel_values"],
            grid=t["image_grid_thw"],
        )

    def generated(self) -> Batch:
        """The prompt and the generated tokens up to traj_future_start, of the first row."""
        t, images = self.tensors, self.facts["images_per_sample"]
        ids = t["gen_sequences"]
        length = int((ids[0] == self.model.vocabulary.future_start).nonzero()[0]) + 1
        grid = t["image_grid_thw"][:images]
        seen = torch.ones(1, length, dtype=torch.bool)
        return Batch(
            ids=("0",),
            input_ids=ids[:, :length],
            attention_mask=seen,
            labels=torch.zeros_like(seen),
            reasoning=torch.zeros_like(seen),
            positions=self._positions(ids[:, :length], seen, grid),
            prefix=length,
            history=self.history[:1],
            action=torch.empty(0),
            pixels=t["pixel_values"][: int(grid.prod(dim=1).sum())],
            grid=grid,
        )

    def _positions(self, ids: Tensor, seen: Tensor, grid: Tensor) -> Tensor:
        """Rotary positions [3, B, L] of left-padded rows with equally many images."""
        merge, rows = self.model.config.backbone["vision_config"]["spatial_merge_size"], len(ids)
        found = torch.ones(3, *ids.shape, dtype=torch.long)  # as the reference pads, whose expert reads padding
        for row, grids in enumerate(grid.reshape(rows, -1, 3)):
            is_image = (ids[row] == self.model.vocabulary.image)[seen[row]]
            found[:, row, seen[row]] = torch.from_numpy(rope_positions(is_image.numpy(), grids.numpy(), merge))
        return found


def poses(xyz: Tensor, rotation: Tensor) -> Tensor:
    """[B, 1, T, 3] and [B, 1, T, 3, 3] to [B, T, 4]."""
    yaw = torch.atan2(rotation[:, 0, :, 1, 0], rotation[:, 0, :, 0, 0])
    return torch.cat([xyz[:, 0], yaw[..., None]], dim=-1)


@pytest.fixture(scope="module")
def golden(request) -> Golden:
    folder = request.param
    model = AlpamayoR1(AlpamayoConfig.read(folder))
    found = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    assert not found.unexpected_keys
    assert all(key.endswith(BUFFERS) for key in found.missing_keys)
    return Golden(model, load_file(folder / "case.safetensors"), json.loads((folder / "case.json").read_text()))
