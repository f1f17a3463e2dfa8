"""Draws of the expert in one masked pass, and each in a row of its own: `python benchmarks/draws.py`.

Prints milliseconds of a velocity with its backward, the median of 10, on the tiny model's expert behind prefixes of
several lengths. The model takes rows of their own where the prefix is shorter than all draws together.
"""

from __future__ import annotations

import platform
import statistics
import time

import torch
from torch import Tensor

from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.tokenizer import train_tiny_tokenizer
from touge.alpamayo.layers.attention import Prefix
from touge.alpamayo.model import AlpamayoR1, Context
from touge.alpamayo.tiny import TinySizes, tiny_document

ROWS, DRAWS = 16, 8
PREFIXES = (64, 150, 400, 1000, 3000)


def main() -> None:
    """Print a line for each length of the prefix."""
    tokenizer = train_tiny_tokenizer(["right curve ahead"], size=400)
    model = AlpamayoR1(AlpamayoConfig.parse(tiny_document(tokenizer, TinySizes())))
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads"
    print(f"{machine}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}")
    x, moment = torch.randn(ROWS, DRAWS, *model.config.action_shape), torch.rand(ROWS, DRAWS)
    apart = x.flatten(0, 1)[:, None], moment.flatten()[:, None]
    for length in PREFIXES:
        context = random_context(model, length)
        shared = milliseconds(model, context, x, moment)
        alone = milliseconds(model, context.repeated(DRAWS), *apart)
        print(f"  prefix {length:5}: one pass {shared:8.1f} ms   rows of their own {alone:8.1f} ms")


def random_context(model: AlpamayoR1, length: int) -> Context:
    """Return a context of noise."""
    text = model.config.expert_text
    shape = (ROWS, text["num_key_value_heads"], length, text["head_dim"])
    layers = [(torch.randn(shape), torch.randn(shape)) for _ in model.expert.layers]
    return Context(Prefix(layers), torch.ones(ROWS, length, dtype=torch.bool), torch.full((ROWS,), length))


def milliseconds(model: AlpamayoR1, context: Context, x: Tensor, moment: Tensor) -> float:
    """Return the median duration of a pass and its backward."""
    taken = []
    for _ in range(11):
        began = time.perf_counter()
        model._velocity(context, x, moment, causal=False).square().mean().backward()  # noqa: SLF001 - what is compared
        taken.append(time.perf_counter() - began)
    return 1e3 * statistics.median(taken[1:])


if __name__ == "__main__":
    main()
