"""How an execution shares out the processors of a machine. Pure; whoever starts a stage outside a cluster asks it.

One process with a team of threads waits at the end of every small operation for the slowest thread. Where a training
adds up several micro-batches a step and no GPU does the work, processes that do them side by side wait once a step.
"""

from __future__ import annotations

from dataclasses import dataclass

from touge.contract.environment import PROCESSES
from touge.contract.plan import Stage
from touge.contract.recipe import Recipe

THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True, slots=True)
class Share:
    """Of one execution: how many processes do its work together, and how many threads each of them has.

    `processes` is None where the stage is to choose, by the recipe's GPUs.
    """

    threads: int
    processes: int | None = None

    @classmethod
    def of(cls, stage: Stage, recipe: Recipe, processors: int, *, gpu: bool) -> Share:
        """Choose for one execution of a stage.

        A recipe that does not say `resources.gpus: 0` is never split: its model may fit the machine only once.

        Args:
            stage: Its shards run side by side.
            recipe: Of the plan.
            processors: Of the machine.
            gpu: Whether the machine has one.
        """
        if stage.name != "train" or gpu or recipe.resources.gpus != 0:
            return cls(max(1, processors // stage.shards))
        parts = recipe.train.gradient_accumulation
        processes = max(count for count in range(1, max(1, processors) + 1) if parts % count == 0)
        return cls(max(1, processors // processes), processes)

    def to_environ(self) -> dict[str, str]:
        """Return the variables that say so."""
        processes = {} if self.processes is None else {PROCESSES: str(self.processes)}
        return {THREADS: str(self.threads)} | processes
