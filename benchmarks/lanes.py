"""What a GPU did in a stretch of time, from a profile of torch's: products, communication, what hides what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Span = tuple[float, float]
_KINDS = (
    ("communication", ("nccl",)),
    ("optimiser", ("kOptimizer", "distribution_", "multi_tensor")),
    ("products", ("gemm", "nvjet", "cutlass", "flash", "fmha", "cudnn")),
)


def kind_of(kernel: str) -> str:
    """Return what a kernel is for, by its name."""
    return next((kind for kind, parts in _KINDS if any(part in kernel for part in parts)), "other")


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return the same stretches in order, overlapping ones as one."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found


def length(spans: Iterable[Span]) -> float:
    """Return how long all stretches together are."""
    return sum(end - begin for begin, end in joined(spans))


def summary(kernels: Iterable[tuple[str, float, float]], steps: int) -> dict[str, Any]:
    """Return milliseconds a step: each kind, communication that nothing else ran beside, and nothing at all.

    Args:
        kernels: Name, begin and end, microseconds.
        steps: How many there were.
    """
    given = list(kernels)
    spans: dict[str, list[Span]] = {}
    for name, begin, end in given:
        spans.setdefault(kind_of(name), []).append((begin, end))
    everything = [span for some in spans.values() for span in some]
    if not everything:
        return {}
    working = [span for kind, some in spans.items() if kind != "communication" for span in some]
    whole = max(end for _, end in everything) - min(begin for begin, _ in everything)
    parts = {kind: length(some) for kind, some in spans.items()} | {
        "communication alone": length(everything) - length(working),
        "nothing": whole - length(everything),
        "all": whole,
    }
    return {name: round(value / 1e3 / steps, 1) for name, value in parts.items()} | {"kernels": len(given) // steps}
