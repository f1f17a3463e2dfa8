"""The stage `train`: a curated data set and a base model in, an adapter or a checkpoint out.

Puts the parts together: the only module here that knows plans, artifacts and executions.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from tokenizers import Tokenizer
from torch import Tensor

from touge.alpamayo.budget.economy import Economy, chosen
from touge.alpamayo.budget.machine import machine_of, memory_of
from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.batches import Encoder
from touge.alpamayo.inputs.prompt import prompt_hash
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.weights import checkpoint, lora
from touge.alpamayo.weights.quantisation import parameter_count
from touge.alpamayo.weights.shards import Shards
from touge.contract.artifacts import StageRef
from touge.contract.errors import CheckpointError, DataError, Interrupted, SettingsError
from touge.contract.model import problems
from touge.contract.progress import Progress
from touge.contract.recipe import Economies, Train
from touge.stage import StageContext
from touge.storage.execution import Artifact, newest_checkpoint
from touge.storage.models import model_folder
from touge.storage.shards import ShardReader
from touge.training.base_words import FILE as WORDS
from touge.training.base_words import check_words, generate_words, read_words, wordless, write_words
from touge.training.draws import draw
from touge.training.failures import explained
from touge.training.features import compute_features
from touge.training.feed import Feed
from touge.training.frames import FrameSource
from touge.training.gradients import Computed, CudaTape, Gradients, Recorded
from touge.training.guards import check_frozen, check_materialised, check_sight
from touge.training.inputs import Inputs
from touge.training.launch import granted_s, patience_s
from touge.training.loop import Loop, Outside
from touge.training.metrics import idle_share, write_rows, write_tensorboard
from touge.training.order import Order
from touge.training.quantised import WINDOWS, compare
from touge.training.ranks import Ranks, is_sharded
from touge.training.samples import Samples
from touge.training.sharding import gather
from touge.training.state import METRICS, State, restore_state, save_state
from touge.training.weights import adapter_of, choose_weights, vision_is_frozen

ADAPTER = "adapter"
CHECKPOINT = "checkpoint"
SUMMARY = "training.json"
_KEPT_CHECKPOINTS = 2


def run(context: StageContext) -> dict[str, Any]:
    """Do the stage's work on this rank; returns the artifact's metadata."""
    settings = _settings(context)
    cameras = len(context.plan.recipe.curate.cameras)
    with explained(settings, cameras), closing(Ranks()) as ranks:
        fitted = _fitted(context, settings, ranks)
        economy = _economy(context, fitted, ranks)
        with explained(_as_run(fitted, economy), cameras):
            return _Training(context, fitted, ranks, economy).run()


class _Training:
    """One execution of the stage, on one rank."""

    def __init__(self, context: StageContext, settings: Train, ranks: Ranks, economy: Economy) -> None:
        self.context, self.settings, self.ranks, self.economy = context, settings, ranks, economy
        self.scratch = context.scratch / f"rank-{ranks.index}"
        self.words: dict[str, str] = {}
        self.quantisation: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """Train from wherever an earlier execution left off, and write the artifact's files."""
        base = model_folder(self.context.plan.base, self.context.scratch)
        model, tokenizer = self._load_base(base)
        inputs = self._inputs(model, tokenizer)
        order = Order(tuple(row.weight for row in inputs.samples.rows), self.settings.seed)
        pin = self.ranks.device.type == "cuda"
        feed = Feed(inputs, order, self.settings, self.ranks.index, self.ranks.count, pin=pin)
        resumed = self._resumed()
        self._fill_in_words(model, tokenizer, feed)
        self._measure_quantisation(model, base, feed)
        trained = choose_weights(model, self.settings)
        step = resumed.step if resumed else 0
        self._guard(model.train(), trained, feed, step)
        feed = self._with_features(feed, model, step)
        gradients = self._gradients(model, trained)
        state = State.begin({name: model.get_parameter(name) for name in trained}, self.settings)
        if resumed and step:
            restore_state(state, resumed.folder, step)
        self._log_start(model, state, inputs)
        model.economise(self.economy)
        patience, saved_in = patience_s(granted_s(os.environ)), resumed.seconds if resumed else None
        Loop(model, gradients, state, self.settings, self.ranks, self._outside(), patience, saved_in).run(feed)
        return self._finish(model, tokenizer, state, inputs)

    def _load_base(self, folder: Path) -> tuple[AlpamayoR1, Tokenizer]:
        plan, shared = self.context.plan, self.context.scratch
        backbone = model_folder(plan.backbone, shared, weights=False) if plan.backbone else None
        dtype = _dtype(AlpamayoConfig.read(folder, backbone=backbone).dtype, self.settings, self.ranks.device)
        four_bit = self.settings.method == "qlora"
        model, tokenizer = checkpoint.load(
            folder, backbone=backbone, dtype=dtype, device=self.ranks.device, four_bit=four_bit
        )
        model.requires_grad_(requires_grad=self.settings.method == "full")
        model.economise(self.economy.places)  # the rest waits for the adapters
        self.context.log.info("base loaded", **memory_of(self.ranks.device))
        return model, tokenizer

    def _gradients(self, model: AlpamayoR1, trained: Iterable[str]) -> Gradients:
        """Choose how gradients come about; where weights are split, the model's parameters are others afterwards."""
        wrapped = None if self.economy.cuda_graphs else self.ranks.wrap(model, self.settings)
        weights = [model.get_parameter(name) for name in trained]
        if wrapped is None:
            return Recorded(model, weights, self.settings, self.ranks, CudaTape())
        return Computed(wrapped, weights, self.settings, self.ranks)

    def _inputs(self, model: AlpamayoR1, tokenizer: Tokenizer) -> Inputs:
        data = self.context.artifact("data").fetch(self.scratch / "data", ["samples.jsonl"])
        samples = Samples.open(data / "samples.jsonl")
        frames = FrameSource(ShardReader(self.context.store))
        return Inputs(samples, frames, Encoder(model.config, tokenizer), self.words)

    def _planned(self, feed: Feed, step: int = 0) -> list[int]:
        """Return the samples of all steps from one on and of all ranks, in their order."""
        size = self.settings.batch_size * self.settings.gradient_accumulation * self.ranks.count
        return feed.order.samples(step * size, (self.settings.steps - step) * size)

    def _measure_quantisation(self, model: AlpamayoR1, base: Path, feed: Feed) -> None:
        """Say what 4 bits cost, before they are trained on; adapters learn to make up for it."""
        if self.settings.method != "qlora" or not self.ranks.leads:
            return
        indices = list(dict.fromkeys(self._planned(feed)))[:WINDOWS]
        seed, device = self.settings.seed, self.ranks.device
        self.quantisation = compare(model, Shards.open(base), feed.inputs, indices, seed=seed, device=device)
        self.context.log.info("base in 4 bits", **self.quantisation)

    def _resumed(self) -> _Resumed | None:
        """Fetch the newest complete checkpoint of any execution of this stage: all ranks that of the leading one.

        Raises:
            CheckpointError: If a file is not what was written.
        """
        store = self.context.store
        newest = newest_checkpoint(store, StageRef(self.context.stage.id)) if self.ranks.leads else None
        known = self.ranks.follow((newest.step, newest.artifact.prefix, newest.artifact.manifest) if newest else None)
        if known is None:
            return None
        step, prefix, manifest = known
        folder = self.context.scratch / "resumed"
        try:
            if self.ranks.leads_node:
                shutil.rmtree(folder, ignore_errors=True)
                Artifact(store, prefix, manifest).fetch(folder)
        except DataError as error:
            raise CheckpointError(
                f"the checkpoint of step {step} is damaged ({error.args[0].partition(';')[0]}). Remove "
                f"{store.uri}/{prefix} and submit again; an earlier one is used"
            ) from error
        self.ranks.wait()
        self.words.update(read_words(folder / WORDS))
        self.context.log.info("resumed", step=step, from_execution=manifest.execution)
        return _Resumed(step, folder, manifest.metadata.get("seconds"))

    def _fill_in_words(self, model: AlpamayoR1, tokenizer: Tokenizer, feed: Feed) -> None:
        """Let the base model speak where rows have no reasoning; what it said outlives an interruption."""
        missing = wordless(feed.inputs, self._planned(feed), self.words)
        if not missing:
            return
        self.context.log.info("base model speaks", windows=len(missing))
        said = generate_words(
            model,
            tokenizer,
            feed.inputs,
            missing,
            seed=self.settings.seed,
            ranks=self.ranks,
            stopping=self.context.stopping,
        )
        self.words.update(said)
        if len(said) < len(missing):
            self._save(0, None)
            self.ranks.wait()
            raise Interrupted(f"stopped after {len(said)} of {len(missing)} windows had words; submit again to go on")
        check_words(self.words)
        self._save(0, None)

    def _guard(self, model: AlpamayoR1, weights: Mapping[str, Tensor], feed: Feed, step: int) -> None:
        """Check what must be true before the first step, while each process has the whole model; see `guards`."""
        check_materialised(model)
        check_frozen(model, weights, adapters=self.settings.method != "full")
        one = feed.indices(step)[0][0]
        batch = feed.inputs.batch([one, one])
        draws = draw(batch.ids, seed=self.settings.seed, step=step, draws=1, shape=model.config.action_shape)
        check_sight(model, batch.to(self.ranks.device), draws.to(self.ranks.device))

    def _with_features(self, feed: Feed, model: AlpamayoR1, step: int) -> Feed:
        if not vision_is_frozen(self.settings) or not self.settings.augmentation.off:
            return feed
        needed = self._planned(feed, step)
        features = compute_features(model, feed.inputs, needed, ranks=self.ranks, stopping=self.context.stopping)
        return replace(feed, features=features)

    def _outside(self) -> Outside:
        def report(progress: Progress) -> None:
            if self.ranks.leads:
                self.context.execution.report(progress)

        return Outside(
            stopping=self.context.stopping,
            clock=self.context.clock,
            report=report,
            save=lambda state: self._save(state.step, state),
        )

    def _save(self, step: int, state: State | None) -> None:
        """Make what there is resumable: the state, each process its part of it, and the base model's words."""
        began, execution = self.context.clock(), self.context.execution
        shared = replace(execution, name=self.ranks.follow(execution.name))
        if self.ranks.leads:
            shared.begin_checkpoint(step)
        self.ranks.wait()
        with _temporary(self.scratch) as folder:
            if state:
                save_state(state, folder, leads=self.ranks.leads)
            if self.words and self.ranks.leads:
                write_words(self.words, folder / WORDS)
            entries = self.ranks.join(shared.add_to_checkpoint(step, folder))
        if not self.ranks.leads:
            return
        seconds = (self.context.clock() - began) / 1e6
        shared.complete_checkpoint(step, entries, {"words": len(self.words), "seconds": seconds})
        execution.prune_checkpoints(_KEPT_CHECKPOINTS)
        self.context.log.info("checkpoint", step=step, seconds=seconds, **memory_of(self.ranks.device))

    def _log_start(self, model: AlpamayoR1, state: State, inputs: Inputs) -> None:
        self.context.log.info(
            "training",
            method=self.settings.method,
            step=state.step,
            steps=self.settings.steps,
            trained_parameters=sum(p.numel() for p in state.weights.values()),
            parameters=sum(map(parameter_count, model.parameters())),
            samples=len(inputs.samples.rows),
            prompt=prompt_hash(model.config.family),
            device=str(self.ranks.device),
            ranks=self.ranks.count,
        )

    def _finish(self, model: AlpamayoR1, tokenizer: Tokenizer, state: State, inputs: Inputs) -> dict[str, Any]:
        """Write the artifact, on the leading rank."""
        execution = self.context.execution
        if state.average:
            state.average.copy_to(state.weights)
        names = [name for name, _ in model.named_parameters()] if self.settings.method == "full" else state.weights
        gather(model, names, keep=self.ranks.leads)
        if not self.ranks.leads:
            return {}
        with _temporary(self.scratch) as folder:
            name = self._write_model(model, tokenizer, folder)
            execution.write_folder(folder, name)
        with _temporary(self.scratch) as folder:
            execution.write(METRICS, write_rows(state.rows, folder / METRICS))
            write_tensorboard(state.rows, folder / "tensorboard")
            execution.write_folder(folder / "tensorboard", "tensorboard")
            if self.words:
                write_words(self.words, folder / WORDS)
                execution.write(WORDS, folder / WORDS)
        summary = self._summary(model, state, inputs)
        execution.write(SUMMARY, json.dumps(summary, indent=1).encode())
        return summary

    def _write_model(self, model: AlpamayoR1, tokenizer: Tokenizer, folder: Path) -> str:
        if self.settings.method == "full":
            checkpoint.save(model, tokenizer, folder)
            return CHECKPOINT
        adapter = adapter_of(self.settings.lora)
        lora.save_adapter(model, adapter, folder, base_digest=self.context.plan.base.digest)
        return ADAPTER

    def _summary(self, model: AlpamayoR1, state: State, inputs: Inputs) -> dict[str, Any]:
        data = self.context.artifact("data").manifest.metadata
        rows = inputs.samples.rows
        return {
            "schema": "touge.training/1",
            "method": self.settings.method,
            "model": CHECKPOINT if self.settings.method == "full" else ADAPTER,
            "base": self.context.plan.base.digest,
            "prompt": prompt_hash(model.config.family),
            "steps": state.step,
            "samples": {
                "train": len(rows),
                "wordless": sum(row.wordless for row in rows),
                "base_words": len(self.words),
            },
            "parameters": {
                "trained": sum(p.numel() for p in state.weights.values()),
                "all": sum(map(parameter_count, model.parameters())),
            },
            **({"quantisation": self.quantisation} if self.quantisation else {}),
            "idle_share": idle_share(state.rows),
            "gpu": memory_of(self.ranks.device),
            "last": state.rows[-1].numbers() if state.rows else {},
            "tainted": bool(data.get("tainted", False)),
        }


