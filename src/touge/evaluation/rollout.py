"""Rollouts of base and tuned model on the same windows with the same random numbers.

The only module of this package that imports torch. LoRA: one copy of the base, adapters switched off and on.
Full: one model resident at a time, one pass after the other. It says what the models said and drove; scoring is
others' work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import peft
import torch
import transformers
from tokenizers import Tokenizer

from touge.alpamayo.budget.economy import Economy, Machine
from touge.alpamayo.budget.machine import machine_of
from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.inputs.batches import Encoder, Example, Window
from touge.alpamayo.inputs.images import Frame
from touge.alpamayo.inputs.prompt import prompt_hash
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.rollout import Drawn, Sampling, drive, rollout
from touge.alpamayo.weights import checkpoint, lora
from touge.contract.errors import GpuMemoryError
from touge.contract.prediction import Prediction, Rollout
from touge.contract.sample import Sample
from touge.evaluation.likelihood import Likelihood
from touge.language.swap import swap_directions
from touge.motion.labels import Kind, report_bucket

#: Tokens of all rollouts of a batch: some 40 windows of a tiny model, two of the full one with four cameras.
_BATCH_TOKENS = 40_000
#: Gives a window's pictures, camera by camera in the model's order, oldest first.
Frames = Callable[[Sample], tuple[Frame, ...]]


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the models lie.

    Attributes:
        base: The checkpoint that was tuned.
        backbone: Tokenizer and configuration, for a base without its own.
        adapter: The trained adapter, or None.
        full: The trained checkpoint, or None.
        base_digest: Of the base, as the adapter names it.
    """

    base: Path
    backbone: Path | None
    adapter: Path | None
    full: Path | None
    base_digest: str


