"""How a micro-batch adds its gradients to those of the weights: by running the passes, or by replaying them.

A step at full size is some ten thousand small kernels, and a process needs longer to launch them one by one than a
GPU needs to run them. `Recorded` has the passes of each shape recorded once, as a CUDA graph, and launched as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.model import AlpamayoR1, Prepared
from touge.contract.recipe import Train
from touge.training.draws import Draws
from touge.training.ranks import Ranks
from touge.training.step import Totals, seen, train_step, weighted

#: Labels of a batch are padded to a multiple of it, so that shapes repeat.
_LABELS = 64

Shapes = tuple[tuple[str, torch.Size], ...]


class Gradients(Protocol):
    """Adds up what the weights are stepped by."""

    def add(self, batch: Batch, draws: Draws, totals: Totals, *, last: bool) -> Tensor:
        """Add a micro-batch's gradients, behind the last one those of all ranks; return its `StepMetrics.sums`.

        Args:
            batch: On the device.
            draws: Of the batch.
            totals: Of the whole step.
            last: Whether it is the last micro-batch of the step.
        """
        ...

    def tensors(self) -> list[Tensor]:
        """Return all of them, in as few tensors as they lie in."""
        ...

    def clear(self) -> None:
        """Forget them, for the next step."""
        ...


class Computed:
    """Runs both passes.

    Args:
        model: Gives losses; wrapped for data parallelism.
        weights: That are trained.
        settings: Of the loss.
        ranks: This process and its peers.
    """

    def __init__(self, model: nn.Module, weights: Iterable[nn.Parameter], settings: Train, ranks: Ranks) -> None:
        self._model, self._weights, self._loss, self._ranks = model, list(weights), settings.loss, ranks

    def add(self, batch: Batch, draws: Draws, totals: Totals, *, last: bool) -> Tensor:
        """See `Gradients`."""
        with nullcontext() if last else self._ranks.without_sync(self._model):
            loss, metrics = train_step(self._model, batch, draws, self._loss, totals)
            self._ranks.backward(loss)
        return metrics.sums

    def tensors(self) -> list[Tensor]:
        """See `Gradients`."""
        return [weight.grad for weight in self._weights if weight.grad is not None]

    def clear(self) -> None:
        """See `Gradients`."""
        for weight in self._weights:
            weight.grad = None


class Tape(Protocol):
    """Records what a device is given to do."""

    def aside(self) -> AbstractContextManager[None]:
        """Let what is allocated inside take the memory of recordings, which are not replayed meanwhile."""
        ...

    def rehearse(self, work: Callable[[], Tensor]) -> Tensor:
        """Do it as it comes; what it took to do so is given back."""
        ...

    def record(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Return what does the same again, on tensors in the same places, and gives the same tensor anew."""
        ...


