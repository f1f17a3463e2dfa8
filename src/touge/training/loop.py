"""The training loop: draw, compute, average, step; report, checkpoint, stop when asked. Decides nothing else.

Effects come in as `Outside`, so that the loop runs the same under a stage, a test or a benchmark.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from touge.contract.errors import Interrupted, TougeError
from touge.contract.progress import Progress
from touge.contract.recipe import Train
from touge.training.draws import unsigned
from touge.training.feed import Feed, StepInput
from touge.training.gradients import Gradients
from touge.training.guards import check_gradients
from touge.training.metrics import MetricsRow
from touge.training.optimiser import clip, learning_rate, total_norm
from touge.training.ranks import Ranks
from touge.training.sharding import largest
from touge.training.state import State
from touge.training.step import Totals

_REPORT_EVERY_US = 2_000_000
#: A save may take so many times as long as the one before it.
_SPARE = 1.5


@dataclass(frozen=True, slots=True)
class Outside:
    """What the loop asks of the world and tells it; only the leading rank reports, all save together.

    Attributes:
        stopping: Whether the process was asked to stop.
        clock: Unix time, microseconds.
        report: Tells how far the training is.
        save: Makes the present state resumable.
    """

    stopping: Callable[[], bool]
    clock: Callable[[], int]
    report: Callable[[Progress], None]
    save: Callable[[State], None]


@dataclass(slots=True)
class Loop:
    """One training.

    Attributes:
        model: What is trained.
        gradients: Adds them up.
        state: What changes.
        settings: The recipe's.
        ranks: This process and its peers.
        outside: The world.
        patience_s: Time for a save that is granted to a process that is told to stop, seconds.
        save_s: How long the last save took, where one was measured, seconds.
        unseen: Steps whose gradients are still to be looked at.
    """

    model: nn.Module
    gradients: Gradients
    state: State
    settings: Train
    ranks: Ranks
    outside: Outside
    patience_s: float = math.inf
    save_s: float | None = None
    unseen: int = 2

    def run(self, feed: Feed) -> None:
        """Train from the state's step to the last one.

        Raises:
            Interrupted: When asked to stop; every step done is saved by then, or, where there is no time for that, an
                earlier one.
            TougeError: If the loss or its gradient is no longer finite; the weights are those before that step. If
                weights are no longer finite; they are not saved.
        """
        reporter = _Reporter(self.outside, self.settings.steps, self._spent_us())
        saved = self.state.step
        with contextlib.closing(feed.steps(self.state.step, self.settings.steps)) as inputs:
            for given in inputs:
                totals, stop = self.ranks.agree(given.totals, stop=self.outside.stopping())
                if stop:
                    self._interrupt(saved)
                reporter.tell(self.advance(given, totals))
                if self.state.step % self.settings.checkpoint_every == 0 and self.state.step < self.settings.steps:
                    self._save()
                    saved = self.state.step

    def advance(self, given: StepInput, totals: Totals) -> MetricsRow:
        """Do one optimiser step and return how it went."""
        state, settings, began = self.state, self.settings, self.outside.clock()
        torch.manual_seed(_seed(settings.seed, given.step, self.ranks.index))
        state.optimiser.schedule(given.step, settings)
        added, gradients = self.ranks.add(self._accumulate(given, totals)), self.gradients.tensors()
        norm = total_norm(gradients, self.ranks.add)
        sums = added.tolist()
        if not (math.isfinite(sums[0]) and math.isfinite(norm)):
            raise _not_finite(sums[0], float(norm), given.step, self.ranks.join(given.ids))
        self._look_at_gradients(begun=given.step > 0)
        clip(gradients, settings.gradient_clip, norm)
        state.optimiser.step()
        self.gradients.clear()
        if state.average:
            state.average.update(state.weights)
        state.step = given.step + 1
        now = self.outside.clock()
        pace = _Pace(given.waited_s, (now - began) / 1e6)
        row = _row(given.step, sums, totals, settings, norm=float(norm), now=now, pace=pace)
        state.rows.append(row)
        return row

    def _accumulate(self, given: StepInput, totals: Totals) -> Tensor:
        """Add up the gradients of all micro-batches; return the sums of `StepMetrics`."""
        collected, device = [], self.ranks.device
        for index, (batch, draws) in enumerate(given.parts):
            last = index == len(given.parts) - 1
            collected.append(self.gradients.add(batch.to(device), draws.to(device), totals, last=last))
        return torch.stack(collected).sum(dim=0)

    def _look_at_gradients(self, *, begun: bool) -> None:
        """Guard the first steps of every execution: what is wired wrongly is wired so from the start."""
        if self.unseen > 0:
            check_gradients(self.model, self.state.weights, begun=begun)
            self.unseen -= 1

    def _spent_us(self) -> int:
        """Return how long the steps of earlier executions took: the pace is that of all steps."""
        return round(sum(map(self._seconds, self.state.rows)) * 1e6)

    def _seconds(self, row: MetricsRow) -> float:
        settings = self.settings
        return settings.batch_size * settings.gradient_accumulation * self.ranks.count / row.samples_per_second

    def _save(self) -> None:
        if not bool(largest(weight.detach() for weight in self.state.weights.values()).isfinite().all()):
            raise TougeError(
                f"step {self.state.step - 1} left weights that are not finite; they are not saved, and the last "
                "checkpoint is kept. Lower train.learning_rate"
            )
        began = self.outside.clock()
        self.outside.save(self.state)
        self.save_s = (self.outside.clock() - began) / 1e6

    def _has_time(self) -> bool:
        """Whether a save like the last one fits what is left of the grace: the signal came during the last step."""
        if self.save_s is None:
            return True
        return self._seconds(self.state.rows[-1]) + _SPARE * self.save_s <= self.patience_s

    def _interrupt(self, saved: int) -> None:
        """Save what is not saved, where nothing is or there is time, and stop."""
        step, why = self.state.step, ""
        if step > saved and self.ranks.follow(not saved or self._has_time()):
            self._save()
        elif step > saved:
            why = f" and saved step {saved}: a save takes {self.save_s:.0f} s, {self.patience_s:.0f} s are granted"
        self.ranks.wait()
        raise Interrupted(f"stopped after step {step}{why}; submit again to go on from there")


@dataclass(frozen=True, slots=True)
class _Pace:
    """How long a step waited for its input and how long it worked, seconds."""

    waited: float
    worked: float

    @property
    def seconds(self) -> float:
        return max(self.waited + self.worked, 1e-6)


def _seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of a step's dropout: as RNG-free as the rest."""
    return int(np.random.SeedSequence([unsigned(seed), step, rank]).generate_state(1)[0])


