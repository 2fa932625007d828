"""Characters and bytes: the smallest pieces of a text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from dlcat.catalog.dataset import Sample
from dlcat.inputs import Tokens, inputs

if TYPE_CHECKING:
    from dlcat.readers.ragged import Ragged

    Array = np.ndarray[Any, np.dtype[Any]]

UNKNOWN, FIRST = 1, 2
"""Token numbers: of characters that the vocabulary lacks, of its first one; 0 fills up."""
CODE_POINTS = 0x110000
"""Of Unicode."""
BLOCK = 1 << 22
"""Bytes of text that are looked at together."""

Length = Annotated[int, Ge(1)]


@inputs(takes="texts")
def bytes(sample: Sample, *, length: Length = 1024) -> Tokens:  # noqa: A001, ARG001 - its name in recipes; every member is told
    """The first `length` bytes of each text in UTF-8, as 1 to 256; 0 fills up. Nothing is learned of the texts."""
    encoder = Bytes(length)
    return Tokens(257, length, lambda _: encoder, lambda _: encoder)


@inputs(takes="texts")
def characters(
    sample: Sample,  # noqa: ARG001 - every member is told
    *,
    size: Annotated[int, Ge(3), Le(30_000)] = 256,
    length: Length = 1024,
    lowercase: bool = True,
) -> Tokens:
    """The first `length` characters of each text, as numbers of the training split's most frequent `size` (Zhang et al. 2015).

    0 fills up, 1 is a character that the vocabulary lacks; both are counted in `size`. With `lowercase`, letters of every
    script that has them are small.
    """
    return Tokens(
        size,
        length,
        lambda texts: Characters(_most_frequent(texts, size - FIRST, lowercase), length, lowercase),
        lambda plain: Characters(plain["characters"], length, lowercase),
    )


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes as they are."""

    length: int

    def encode(self, texts: Ragged) -> Array:
        """(N, length) token numbers; see `Encoder.encode`."""
        encoded = np.zeros((len(texts), self.length), np.int16)
        for row, text in enumerate(texts):
            start = text[: self.length]
            encoded[row, : len(start)] = start
            encoded[row, : len(start)] += 1
        return encoded

    def plain(self) -> dict[str, Any]:
        """See `Encoder.plain`."""
        return {}


@dataclass(frozen=True, slots=True)
class Characters:
    """A vocabulary of characters."""

    characters: str
    """The most frequent first; the first is token 2."""
    length: int
    lowercase: bool
    _token_of: Array = field(init=False, repr=False, compare=False)
    """(code points,)"""

    def __post_init__(self) -> None:
        table = np.full(CODE_POINTS, UNKNOWN, np.int16)
        for token, character in enumerate(self.characters, FIRST):
            table[ord(character)] = token
        object.__setattr__(self, "_token_of", table)

    def encode(self, texts: Ragged) -> Array:
        """(N, length) token numbers; see `Encoder.encode`."""
        encoded = np.zeros((len(texts), self.length), np.int16)
        most = 4 * self.length  # a character has up to four bytes
        for row, text in enumerate(texts):
            points = _code_points(text[:most].tobytes(), self.lowercase)[: self.length]
            encoded[row, : len(points)] = self._token_of[points]
        return encoded

    def plain(self) -> dict[str, Any]:
        """See `Encoder.plain`."""
        return {"characters": self.characters}


def _code_points(text: Any, lowercase: bool) -> Array:
    """(n,) the characters of a text in UTF-8; a last one that is cut off is left out."""
    decoded: str = text.decode("utf-8", "ignore")
    return np.frombuffer((decoded.lower() if lowercase else decoded).encode("utf-32-le", "replace"), np.uint32)


def _most_frequent(texts: Ragged, most: int, lowercase: bool) -> str:
    """So many characters, the most frequent first, equally frequent ones by their code point."""
    counts = np.zeros(CODE_POINTS, np.int64)
    for _, block, _ in texts.blocks(BLOCK):
        points, often = np.unique(_code_points(block.tobytes(), lowercase), return_counts=True)
        counts[points] += often
    order = np.argsort(-counts, kind="stable")[:most]
    return "".join(chr(point) for point in order if counts[point])
