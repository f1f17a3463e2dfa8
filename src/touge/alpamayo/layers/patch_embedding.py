"""The vision tower's first layer as the matrix product that it is.

A convolution whose stride is its kernel sees every patch once and alone. As a convolution over one patch at a time it
takes a path of its own in torch, forward and above all backward (`benchmarks/patch_embedding.py`).
"""

from __future__ import annotations

from torch import Tensor, nn


class PatchEmbedding(nn.Module):
    """Weights and names of transformers' patch embedding; the same sums, in another order.

    Args:
        inner: A `Qwen3VLVisionPatchEmbed`.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.proj: nn.Conv3d = inner.proj  # type: ignore[assignment]

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the embeddings [patches, C] of pixels [patches, channels x times x height x width]."""
        weight = self.proj.weight.flatten(1)
        return nn.functional.linear(pixels.to(weight.dtype).view(-1, weight.shape[1]), weight, self.proj.bias)