def _not_finite(loss: float, norm: float, step: int, ids: Iterable[str]) -> TougeError:
    return TougeError(
        f"step {step}: loss {loss}, gradient norm {norm}; expected finite numbers. Samples: {', '.join(ids)}. "
        "The last checkpoint is kept. Look at these samples, or lower train.learning_rate"
    )


def _row(
    step: int, sums: list[float], totals: Totals, settings: Train, *, norm: float, now: int, pace: _Pace
) -> MetricsRow:
    loss, reasoning, tokens, flow, spoken = sums
    others = totals.labels - spoken if settings.loss.trajectory_tokens else 0  # else they may not have been read
    return MetricsRow(
        step=step,
        time_us=now,
        loss=loss,
        reasoning=reasoning / spoken if spoken else None,
        trajectory_tokens=tokens / others if others else None,
        trajectory=flow / totals.samples,
        learning_rate=learning_rate(
            step, peak=settings.learning_rate, warmup=settings.warmup_steps, steps=settings.steps
        ),
        gradient_norm=norm,
        samples_per_second=totals.samples / pace.seconds,
        idle_share=pace.waited / pace.seconds,
    )


class _Reporter:
    """Tells of the last step every few seconds, and of the very last one."""

    def __init__(self, outside: Outside, steps: int, spent_us: int) -> None:
        self._outside, self._steps = outside, steps
        self._started = outside.clock() - spent_us
        self._told = 0

    def tell(self, row: MetricsRow) -> None:
        """Report a step, unless one was reported a moment ago."""
        if row.time_us - self._told < _REPORT_EVERY_US and row.step + 1 < self._steps:
            return
        self._told = row.time_us
        self._outside.report(
            Progress(
                done=row.step + 1,
                total=self._steps,
                unit="step",
                started_us=self._started,
                updated_us=row.time_us,
                metrics=row.numbers(),
            )
        )
