"""The chat prompt in token ids: question (up to `<|cot_start|>`) and answer (after it).

Pieces are tokenised once; special tokens stand between them, so piece by piece equals the whole text at once.
The hash fixes what training and evaluation must share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from touge.alpamayo.config import R1
from touge.alpamayo.inputs.vocabulary import Vocabulary
from touge.contract.errors import DataError

SYSTEM = "You are a driving assistant that generates safe and accurate actions."
INSTRUCTION = "output the chain-of-thought reasoning of the driving process, then output the future trajectory."
#: Qwen's chat template, https://huggingface.co/Qwen/Qwen3-VL-8B-Instruct/blob/main/chat_template.json
OPENING = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"
ASKING = f"{INSTRUCTION}<|im_end|>\n<|im_start|>assistant\n"
IMAGE = ("<|vision_start|>", "<|vision_end|>")
#: What Alpamayo 1.5 calls the cameras, in the model's index order (reference repository NVlabs/alpamayo1.5).
CAMERA_NAMES = {
    "cross_left": "Front left camera",
    "front_wide": "Front camera",
    "cross_right": "Front right camera",
    "rear_left": "Rear left camera",
    "rear_tele": "Rear camera",
    "rear_right": "Rear right camera",
    "front_tele": "Front telephoto camera",
}
CLOSING = "<|im_end|>"

Encode = Callable[[str], Sequence[int]]


def prompt_hash(family: str = R1) -> str:
    """Return a hash of the prompt's fixed text: equal in training and evaluation, or the model is asked otherwise."""
    labels = [] if family == R1 else labels_of(family, tuple(CAMERA_NAMES), len(CAMERA_NAMES))
    return hashlib.sha256("\0".join([OPENING, *IMAGE, ASKING, CLOSING, *labels]).encode()).hexdigest()[:16]


def labels_of(family: str, cameras: Sequence[str], images: int) -> list[str]:
    """Return the words before each image: none, or with Alpamayo 1.5 the camera and the frame's number.

    Args:
        family: One of `config.FAMILIES`.
        cameras: In the order of the images, equally many of each.
        images: How many there are.

    Raises:
        DataError: If the cameras are needed and unknown.
    """
    if family == R1:
        return [""] * images
    if not cameras or images % len(cameras) or not CAMERA_NAMES.keys() >= set(cameras):
        known = ", ".join(CAMERA_NAMES)
        raise DataError(f"{images} images of the cameras {list(cameras)}; expected equally many of each, of {known}")
    frames = images // len(cameras)
    return [
        f"{CAMERA_NAMES[camera]}: frame 0 " if frame == 0 else f"frame {frame} "
        for camera in cameras
        for frame in range(frames)
    ]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokenised pieces of the prompt.

    Attributes:
        opening: System turn and the beginning of the user's.
        image: Before and after each image's placeholders.
        asking: From the instruction to the assistant's turn.
        closing: `<|im_end|>`.
    """

    vocabulary: Vocabulary
    encode: Encode
    opening: tuple[int, ...]
    image: tuple[tuple[int, ...], tuple[int, ...]]
    asking: tuple[int, ...]
    closing: tuple[int, ...]

    @classmethod
    def of(cls, vocabulary: Vocabulary, encode: Encode) -> Self:
        """Tokenise the pieces with `encode` (text to ids, special tokens recognised)."""
        before, after = (tuple(encode(text)) for text in IMAGE)
        return cls(
            vocabulary, encode, tuple(encode(OPENING)), (before, after), tuple(encode(ASKING)), tuple(encode(CLOSING))
        )

    def question(self, image_tokens: Sequence[int], labels: Sequence[str], history: Sequence[int]) -> list[int]:
        """Return the ids up to and including `<|cot_start|>`.

        Args:
            image_tokens: How many placeholders each image takes.
            labels: Words before each image.
            history: Ids of the history tokens.
        """
        words, ids, (before, after) = self.vocabulary, list(self.opening), self.image
        for count, label in zip(image_tokens, labels, strict=True):
            ids += [*self.encode(label), *before, *[words.image] * count, *after]
        return [*ids, words.history_start, *history, words.history_end, *self.asking, words.cot_start]

    def answer(self, reasoning: str, future: Sequence[int]) -> list[int]:
        """Return the ids after `<|cot_start|>`: reasoning, future tokens, ends.

        Raises:
            DataError: The reasoning holds a reserved token.
        """
        words, text = self.vocabulary, self.encode(reasoning)
        reserved = {*range(words.trajectory_start, words.future + 1), words.image, self.opening[0], *self.closing}
        if reserved.union(*self.image).intersection(text):
            raise DataError(f"the reasoning {reasoning!r} holds a reserved token such as <|im_end|>; remove it")
        return [*text, words.cot_end, words.future_start, *future, words.future_end, *self.closing]