@dataclass(frozen=True, slots=True)
class Speaker:
    """One model, ready to be asked."""

    model: AlpamayoR1
    tokenizer: Tokenizer
    encoder: Encoder
    device: torch.device

    @classmethod
    def load(cls, folder: Path, backbone: Path | None) -> Speaker:
        """Read a checkpoint onto the GPU in its own type, or onto the CPU in float32."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        stated = AlpamayoConfig.read(folder, backbone=backbone).dtype
        dtype = checkpoint.DTYPES.get(stated, torch.bfloat16) if device.type == "cuda" else torch.float32
        model, tokenizer = checkpoint.load(folder, backbone=backbone, dtype=dtype, device=device)
        return cls(model, tokenizer, Encoder(model.config, tokenizer), device)

    def settled(self, machine: Machine) -> Speaker:
        """Return itself, adapters in place: on a small card, words and vision tower live in the host's memory."""
        self.model.requires_grad_(requires_grad=False)
        self.model.economise(Economy(words_on_host=machine.small, vision_on_host=machine.small))
        return self

    def predict(self, windows: Iterator[Window], sampling: Sampling) -> Iterator[Prediction]:
        """Yield K rollouts of each window."""
        for _, batch in self._batches(windows, self.encoder.generation, sampling):
            with _named_memory():
                drawn = rollout(self.model, self.tokenizer, batch, sampling)
            yield from (_prediction(name, found) for name, found in zip(batch.ids, drawn, strict=True))

    def drive(self, windows: Iterator[Window], sampling: Sampling) -> Iterator[Prediction]:
        """Yield what each window's rollout 0 would have driven, had it said the window's reasoning."""
        for spoken, batch in self._batches(windows, self.encoder.training, sampling):
            with _named_memory():
                driven = drive(self.model, batch, sampling)
            for told, drawn in zip(spoken, driven, strict=True):
                yield _prediction(told.id, [replace(drawn, reasoning=told.reasoning or "")])

    @torch.no_grad()
    def nll(self, windows: Iterator[Window], sampling: Sampling) -> Iterator[tuple[float, int]]:
        """Yield the summed negative log-likelihood of each window's reasoning, nats, and its tokens."""
        for _, batch in self._batches(windows, self.encoder.training, sampling):
            rows = len(batch.ids)
            noise = torch.zeros(rows, 1, *self.model.config.action_shape, device=self.device)
            with _named_memory():
                losses = self.model.losses(batch, noise, torch.zeros(rows, 1, device=self.device))
            spoken = losses.nll[losses.reasoning].double().cpu()
            for tokens in spoken.split(batch.reasoning.sum(dim=1).tolist()):
                yield float(tokens.sum()), len(tokens)

    def _batches(
        self, windows: Iterator[Window], encode: Callable[[Window], Example], sampling: Sampling
    ) -> Iterator[tuple[list[Window], Batch]]:
        """Yield as many windows at a time as their rollouts fit together."""
        taken: list[Window] = []
        examples: list[Example] = []
        tokens = 0
        for asked in windows:
            example = encode(asked)
            size = sampling.rollouts * (len(example.input_ids) + sampling.max_tokens)
            if examples and tokens + size > _BATCH_TOKENS:
                yield taken, self.encoder.collate(examples).to(self.device)
                taken, examples, tokens = [], [], 0
            taken.append(asked)
            examples.append(example)
            tokens += size
        if examples:
            yield taken, self.encoder.collate(examples).to(self.device)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What base and tuned model said and drove.

    Attributes:
        predictions: Of `base` and `tuned`, in the order of the samples.
        swapped: Of both, one rollout of each curve window, driven from words with left and right swapped.
        likelihoods: Of the reasoning of straight windows, under both.
        facts: What made them, without times: sampling, device, types, versions.
    """

    predictions: Mapping[str, tuple[Prediction, ...]]
    swapped: Mapping[str, tuple[Prediction, ...]]
    likelihoods: tuple[Likelihood, ...]
    facts: Mapping[str, Any]


def roll_out(
    folders: Folders,
    samples: Sequence[Sample],
    frames: Frames,
    sampling: Sampling,
    done: Callable[[int], None],
) -> Outcome:
    """Ask base and tuned model about every window.

    Args:
        folders: Where the models lie.
        samples: Windows.
        frames: Gives a window's pictures.
        sampling: How reasoning is drawn; the same for both.
        done: Told how many windows are behind us, both models counted.
    """
    said: dict[str, tuple[Prediction, ...]] = {}
    swaps: dict[str, tuple[Prediction, ...]] = {}
    nll: dict[str, list[tuple[float, int]]] = {}
    facts: dict[str, Any] = _facts(sampling, AlpamayoConfig.read(folders.base, backbone=folders.backbone).family)
    for name, speaker in speakers(folders):
        windows = (window(sample, frames) for sample in samples)
        said[name] = tuple(_counted(speaker.predict(windows, sampling), done, len(samples) * len(said)))
        swaps[name] = tuple(speaker.drive(_swapped(samples, said[name], frames), sampling))
        texts = straight_texts(samples, said["base"])
        nll[name] = list(speaker.nll((window(sample, frames, spoken.text) for sample, spoken in texts), sampling))
        facts[name] = {"dtype": str(speaker.model.vlm.dtype).removeprefix("torch."), "device": _device(speaker.device)}
    return Outcome(said, swaps, _likelihoods(straight_texts(samples, said["base"]), nll), facts)


def speakers(folders: Folders) -> Iterator[tuple[str, Speaker]]:
    """Yield base and tuned model; the one before is not to be used any more."""
    speaker = Speaker.load(folders.base, folders.backbone)
    if folders.adapter:
        lora.load_adapter(speaker.model, folders.adapter, base_digest=folders.base_digest)
        speaker.model.to(speaker.device).eval()
        speaker.settled(machine_of(speaker.device))
        with lora.adapters_disabled(speaker.model):
            yield "base", speaker
        yield "tuned", speaker
    elif folders.full:
        yield "base", speaker.settled(machine_of(speaker.device))
        speaker.model.to("meta")  # frees its memory, whoever still holds it
        tuned = Speaker.load(folders.full, folders.backbone)
        yield "tuned", tuned.settled(machine_of(tuned.device))


def straight_texts(samples: Sequence[Sample], base: Sequence[Prediction]) -> list[tuple[Sample, Spoken]]:
    """Return what is said on straight windows: by the data set, or else by the base model's first rollout."""
    texts = []
    for sample, prediction in zip(samples, base, strict=True):
        given = sample.reasoning
        if given and given.source == "dataset":
            spoken = Spoken("dataset", given.text)
        else:
            spoken = Spoken("base", prediction.rollouts[0].reasoning)
        if sample.label.kind == Kind.STRAIGHT and spoken.text:
            texts.append((sample, spoken))
    return texts


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text and whose it is."""

    source: Literal["dataset", "base"]
    text: str


def _likelihoods(
    texts: Sequence[tuple[Sample, Spoken]], nll: Mapping[str, Sequence[tuple[float, int]]]
) -> tuple[Likelihood, ...]:
    return tuple(
        Likelihood(
            id=sample.id,
            source=spoken.source,
            tokens=nll["base"][index][1],
            nll={name: found[index][0] for name, found in nll.items()},
        )
        for index, (sample, spoken) in enumerate(texts)
    )


def window(sample: Sample, frames: Frames, reasoning: str | None = None) -> Window:
    """Return a sample as the model takes it, in training form where it is given what to say."""
    history, future = np.array(sample.history), np.array(sample.future)
    return Window(sample.id, frames(sample), history, None if reasoning is None else future, reasoning, sample.views)


def _swapped(samples: Sequence[Sample], said: Sequence[Prediction], frames: Frames) -> Iterator[Window]:
    """Yield the curve windows whose first rollout names a side, with what it said the other way round."""
    for sample, prediction in zip(samples, said, strict=True):
        text = prediction.rollouts[0].reasoning
        if report_bucket(sample.label) == Kind.CURVE and swap_directions(text) != text:
            yield window(sample, frames, swap_directions(text))


def _prediction(name: str, drawn: Sequence[Drawn]) -> Prediction:
    rollouts = tuple(
        Rollout(reasoning=one.reasoning, trajectory=tuple(map(tuple, one.trajectory.double().cpu().tolist())))
        for one in drawn
    )
    return Prediction(id=name, rollouts=rollouts)


def _counted(drawn: Iterator[Prediction], done: Callable[[int], None], before: int) -> Iterator[Prediction]:
    for number, prediction in enumerate(drawn, start=before + 1):
        yield prediction
        done(number)


@contextmanager
def _named_memory() -> Iterator[None]:
    """Turn an out-of-memory error into one that names what to change."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise GpuMemoryError(
            f"out of GPU memory in a rollout ({error}). Lower evaluate.rollouts, or set resources.gpu_memory higher"
        ) from error


def _facts(sampling: Sampling, family: str) -> dict[str, Any]:
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    return {"sampling": asdict(sampling), "prompt": prompt_hash(family), "versions": versions}


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
