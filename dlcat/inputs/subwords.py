"""Subwords: frequent pieces of words, so that no word is unknown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from dlcat.catalog.dataset import Sample
from dlcat.inputs import Tokens, inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenizers import Tokenizer

    from dlcat.readers.ragged import Ragged

    Array = np.ndarray[Any, np.dtype[Any]]

FILLING = "[filling]"
"""Token 0."""
TOGETHER = 1000
"""Texts that are encoded at a time: the library shares them out to all cores."""


@inputs(takes="texts")
def subwords(
    sample: Sample,  # noqa: ARG001 - every member is told
    *,
    size: Annotated[int, Ge(257), Le(1_000_000)] = 8_000,
    length: Annotated[int, Ge(1)] = 256,
    lowercase: bool = False,
) -> Tokens:
    """The first `length` subwords of each text, `size` of them learned by byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909).

    They are pieces of bytes, of which every byte is one: no text has an unknown part. 0 fills up, and is counted in `size`.
    """
    return Tokens(
        size,
        length,
        lambda texts: Subwords(_learned(texts, size, lowercase), length),
        lambda plain: Subwords(_restored(plain), length),
    )


@dataclass(frozen=True, slots=True)
class Subwords:
    """A vocabulary of pieces of words, and the merges that lead to them."""

    tokenizer: Tokenizer
    length: int

    def encode(self, texts: Ragged) -> Array:
        """(N, length) token numbers; see `Encoder.encode`."""
        encoded = np.zeros((len(texts), self.length), np.int32)
        for first in range(0, len(texts), TOGETHER):
            rows = range(first, min(first + TOGETHER, len(texts)))
            found = self.tokenizer.encode_batch_fast([_text(texts[row]) for row in rows])
            for row, encoding in zip(rows, found, strict=True):
                tokens = encoding.ids[: self.length]
                encoded[row, : len(tokens)] = tokens
        return encoded

    def plain(self) -> dict[str, Any]:
        """See `Encoder.plain`."""
        plain: dict[str, Any] = json.loads(self.tokenizer.to_str())
        return plain


def _learned(texts: Ragged, size: int, lowercase: bool) -> Tokenizer:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[FILLING], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_each(texts), trainer)
    return tokenizer


def _restored(plain: dict[str, Any]) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json.dumps(plain))


def _each(texts: Ragged) -> Iterator[str]:
    return (_text(text) for text in texts)


def _text(values: Array) -> str:
    return values.tobytes().decode("utf-8", "replace")
