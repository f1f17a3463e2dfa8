"""What the model spends to save memory, or time: one setting for each trick, none of which changes what is computed.

The default is the plain model. `AlpamayoR1.economise` arranges a model once, behind adapters and device, before the
first step.
"""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    compiler: str = ""
    recompute: int = 0
    columns: int = 0
    rounded_adapters: bool = False
    words_on_host: bool = False
    vision_on_host: bool = False
