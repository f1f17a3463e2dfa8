"""Reasoning for rows that have none: the base model's own words, so that its way of thinking is kept.

Generated once, before the first step and before any adapter exists, and saved with the artifact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.rollout import Sampling, rollout
from touge.contract.errors import DataError
from touge.contract.model import Document
from touge.training.inputs import Inputs
from touge.training.ranks import Ranks

FILE = "base_words.jsonl"
#: Windows of one pass: no more than these, nor more than have room for their keys and values.
_BATCH, _KEPT_BYTES = 16, 1 << 30


class BaseWords(Document):
    """What the base model says of one sample."""

    id: str
    text: str


def wordless(inputs: Inputs, needed: Iterable[int], known: Mapping[str, str]) -> list[int]:
    """Return which of the needed samples have no reasoning yet, neither their own nor the base model's."""
    rows = inputs.samples.rows
    return [index for index in sorted(set(needed)) if rows[index].wordless and rows[index].id not in known]


def generate_words(
    model: AlpamayoR1,
    tokenizer: Tokenizer,
    inputs: Inputs,
    indices: Sequence[int],
    *,
    seed: int,
    ranks: Ranks,
    stopping: Callable[[], bool],
) -> dict[str, str]:
    """Let the base model speak; the ranks share the work.

    Args:
        model: The base, on its device, without adapters.
        tokenizer: Of the model.
        inputs: Rows and pictures.
        indices: Samples to speak about.
        seed: Of the training.
        ranks: This process and its peers.
        stopping: Ends the work early, with what is there.

    Returns:
        Text by sample id.
    """
    sampling = Sampling(rollouts=1, seed=seed)
    said: list[tuple[str, str]] = []
    columns = inputs.questions(indices[:1]).input_ids.shape[1] + sampling.max_tokens + 1
    for group in _groups(indices[ranks.index :: ranks.count], windows_a_pass(model, columns)):
        if stopping():
            break
        batch = inputs.questions(group).to(ranks.device)
        said += [
            (name, drawn[0].reasoning)
            for name, drawn in zip(batch.ids, rollout(model, tokenizer, batch, sampling), strict=True)
        ]
    return dict(ranks.join(said))


def write_words(words: Mapping[str, str], path: Path) -> None:
    """Write base_words.jsonl, sorted by sample id."""
    lines = (BaseWords(id=name, text=words[name]).to_json() + "\n" for name in sorted(words))
    path.write_text("".join(lines), encoding="utf-8")


def read_words(path: Path) -> dict[str, str]:
    """Read what `write_words` wrote; nothing where there is no such file."""
    if not path.is_file():
        return {}
    with path.open("rb") as lines:  # str.splitlines would also cut at line separators within a text
        rows = [BaseWords.read_json(line) for line in lines]
    return {row.id: row.text for row in rows}


def check_words(words: Mapping[str, str]) -> None:
    """Refuse a base model that says nothing: its silence would be learnt.

    Raises:
        DataError: If more than half of the texts are empty.
    """
    silent = sum(not text for text in words.values())
    if words and silent > len(words) / 2:
        raise DataError(
            f"the base model says nothing about {silent} of {len(words)} windows; its words cannot be kept. "
            "Set curate.reasoning.straight=template"
        )


def windows_a_pass(model: AlpamayoR1, columns: int) -> int:
    """Return how many windows of so many columns the base model speaks about at a time: at full size 2 of 4 cameras."""
    text = model.config.backbone["text_config"]
    numbers = 2 * text["num_hidden_layers"] * text["num_key_value_heads"] * text["head_dim"]
    size = columns * numbers * model.vlm.lm_head.weight.element_size()
    return min(_BATCH, max(1, _KEPT_BYTES // size))


def _groups(indices: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]
