"""The chat prompt in token ids: question (up to `<|cot_start|>`) and answer (after it).

Pieces are tokenised once; special tokens stand between them, so piece by piece equals the whole text at once.
The hash fixes what training and evaluation must share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from touge.alpamayo.vocabulary import Vocabulary
from touge.contract.errors import DataError

SYSTEM = "You are a driving assistant that generates safe and accurate actions."
INSTRUCTION = (
    "output the chain-of-thought reasoning of the driving process, then output the future trajectory."
)
#: Qwen's chat template, https://huggingface.co/Qwen/Qwen3-VL-8B-Instruct/blob/main/chat_template.json
OPENING = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"
ASKING = f"{INSTRUCTION}<|im_end|>\n<|im_start|>assistant\n"

Encode = Callable[[str], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokenised pieces of the prompt.

    Attributes:
        opening: System turn and the beginning of the user's.
        image_before: Before each image's placeholders.
        image_after: After them.
        asking: From the instruction to the assistant's turn.
        closing: `<|im_end|>`.
    """

    vocabulary: Vocabulary
    encode: Encode
    opening: tuple[int, ...]
    image_before: tuple[int, ...]
    image_after: tuple[int, ...]
    asking: tuple[int, ...]
    closing: tuple[int, ...]

    @classmethod
    def of(cls, vocabulary: Vocabulary, encode: Encode) -> Self:
        """Tokenise the pieces with `encode` (text -> ids, special tokens recognised)."""
        return cls(
            vocabulary,
            encode,
            opening=tuple(encode(OPENING)),
            image_before=tuple(encode("<|vision_start|>")),
            image_after=tuple(encode("<|vision_end|>")),
            asking=tuple(encode(ASKING)),
            closing=tuple(encode("<|im_end|>")),
        )

    def question(self, image_tokens: Sequence[int], history: Sequence[int]) -> list[int]:
        """Return the ids up to and including `<|cot_start|>`.

        Args:
            image_tokens: How many placeholders each image takes.
            history: Ids of the history tokens.
        """
        v, ids = self.vocabulary, list(self.opening)
        for count in image_tokens:
            ids += [*self.image_before, *[v.image] * count, *self.image_after]
        return [*ids, v.history_start, *history, v.history_end, *self.asking, v.cot_start]

    def answer(self, reasoning: str, future: Sequence[int]) -> list[int]:
        """Return the ids after `<|cot_start|>`: reasoning, future tokens, ends.

        Raises:
            DataError: The reasoning holds a reserved token.
        """
        v, text = self.vocabulary, self.encode(reasoning)
        reserved = {*range(v.trajectory_start, v.future + 1), v.image, *self.image_before, *self.image_after}
        reserved |= {*self.closing, self.opening[0]}
        if reserved.intersection(text):
            raise DataError(f"the reasoning {reasoning!r} holds a reserved token such as <|im_end|>; remove it")
        return [*text, v.cot_end, v.future_start, *future, v.future_end, *self.closing]

    @property
    def digest(self) -> str:
        """Hash of everything in the prompt but images, history and answer: text and ids."""
        pieces = [self.opening, self.image_before, self.image_after, self.asking, self.closing]
        v = self.vocabulary
        ends = [v.history_start, v.history_end, v.cot_start, v.cot_end, v.future_start, v.future_end]
        document = json.dumps([OPENING, ASKING, *map(list, pieces), ends], ensure_ascii=True)
        return hashlib.sha256(document.encode()).hexdigest()
