"""The vision tower's first layer, a convolution, and the product that it is: `python benchmarks/patch_embedding.py`.

Prints milliseconds, forward and forward with backward, the median of 20, for the tiny model's batch and for one sample
of the released model (16 frames of 320 x 576 pixels).
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionPatchEmbed

from touge.alpamayo.layers.patch_embedding import PatchEmbedding

#: Name, patches, width, type.
CASES = (
    ("tiny, 16 samples", 16 * 4 * 48, 64, torch.float32),
    ("released, 1 sample", 16 * 20 * 36, 1152, torch.bfloat16),
)


def main() -> None:
    """Print a line for each case and each way."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = (
        torch.cuda.get_device_name()
        if device.type == "cuda"
        else f"{platform.machine()}, {torch.get_num_threads()} threads"
    )
    print(f"{name}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}")
    for case, patches, width, dtype in CASES:
        config = Qwen3VLVisionConfig(hidden_size=width)
        convolution = Qwen3VLVisionPatchEmbed(config).to(device, dtype)
        pixels = torch.randn(patches, convolution.proj.weight[0].numel(), device=device, dtype=dtype)
        for way, module in (("convolution", convolution), ("product", PatchEmbedding(convolution))):
            forward = milliseconds(lambda m=module, p=pixels: m(p), device)
            both = milliseconds(lambda m=module, p=pixels: m(p).sum().backward(), device)
            print(f"  {case:20} {way:12} forward {forward:8.2f} ms   with backward {both:8.2f} ms")


def milliseconds(work: Callable[[], Tensor | None], device: torch.device) -> float:
    """Return the median duration of some work."""
    taken = []
    for _ in range(22):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return 1e3 * statistics.median(taken[2:])


if __name__ == "__main__":
    main()
