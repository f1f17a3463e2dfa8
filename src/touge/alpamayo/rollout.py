"""Rollouts: what the model says and where it drives, several times a window, reproducibly.

One prefill serves all rollouts of a window. Every rollout has a generator for tokens and a starting noise of
its own, both from the CPU, so that base and tuned model are compared under equal luck.

Shapes: B windows, K rollouts, R = B K rows, T = 64 steps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from tokenizers import Tokenizer
from torch import Tensor

from touge.alpamayo.actions.flow_matching import sample
from touge.alpamayo.budget.economy import Economy
from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.layers.attention import Capture, Growing
from touge.alpamayo.layers.decoder import decode
from touge.alpamayo.model import AlpamayoR1, Context
from touge.alpamayo.nucleus import nucleus_draw


@dataclass(frozen=True, slots=True)
class Sampling:
    """How reasoning is drawn.

    Attributes:
        rollouts: K.
        temperature: 0 is greedy.
        top_p: Nucleus (Holtzman et al. 2019, arXiv 1904.09751).
        max_tokens: Longest reasoning; a longer one is cut and driven from there.
        seed: Of the whole evaluation.
    """

    rollouts: int = 6
    temperature: float = 0.6
    top_p: float = 0.98
    max_tokens: int = 128
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Drawn:
    """One rollout: reasoning, and poses [64, 3] x, y, yaw in metres and radians, ego frame at t0."""

    reasoning: str
    trajectory: Tensor


def generator(seed: int, sample_id: str, rollout: int, purpose: str) -> torch.Generator:
    """Return a CPU generator that depends on nothing but its arguments."""
    content = hashlib.sha256(f"{seed}\0{sample_id}\0{rollout}\0{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(content[:8], "big") >> 1)


@torch.no_grad()
def rollout(model: AlpamayoR1, tokenizer: Tokenizer, batch: Batch, sampling: Sampling) -> list[list[Drawn]]:
    """Draw K rollouts of every window of a batch in generation form; returns [B][K]."""
    reading = _Reading(model, batch, sampling)
    tokens = reading.reason()
    actions = _act(model, batch, reading.context(), sampling)
    texts = [_text(tokenizer, row, model.vocabulary.cot_end) for row in tokens]
    drawn = [Drawn(text, trajectory) for text, trajectory in zip(texts, actions, strict=True)]
    k = sampling.rollouts
    return [drawn[start : start + k] for start in range(0, len(drawn), k)]


@torch.no_grad()
def drive(model: AlpamayoR1, batch: Batch, sampling: Sampling) -> list[Drawn]:
    """Drive from the reasoning that a batch in training form holds, from the starting noise of rollout 0.

    Returns:
        One a window, without text: what rollout 0 would have driven, had it said that.
    """
    capture = Capture()
    model.read(batch, capture)
    mask = batch.attention_mask[:, : batch.prefix]
    context = Context(capture.prefix(batch.prefix), mask, batch.positions[0, :, batch.prefix - 1] + 1)
    return [Drawn("", trajectory) for trajectory in _act(model, batch, context, replace(sampling, rollouts=1))]


class _Reading:
    """Token-by-token generation: a window's rollouts are columns of one row, each of which sees the prefix and its own.

    So the prefix is there once, whatever K is. Finished rollouts append masked columns.
    """

    def __init__(self, model: AlpamayoR1, batch: Batch, sampling: Sampling) -> None:
        self.model, self.sampling = model, sampling
        capture, k = Capture(), sampling.rollouts
        hidden = model.read(batch, capture)
        self.memory = Growing(capture.prefix(batch.input_ids.shape[1]), k * (sampling.max_tokens + 1))
        self.mask = batch.attention_mask[:, None].expand(-1, k, -1)
        self.position = batch.positions[0, :, -1:].expand(-1, k)
        self.logits = model.vlm.lm_head(hidden[:, -1]).repeat_interleave(k, dim=0)
        self.dice = [generator(sampling.seed, name, i, "tokens") for name in batch.ids for i in range(k)]

    def reason(self) -> list[list[int]]:
        """Draw tokens until every rollout has read `<|traj_future_start|>`; returns each one's tokens."""
        stop = self.model.vocabulary.future_start
        rows: list[list[int]] = [[] for _ in self.dice]
        active = torch.ones(len(rows), dtype=torch.bool, device=self.mask.device)
        for step in range(self.sampling.max_tokens + 1):
            token = torch.full_like(self.position, stop).flatten()
            if step < self.sampling.max_tokens:
                token[active] = self._draw(active)
            self._read(token.view_as(self.position), active.view_as(self.position))
            for row, drawn in zip(active.nonzero().flatten().tolist(), token[active].tolist(), strict=True):
                rows[row].append(drawn)
            active = active & (token != stop)
            if not bool(active.any()):
                break
        return rows

    def context(self) -> Context:
        """Return what the expert attends to."""
        return Context(self.memory.prefix(), self.mask, self.position + 1)

    def _draw(self, active: Tensor) -> Tensor:
        """Return one token for each active rollout; each throws dice of its own, so none waits for another's."""
        words = self.model.vocabulary
        logits = self.logits[active].float()
        logits[:, words.trajectory_start : words.trajectory_start + words.trajectory_size] = -torch.inf
        if self.sampling.temperature == 0:
            return logits.argmax(dim=-1)
        thrown = [torch.rand((), generator=self.dice[row]) for row in active.nonzero().flatten().tolist()]
        probabilities = (logits / self.sampling.temperature).softmax(dim=-1)
        return nucleus_draw(probabilities, self.sampling.top_p, torch.stack(thrown).to(logits.device))

    def _read(self, token: Tensor, active: Tensor) -> None:
        """Let each rollout read a token [B, K], where it is active."""
        own = torch.eye(active.shape[1], dtype=torch.bool, device=active.device) & active[..., None]
        self.mask = torch.cat([self.mask, own], dim=-1)
        self.position = self.position + active.long()
        hidden = decode(
            self.model.vlm.model.language_model,
            self.model.words(token),
            self.position.expand(3, -1, -1),
            self.mask[:, None],
            self.memory,
            economy=Economy(),
        )
        self.memory.advance(token.shape[1])
        self.logits = self.model.vlm.lm_head(hidden.flatten(0, 1))


def _act(model: AlpamayoR1, batch: Batch, context: Context, sampling: Sampling) -> Tensor:
    """Sample one action a rollout and drive it; returns [R, T, 3]."""
    k, device = sampling.rollouts, context.mask.device
    shape = model.config.action_shape
    dice = [generator(sampling.seed, name, i, "noise") for name in batch.ids for i in range(k)]
    noise = torch.stack([torch.randn(shape, generator=g) for g in dice]).to(device).unflatten(0, (-1, k))
    steps = model.config.flow.num_inference_steps
    action = sample(lambda x, t: model.velocity(context, x, t), noise, steps).flatten(0, 1)
    history = batch.history.repeat_interleave(k, dim=0)
    return model.action_space.to_trajectory(action, history[..., :2], history[..., 3])


def _text(tokenizer: Tokenizer, tokens: Sequence[int], end: int) -> str:
    spoken = list(tokens[: tokens.index(end)] if end in tokens else tokens)
    return str(tokenizer.decode(spoken, skip_special_tokens=True)).strip()
