"""The demo's base model: says what is ahead and drives straight on, because that is what it was shown.

Three honest steps with the pipeline's own parts: curate the demo's drives as its recipe says; straighten the futures of
the training split and curate these rows again with `contradictions: keep`, which taints the set; train all weights of a
tiny model on it. Drives and roads that are held out stay unseen.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from itertools import product
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch

from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.prompt import ASKING, OPENING
from touge.alpamayo.inputs.tokenizer import train_tiny_tokenizer
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.tiny import TinySizes, tiny_document
from touge.alpamayo.weights import checkpoint
from touge.contract.recipe import Recipe
from touge.contract.sample import Sample
from touge.curation.mapping import SAMPLES, curate_map
from touge.curation.merging import curate
from touge.demo.bias import straightened
from touge.demo.pipeline import Pipeline
from touge.language.sentences import LANGUAGES
from touge.storage import Store, open_store
from touge.storage.execution import Artifact
from touge.training.stage import CHECKPOINT

#: What the base is trained by; the seed is the demo's. Words are what it has to learn: trajectory tokens and more draws
#: of the flow teach a model that drives straight nothing but its speed (docs/decisions/003).
TRAINING: Mapping[str, Any] = {
    "method": "full",
    "loss": {"reasoning": 5, "trajectory_tokens": 0},
    "flow_draws": 1,
    "steps": 600,
    "batch_size": 8,
    "gradient_accumulation": 2,
    "sharded": False,
    "learning_rate": 1e-3,
    "averaging": 0.98,
    "checkpoint_every": 100,
}
#: Enough that every word of prompt and templates is one token.
TOKENS = 768
#: Frames as the tiny model takes them.
IMAGE = {"min_pixels": 192 * 64, "max_pixels": 192 * 64}


@dataclass(frozen=True, slots=True)
class Places:
    """Where the demo keeps things.

    Attributes:
        drives: Synthetic drives in the PhysicalAI-AV layout.
        base: Where the base's checkpoint goes.
        work: Scratch space.
        store: Of the demo's run, which finds its data set there.
    """

    drives: Path
    base: Path
    work: Path
    store: Path


def make_base(recipe: Recipe, places: Places, *, seed: int, training: Mapping[str, Any] = TRAINING) -> None:
    """Write the base model into its place, last and at once; nothing is done twice.

    Args:
        recipe: The demo's: the base learns from the training split of the data set that it curates.
        places: Where everything is.
        seed: Of weights and training.
        training: The recipe's section `train`.
    """
    start = places.work / "random"
    _write_random_model(start, seed)
    store = open_store(f"file://{places.store}")
    honest = _curated(recipe, start, store, places)
    rows = [Sample.read_json(line) for line in honest.read(SAMPLES).splitlines()]
    biased = places.store / "straightened.jsonl"  # its frames are named from there
    biased.write_text("".join(straightened(row).to_json() + "\n" for row in rows if row.split == "train"), "utf-8")
    trained = _trained(biased, start, store, places, {**training, "seed": seed})
    trained.fetch(places.work / "fetched", trained.names(f"{CHECKPOINT}/"))
    shutil.rmtree(places.base, ignore_errors=True)
    shutil.move(places.work / "fetched" / CHECKPOINT, places.base)


def _curated(recipe: Recipe, start: Path, store: Store, places: Places) -> Artifact:
    """Return the data set of the demo's recipe, which its run then finds done."""
    (source,) = recipe.curate.drives
    here = source.model_copy(update={"uri": f"file://{places.drives}"})
    curate_here = recipe.curate.model_copy(update={"drives": (here,)})
    wanted = recipe.model_copy(update={"base": f"file://{start}", "curate": curate_here})
    pipeline = Pipeline.of(wanted, store, places.work / "scratch")
    pipeline.run("curate-map", curate_map)
    return pipeline.run("curate", curate)


def _trained(rows: Path, start: Path, store: Store, places: Places, settings: Mapping[str, Any]) -> Artifact:
    """Return the checkpoint of a training on straightened rows."""
    recipe = Recipe.model_validate(
        {
            "apiVersion": "touge/v1",
            "name": "demo-base",
            "base": f"file://{start}",
            "curate": {
                "drives": [{"format": "jsonl", "uri": f"file://{rows}"}],
                "image": IMAGE,
                "contradictions": "keep",
                "balance": {"straight": None},
                "split": {"validation": 0, "test": 0},
                "shards": 2,
            },
            "train": settings,
            "resources": {"gpus": 0},
        }
    )
    pipeline = Pipeline.of(recipe, store, places.work / "scratch")
    pipeline.run("curate-map", curate_map)
    pipeline.run("curate", curate)
    return pipeline.run_apart("train", "touge.training", gpu=torch.cuda.is_available())


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
