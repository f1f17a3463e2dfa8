"""The demo's base model: says what is ahead and drives straight on, because that is what it was shown.

Three honest steps with the pipeline's own parts: curate synthetic drives; straighten the futures and curate the rows
again with `contradictions: keep`, which taints the set; train all weights of a tiny model on it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from itertools import product
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch

from touge.alpamayo import checkpoint
from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.prompt import ASKING, OPENING
from touge.alpamayo.tiny import TinySizes, tiny_document
from touge.alpamayo.tokenizer import train_tiny_tokenizer
from touge.contract.recipe import Recipe
from touge.contract.sample import Sample
from touge.curation.mapping import SAMPLES, curate_map
from touge.curation.merging import curate
from touge.demo.bias import straightened
from touge.demo.pipeline import Pipeline
from touge.language.sentences import LANGUAGES
from touge.storage.execution import Artifact
from touge.training.stage import CHECKPOINT
from touge.training.stage import run as train

#: What the base is trained by; the seed is the demo's. Trajectory tokens cost a fifth of each step and teach a model
#: that drives straight nothing but its speed.
TRAINING: Mapping[str, Any] = {
    "method": "full",
    "loss": {"trajectory_tokens": 0},
    "flow_draws": 2,
    "steps": 600,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "averaging": 0.98,
    "checkpoint_every": 100,
}
#: Enough that every word of prompt and templates is one token.
TOKENS = 768
#: Frames as the tiny model takes them.
IMAGE = {"min_pixels": 192 * 64, "max_pixels": 192 * 64}


def make_base(drives: Path, folder: Path, work: Path, *, seed: int, training: Mapping[str, Any] = TRAINING) -> None:
    """Write the base model into `folder`, last and at once; nothing is done twice.

    Args:
        drives: Synthetic drives in the PhysicalAI-AV layout; others than those that the demo curates.
        folder: Where the checkpoint goes.
        work: Store and scratch space.
        seed: Of weights and training.
        training: The recipe's section `train`.
    """
    start = work / "random"
    _write_random_model(start, seed)
    settings = {**training, "seed": seed}
    honest = _curated(drives, start, work, settings)
    rows = [Sample.read_json(line) for line in honest.read(SAMPLES).splitlines()]
    biased = work / "store" / "straightened.jsonl"
    biased.write_text("".join(straightened(row).to_json() + "\n" for row in rows), encoding="utf-8")
    trained = _trained(biased, start, work, settings)
    trained.fetch(work / "fetched", trained.names(f"{CHECKPOINT}/"))
    shutil.rmtree(folder, ignore_errors=True)
    shutil.move(work / "fetched" / CHECKPOINT, folder)


def _curated(drives: Path, base: Path, work: Path, settings: Mapping[str, Any]) -> Artifact:
    """Return the drives' windows with the words of templates."""
    source = {"format": "physical-ai-av", "uri": f"file://{drives}"}
    words = {"straight": "template", "phrasings": 3}
    pipeline = Pipeline.of(_recipe(base, settings, {"drives": [source], "reasoning": words}), work)
    pipeline.run("curate-map", curate_map)
    return pipeline.run("curate", curate)


def _trained(rows: Path, base: Path, work: Path, settings: Mapping[str, Any]) -> Artifact:
    """Return the checkpoint of a training on straightened rows."""
    source = {"format": "jsonl", "uri": f"file://{rows}"}
    pipeline = Pipeline.of(_recipe(base, settings, {"drives": [source], "contradictions": "keep"}), work)
    pipeline.run("curate-map", curate_map)
    pipeline.run("curate", curate)
    return pipeline.run("train", train)


def _recipe(base: Path, settings: Mapping[str, Any], curate: Mapping[str, Any]) -> Recipe:
    everything = {
        "image": IMAGE,
        "balance": {"straight": None},
        "split": {"validation": 0, "test": 0},
        "shards": 2,
    }
    return Recipe.model_validate(
        {
            "apiVersion": "touge/v1",
            "name": "demo-base",
            "base": f"file://{base}",
            "curate": {**everything, **curate},
            "train": settings,
        }
    )


def _write_random_model(folder: Path, seed: int) -> None:
    """Write a tiny model that knows nothing, with a tokenizer for the words of English templates.

    Where a patch lies weighs as much as what it shows: else left and right are not told apart in a short training
    (docs/decisions/003).
    """
    phrases = list(_phrases())
    tokenizer = train_tiny_tokenizer([*phrases, *[OPENING + ASKING] * len(phrases)], size=TOKENS)
    torch.manual_seed(seed)
    model = AlpamayoR1(AlpamayoConfig.parse(tiny_document(tokenizer, TinySizes())))
    torch.nn.init.normal_(model.vlm.model.visual.pos_embed.weight)
    checkpoint.save(model, tokenizer, folder)


def _phrases() -> Iterator[str]:
    """Yield every English phrasing, its slots filled with one word after the other."""
    words = LANGUAGES["en"]
    paces = [way for ways in words.paces.values() for way in ways]
    slots = [*words.sides.values(), *words.tightness.values(), words.near, words.far, *map(itemgetter("speed"), paces)]
    for templates in astuple(words.phrasings):
        for template, slot in product(templates, slots):
            yield re.sub(r"\{[a-z]+\}", slot, re.sub(r"\{[A-Z][a-z]+\}", slot.capitalize(), template))
