"""The tokenizer: a backbone's own, or a small one trained on the fly for tiny models, and its extension.

The release adds `<i0>`… and the special tokens to the backbone's vocabulary; ids must come out where the
configuration says they begin.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from touge.alpamayo.config import R1, AlpamayoConfig
from touge.alpamayo.inputs.vocabulary import special_names, special_token, trajectory_token
from touge.contract.errors import CheckpointError

FILE = "tokenizer.json"

#: What Qwen3-VL's chat prompt needs of a backbone's vocabulary.
BACKBONE_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)


def train_tiny_tokenizer(texts: Iterable[str], size: int = 512) -> Tokenizer:
    """Train a byte-level BPE of at most `size` tokens; any text of any script can be written with it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(BACKBONE_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in BACKBONE_TOKENS])
    return tokenizer


def extend(tokenizer: Tokenizer, trajectory_vocabulary: int, family: str = R1) -> Tokenizer:
    """Add the trajectory tokens and the special tokens, in the release's order."""
    names = [trajectory_token(index) for index in range(trajectory_vocabulary)]
    names += [special_token(name) for name in special_names(family)]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return tokenizer


def load_tokenizer(folder: Path, config: AlpamayoConfig) -> Tokenizer:
    """Read `tokenizer.json` and extend it where it is not yet.

    Raises:
        CheckpointError: The file is missing, or its ids are not those of the configuration.
    """
    path, tokenizer = folder / FILE, _read(folder)
    if tokenizer.token_to_id(trajectory_token(0)) is None:
        extend(tokenizer, config.trajectory_vocabulary, config.family)
    expected = {
        trajectory_token(0): config.trajectory_start,
        special_token("prompt_start"): config.trajectory_start + config.trajectory_vocabulary,
        "<|image_pad|>": int(config.backbone["image_token_id"]),
    }
    wrong = {token: (tokenizer.token_to_id(token), want) for token, want in expected.items()}
    wrong = {token: pair for token, pair in wrong.items() if pair[0] != pair[1]}
    if wrong:
        raise CheckpointError(f"{path} does not fit the configuration; ids (found, expected): {wrong}")
    return tokenizer


def base_length(folder: Path) -> int:
    """Return how many ids a backbone's own tokenizer has; trajectory tokens begin there. Raises CheckpointError."""
    return int(_read(folder).get_vocab_size())


def _read(folder: Path) -> Tokenizer:
    path = folder / FILE
    if not path.is_file():
        raise CheckpointError(
            f"{path} is missing; give the backbone's folder, or a checkpoint that carries its tokenizer"
        )
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more special
        raise CheckpointError(f"{path} is no tokenizer ({error}); fetch it again") from error
