"""What the model spends to save memory, or time: one setting for each trick, none of which changes what is computed.

The default is the plain model. `apply` arranges a model once, after adapters and before the first step.
"""

from __future__ import annotations

from dataclasses import dataclass

@dataclass(frozen=True, slots=True)
class Economy:
    """How a model runs.

    Attributes:
        compiled: Whether layers run as fused kernels (torch.compile).
        recompute: Of every so many layers one is computed again in the backward pass; 0 keeps all activations.
        columns: Batches are moved to the left and padded to a multiple of so many columns: no mask is needed and shapes
            repeat. 0 leaves them as they come.
    """

    compiled: bool = False
    recompute: int = 0
    columns: int = 0
