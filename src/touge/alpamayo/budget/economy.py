"""What the model spends to save memory, or time: one setting for each trick, none of which changes what is computed.

A recipe's wishes, a method and a machine in, an `Economy` out; pure. The default is the plain model.
`AlpamayoR1.economise` arranges a model so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from touge.contract.recipe import Economies

T = TypeVar("T")

#: LoRA with four cameras, eight draws and words of many lengths was seen to use 44.6 GiB, the driver included.
_SMALL_CARD_GIB = 46
#: Where steps of four cameras were recorded within 22.5 and 11 GiB of torch's allocator; CUDA takes 0.7 GiB besides.
_RECORDING_GIB = {"lora": 23, "qlora": 11.5}
#: Few lengths to compile for, and little padding.
_COLUMNS = 64


@dataclass(frozen=True, slots=True)
class Economy:
    """How a model runs.

    Attributes:
        compiler: What fuses the layers: a backend of torch.compile such as `inductor`; empty for none.
        recompute: Of every so many layers one is computed again in the backward pass; 0 keeps all activations.
        columns: Batches are moved to the left and padded to a multiple of so many columns: no mask is needed and shapes
            repeat. 0 leaves them as they come.
        rounded_adapters: Adapters multiply in the type of activations instead of float32.
        words_on_host: The embedding table stays in the host's memory (1.2 GiB at full size); it must be frozen.
        vision_on_host: The vision tower stays there between passes (1.1 GiB at full size); it must be frozen.
        cuda_graphs: The passes of a training step are recorded and replayed; words and vision tower must be frozen.
        compiled_inside: Each layer's inside is compiled, behind the hooks that gather its weights where they are split.
    """

    compiler: str = ""
    recompute: int = 0
    columns: int = 0
    rounded_adapters: bool = False
    words_on_host: bool = False
    vision_on_host: bool = False
    cuda_graphs: bool = False
    compiled_inside: bool = False

    @property
    def places(self) -> Economy:
        """Only where weights live: all that matters before the first step."""
        return Economy(words_on_host=self.words_on_host, vision_on_host=self.vision_on_host)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a process computes with.

    Attributes:
        memory_gib: Of its GPU; None on a CPU.
        compiler: Whether there is a C compiler, which torch.compile needs.
    """

    memory_gib: float | None
    compiler: bool

    @property
    def small(self) -> bool:
        """Whether the model must make itself small."""
        return self.memory_gib is not None and self.memory_gib < _SMALL_CARD_GIB


def chosen(
    wishes: Economies,
    method: str,
    machine: Machine,
    *,
    vision_frozen: bool = True,
    split: bool = False,
    dropout: bool = False,
) -> Economy:
    """Return how a training runs: as wished, else as method and machine want it.

    Args:
        wishes: The recipe's; on a CPU what is null is the plain model's.
        method: Of the training.
        machine: That it runs on.
        vision_frozen: Whether nothing of the vision tower is trained, adapters included.
        split: Whether processes split the weights: then nothing is recorded, and nothing compiled or laid apart unless
            wished.
        dropout: Whether adapters drop inputs: computed again by a recording, they would drop others.
    """
    gpu, full = machine.memory_gib is not None, method == "full"
    on_host = _wished(wishes.on_host, machine.small and not full and not split)
    compiled = machine.compiler and _wished(wishes.compile, gpu and not split)
    recompute = _wished(wishes.recompute, int(machine.small or (gpu and full)))
    columns = _wished(wishes.columns, _COLUMNS if gpu else 0)
    can_record = gpu and not full and not split and vision_frozen and columns > 0 and not (recompute and dropout)
    has_room = (machine.memory_gib or 0) >= _RECORDING_GIB.get(method, 0)
    return Economy(
        compiler="inductor" if compiled else "",
        recompute=recompute,
        columns=columns,
        rounded_adapters=_wished(wishes.rounded_adapters, gpu and not full),
        words_on_host=on_host,
        vision_on_host=on_host and vision_frozen,
        cuda_graphs=can_record and _wished(wishes.cuda_graphs, has_room),
        compiled_inside=compiled and split,
    )


def _wished(wish: T | None, usual: T) -> T:
    return usual if wish is None else wish