@dataclass(frozen=True, slots=True)
class _Resumed:
    """A checkpoint: its step, where this node has its files, and how long it took to save, seconds."""

    step: int
    folder: Path
    seconds: float | None


def _settings(context: StageContext) -> Train:
    try:
        return Train.model_validate(context.stage.section["train"])
    except ValidationError as error:
        raise SettingsError(f"section `train` of the plan: {'; '.join(problems(error, Train))}") from error


def _fitted(context: StageContext, settings: Train, ranks: Ranks) -> Train:
    """Return the settings with which this many processes make the planned global batch.

    Raises:
        SettingsError: If they cannot: it would silently be another training.
    """
    together = settings.batch_size * ranks.count
    planned: int = context.stage.section.get("global_batch", together * settings.gradient_accumulation)
    if planned % together:
        raise SettingsError(
            f"{ranks.count} processes take {together} samples at a time; the plan says {planned} a step, which is no "
            "multiple of that. Set TOUGE_PROCESSES or resources.gpus so that it is"
        )
    return settings.model_copy(update={"gradient_accumulation": planned // together})


def _economy(context: StageContext, settings: Train, ranks: Ranks) -> Economy:
    """Choose how the model runs."""
    machine = machine_of(ranks.device)
    economy = chosen(
        context.plan.recipe.train.economy,
        settings.method,
        machine,
        vision_frozen=vision_is_frozen(settings),
        split=ranks.count > 1 and is_sharded(settings),
        dropout=settings.lora.dropout > 0,
    )
    if machine.memory_gib and not machine.compiler:
        context.log.warning("no C compiler (CC, gcc or clang): layers are not compiled")
    context.log.info("economy", gpu_gib=machine.memory_gib, **asdict(economy))
    return economy


def _as_run(settings: Train, economy: Economy) -> Train:
    """Return the settings with what was chosen of their economy, where memory matters."""
    known = Economies(recompute=economy.recompute, on_host=economy.words_on_host)
    return settings.model_copy(update={"economy": known})


def _dtype(stated: str, settings: Train, device: torch.device) -> torch.dtype:
    """Return the type of the weights: the checkpoint's on a GPU, float32 on a CPU.

    All weights of a float16 checkpoint are trained in bfloat16, whose range needs no scaling of the loss.
    """
    if device.type == "cpu":
        return torch.float32
    if settings.method == "full" and stated == "float16":
        return torch.bfloat16
    return checkpoint.DTYPES.get(stated, torch.bfloat16)


@contextmanager
def _temporary(parent: Path) -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)
