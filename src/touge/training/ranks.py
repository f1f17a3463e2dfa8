"""The processes of one training: what they must agree on at every step. A thin skin over accelerate."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.model import AlpamayoR1, Losses
from touge.contract.errors import SettingsError
from touge.contract.recipe import Train
from touge.training.sharding import shard
from touge.training.step import Totals

T = TypeVar("T")


def check_devices(processes: int, gpus: int) -> None:
    """Refuse more processes than this machine has GPUs; without any, they share the processors.

    Raises:
        SettingsError: If some process would have none.
    """
    if 0 < gpus < processes:
        raise SettingsError(
            f"{processes} processes and {gpus} GPUs on this machine; each process needs one of its own. "
            "Set resources.gpus, or TOUGE_PROCESSES, to what there is"
        )


def is_sharded(settings: Train) -> bool:
    """Return whether several processes would split the weights: as the recipe says, else where all are trained."""
    return settings.method == "full" if settings.sharded is None else settings.sharded


class LossModule(nn.Module):
    """Computes the losses in `forward`, where data parallelism can see it.

    Args:
        model: Gives them.
        reach: Share of the flow loss's gradient that reaches the language model.
    """

    def __init__(self, model: AlpamayoR1, reach: float) -> None:
        super().__init__()
        self.model, self.reach = model, reach

    def forward(self, batch: Batch, noise: Tensor, time: Tensor) -> Losses:
        """Return the losses of a batch."""
        return self.model.losses(batch, noise, time, reach=self.reach)


class Ranks:
    """One process among `count`; `index` 0 leads, and alone writes to the store."""

    def __init__(self) -> None:
        check_devices(int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count())
        gradients = DistributedDataParallelKwargs(gradient_as_bucket_view=True)
        self._accelerator = Accelerator(
            mixed_precision="no", cpu=not torch.cuda.is_available(), kwargs_handlers=[gradients]
        )
        self.count: int = self._accelerator.num_processes
        self.index: int = self._accelerator.process_index
        self.device: torch.device = self._accelerator.device
        self._split = False

    @property
    def leads(self) -> bool:
        """Whether this process writes to the store."""
        return self.index == 0

    @property
    def leads_node(self) -> bool:
        """Whether this process fetches what all of its node need."""
        return self._accelerator.is_local_main_process

    def wrap(self, model: AlpamayoR1, settings: Train) -> nn.Module:
        """Average the gradients over the processes; the model stays where it is, and the rest of it is left alone.

        Where the processes split the weights, the model's parameters are others afterwards. accelerate's own wrapper
        does not do that here: it would make every trained weight float32.
        """
        root = LossModule(model, settings.insulation.reach)
        self._split = self.count > 1 and is_sharded(settings)
        if self._split:
            shard(root, model, ranks=self.count, device=self.device)
            return root
        frozen = {name for name, weight in root.named_parameters() if not weight.requires_grad}
        apart = frozen | {name for name, _ in root.named_buffers()}
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(root, apart)  # noqa: SLF001 - no other way
        return self._accelerator.prepare_model(root, device_placement=False)

    def without_sync(self, model: nn.Module) -> AbstractContextManager[Any]:
        """Keep gradients local inside the block; where weights are split there would be no room for whole ones."""
        return nullcontext() if self._split else self._accelerator.no_sync(model)

    def backward(self, loss: Tensor) -> None:
        """Add this rank's gradients: averaging over ranks then gives their sum."""
        self._accelerator.backward(loss * self.count)

    def agree(self, totals: Totals, *, stop: bool) -> tuple[Totals, bool]:
        """Return the totals of all ranks, and whether any was asked to stop."""
        if self.count == 1:
            return totals, stop
        mine = torch.tensor([totals.labels, totals.samples, int(stop)], device=self.device)
        labels, samples, stops = self.add(mine).tolist()
        return Totals(labels, samples), bool(stops)

    def add(self, tensor: Tensor) -> Tensor:
        """Return the sum over the ranks."""
        return self._accelerator.reduce(tensor, reduction="sum") if self.count > 1 else tensor

    def join(self, items: Iterable[T]) -> list[T]:
        """Return the items of all ranks."""
        return list(gather_object(list(items)))

    def follow(self, item: T) -> T:
        """Return the leading rank's item."""
        return self.join([item] if self.leads else [])[0]

    def wait(self) -> None:
        """Wait until every rank is here."""
        self._accelerator.wait_for_everyone()

    def close(self) -> None:
        """Leave the process group."""
        self._accelerator.end_training()