class CudaTape:
    """CUDA graphs that share their memory: no two are at work at once.

    Memory goes back to the stream that it was taken on, so that all is prepared, rehearsed and recorded on one. What
    others have given back is no good for recordings, and is returned to the device.
    """

    def __init__(self) -> None:
        torch.cuda.empty_cache()
        self._pool, self._stream = torch.cuda.MemPool(), torch.cuda.Stream()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """See `Tape`."""
        outer = torch.cuda.current_stream()
        self._stream.wait_stream(outer)
        with torch.cuda.stream(self._stream), torch.cuda.use_mem_pool(self._pool):
            yield
        outer.wait_stream(self._stream)

    def rehearse(self, work: Callable[[], Tensor]) -> Tensor:
        """See `Tape`. A backward pass in a thread of its own would allocate outside the pool."""
        with self.aside(), torch.autograd.set_multithreading_enabled(False):
            result = work()
        kept = result.clone()
        torch.cuda.empty_cache()
        return kept

    def record(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """See `Tape`. Threads that prepare batches may go on with theirs."""
        graph = torch.cuda.CUDAGraph()
        pool: Any = self._pool.id
        with torch.cuda.graph(graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"):
            result = work()

        def again() -> Tensor:
            graph.replay()
            return result.clone()

        return again


class Recorded:
    """Replays both passes: the first batch of a shape is computed as it comes, the second one recorded.

    Every weight's gradient lies in one buffer of its type for good.

    Args:
        model: Whose words and pictures are frozen, and which needs no mask.
        weights: That are trained.
        settings: Of the loss.
        ranks: This process and its peers.
        tape: Records.
    """

    def __init__(
        self, model: AlpamayoR1, weights: Iterable[nn.Parameter], settings: Train, ranks: Ranks, tape: Tape
    ) -> None:
        self._model, self._settings, self._ranks, self._tape = model, settings, ranks, tape
        self._buffers = _gradient_buffers(weights)
        self._inputs: dict[tuple[str, torch.Size], Tensor] = {}
        self._met: dict[Shapes, Callable[[], Tensor] | None] = {}

    def add(self, batch: Batch, draws: Draws, totals: Totals, *, last: bool) -> Tensor:
        """See `Gradients`."""
        with self._tape.aside(), torch.no_grad():
            given = self._given(batch, draws, totals)
        inputs = {name: self._input(name, tensor) for name, tensor in given.items()}
        shapes = tuple((name, tensor.shape) for name, tensor in given.items())
        del given  # its memory is what recordings write to
        sums = self._run(shapes, partial(self._compute, inputs))
        if last and self._ranks.count > 1:
            for buffer in self._buffers:
                buffer.copy_(self._ranks.add(buffer))
        return sums

    def tensors(self) -> list[Tensor]:
        """See `Gradients`."""
        return self._buffers

    def clear(self) -> None:
        """See `Gradients`."""
        for buffer in self._buffers:
            buffer.zero_()

    def _given(self, batch: Batch, draws: Draws, totals: Totals) -> dict[str, Tensor]:
        """Return all that a step depends on."""
        prepared = self._model.prepare(seen(batch, self._settings.loss))
        prepared = replace(prepared, layout=prepared.layout.padded(_LABELS))
        counts = torch.tensor([totals.labels, totals.samples], dtype=torch.float32)
        return {**prepared.tensors(), "noise": draws.noise, "time": draws.time, "totals": counts}

    def _input(self, name: str, tensor: Tensor) -> Tensor:
        """Return the tensor in the place where recordings look for one of its name and shape."""
        key = name, tensor.shape
        if key not in self._inputs:
            self._inputs[key] = torch.empty_like(tensor, device=self._ranks.device)
        return self._inputs[key].copy_(tensor)

    def _run(self, shapes: Shapes, work: Callable[[], Tensor]) -> Tensor:
        if shapes not in self._met:
            self._met[shapes] = None
            return self._tape.rehearse(work)
        again = self._met[shapes] or self._tape.record(work)
        self._met[shapes] = again
        return again()

    def _compute(self, inputs: dict[str, Tensor]) -> Tensor:
        prepared, (labels, samples) = Prepared.of(inputs), inputs["totals"]
        reach = self._settings.insulation.reach
        losses = self._model.losses_of(prepared, inputs["noise"], inputs["time"], reach=reach)
        loss, metrics = weighted(losses, self._settings.loss, labels, samples)
        loss.backward()
        return metrics.sums


def _gradient_buffers(weights: Iterable[nn.Parameter]) -> list[Tensor]:
    """Give every weight a gradient of zeros within one buffer for each type; return the buffers."""
    by_type = sorted(weights, key=lambda weight: str(weight.dtype))
    return [_gradient_buffer(list(some)) for _, some in groupby(by_type, key=lambda weight: weight.dtype)]


def _gradient_buffer(weights: list[nn.Parameter]) -> Tensor:
    sizes = [weight.numel() for weight in weights]
    buffer = torch.zeros(sum(sizes), dtype=weights[0].dtype, device=weights[0].device)
    for weight, part in zip(weights, buffer.split(sizes), strict=True):
        weight.grad = part.view_as(weight)
    return buffer
