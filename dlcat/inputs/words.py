"""Words: a vocabulary of the most frequent ones, found and looked up a block of text at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from dlcat.catalog.dataset import Sample
from dlcat.errors import InvalidError
from dlcat.inputs import Tokens, inputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dlcat.readers.ragged import Ragged

    Array = np.ndarray[Any, np.dtype[Any]]

FILLING, UNKNOWN, FIRST = 0, 1, 2
"""Token numbers: of what fills up, of words that the vocabulary lacks, of its first word."""
BLOCK = 1 << 22
"""Bytes of text that are looked at together: their intermediate arrays fit the processor's last cache or nearly so."""
LONGEST = 64
"""Bytes of a word that tell it from others; what differs only behind them is one word."""
TABLE = 1 << 19
"""Places of the table in which words are looked up: many times as many as words, so that few meet."""
NONE, PUNCTUATION, LETTER = 0, 1, 2

_random = np.random.default_rng(20161122)  # any fixed numbers: they only must have no pattern
_OF_BYTE = _random.integers(1, 2**63, 256, dtype=np.uint64)
_AT_PLACE = _random.integers(1, 2**63, LONGEST, dtype=np.uint64) | np.uint64(1)


@inputs(takes="texts")
def words(
    sample: Sample,  # noqa: ARG001 - every member is told
    *,
    size: Annotated[int, Ge(3), Le(TABLE // 2)] = 30_000,
    length: Annotated[int, Ge(1)] = 256,
    lowercase: bool = True,
    punctuation: bool = True,
) -> Tokens:
    """The first `length` words of each text, as numbers of the training split's most frequent `size`.

    A word is a run of letters, digits, apostrophes and whatever lies beyond ASCII; with `punctuation` every other sign that
    is no space is a word, too, else it only parts words. With `lowercase`, A to Z are a to z. 0 fills up, 1 is a word
    that the vocabulary lacks; both are counted in `size`.
    """
    cut = partial(_Cut, lowercase=lowercase, punctuation=punctuation)
    return Tokens(
        size,
        length,
        lambda texts: Words(tuple(_most_frequent(texts, cut(), size - FIRST)), length, cut()),
        lambda plain: Words(tuple(plain["words"]), length, cut()),
    )


@dataclass(frozen=True, slots=True)
class _Cut:
    """How texts are cut into words."""

    lowercase: bool
    punctuation: bool

    def kinds(self) -> Array:
        """(256,) what each byte is."""
        kinds = np.full(256, PUNCTUATION if self.punctuation else NONE, np.uint8)
        kinds[:33] = kinds[127] = NONE
        letters = [
            *range(ord("0"), ord("9") + 1),
            *range(ord("A"), ord("Z") + 1),
            *range(ord("a"), ord("z") + 1),
            ord("'"),
        ]
        kinds[letters] = LETTER
        kinds[128:] = LETTER
        return kinds


@dataclass(frozen=True, slots=True)
class Words:
    """A vocabulary, and how its words are found."""

    words: tuple[str, ...]
    """The most frequent first; the first is token 2."""
    length: int
    cut: _Cut
    _hashes: Array = field(init=False, repr=False, compare=False)
    _tokens: Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        hashes, tokens = _table(self.words)
        object.__setattr__(self, "_hashes", hashes)
        object.__setattr__(self, "_tokens", tokens)

    def encode(self, texts: Ragged) -> Array:
        """(N, length) token numbers; see `Encoder.encode`."""
        dtype = np.int16 if len(self.words) + FIRST <= np.iinfo(np.int16).max else np.int32
        encoded = np.zeros((len(texts), self.length), dtype)
        for rows, block, lengths in texts.blocks(BLOCK):
            found = _find(block, lengths, self.cut)
            first = np.searchsorted(found.rows, np.arange(len(lengths)))  # of each text's words
            rank = np.arange(len(found.rows)) - first[found.rows]
            kept = rank < self.length
            encoded[rows][found.rows[kept], rank[kept]] = self._look_up(found.hashes[kept])
        return encoded

    def plain(self) -> dict[str, Any]:
        """See `Encoder.plain`."""
        return {"words": list(self.words)}

    def _look_up(self, hashes: Array) -> Array:
        """(n,) token numbers of words."""
        tokens = np.full(len(hashes), UNKNOWN, np.int32)
        left = np.arange(len(hashes))
        place = (hashes >> np.uint64(13)) & np.uint64(TABLE - 1)
        while len(left):
            there = self._hashes[place]
            right = there == hashes[left]
            tokens[left[right]] = self._tokens[place[right]]
            on = ~right & (there != 0)  # another word has its place: its own may be the next one
            left, place = left[on], (place[on] + np.uint64(1)) & np.uint64(TABLE - 1)
        return tokens


@dataclass(frozen=True, slots=True)
class _Found:
    """The words of a block of texts, in order."""

    rows: Array
    """(n,) the text of the block that each is in."""
    starts: Array
    """(n,) its first byte in the block."""
    ends: Array
    """(n,) the first byte after it."""
    hashes: Array
    """(n,) uint64, what tells it from others; never 0."""
    block: Array
    """(bytes,) in which they are found, in lower case where that is asked for."""


def _find(block: Array, lengths: Array, cut: _Cut) -> _Found:
    """All words of a block of texts.

    A word is told by the sum over its bytes of a random number for the byte times an odd random number for its place.
    """
    if cut.lowercase:
        block = np.frombuffer(block.tobytes().lower(), np.uint8)
    kinds = cut.kinds()[block]
    begins = np.zeros(len(block) + 1, bool)
    begins[np.cumsum(lengths)] = True  # a word ends where its text does
    begins[0] = True
    joined = (kinds[1:] == LETTER) & (kinds[:-1] == LETTER) & ~begins[1:-1]
    is_first = kinds != NONE
    is_first[1:] &= ~joined
    starts = np.flatnonzero(is_first)
    is_last = kinds != NONE
    is_last[:-1] &= ~joined
    ends = np.flatnonzero(is_last) + 1
    rows = np.searchsorted(np.cumsum(lengths), starts, side="right")
    return _Found(rows, starts, ends, _hashes(block, starts, ends), block)


def _hashes(block: Array, starts: Array, ends: Array) -> Array:
    """(n,) uint64 of the words from starts to ends."""
    sizes = np.minimum(ends - starts, LONGEST)
    if not len(sizes):
        return np.empty(0, np.uint64)
    firsts = np.cumsum(sizes) - sizes
    place = np.arange(int(sizes.sum()))
    inside = place - np.repeat(firsts, sizes)
    values = _OF_BYTE[block[inside + np.repeat(starts, sizes)]] * _AT_PLACE[inside]
    return np.add.reduceat(values, firsts) | np.uint64(1)


def _table(words: Iterable[str]) -> tuple[Array, Array]:
    """Hashes (TABLE,) and tokens (TABLE,) of the words, each at its place or, where that is taken, at the next free one.

    Raises:
        InvalidError: two words cannot be told apart.
    """
    hashes, tokens = np.zeros(TABLE, np.uint64), np.zeros(TABLE, np.int32)
    for token, word in enumerate(words, FIRST):
        content = np.frombuffer(word.encode(), np.uint8)
        own = _hashes(content, np.array([0]), np.array([len(content)]))[0]
        place = int(own >> np.uint64(13)) % TABLE
        while hashes[place] not in (0, own):
            place = (place + 1) % TABLE
        if hashes[place] == own:
            raise InvalidError(f"the vocabulary has two words that dlcat cannot tell apart: one is {word!r}")
        hashes[place], tokens[place] = own, token
    return hashes, tokens


def _most_frequent(texts: Ragged, cut: _Cut, most: int) -> Iterator[str]:
    """So many words, the most frequent first, equally frequent ones in the alphabet's order."""
    counts: Counter[int] = Counter()
    spelled: dict[int, bytes] = {}
    for _, block, lengths in texts.blocks(BLOCK):
        found = _find(block, lengths, cut)
        hashes, where, often = np.unique(found.hashes, return_index=True, return_counts=True)
        for number, index, count in zip(hashes.tolist(), where.tolist(), often.tolist(), strict=True):
            counts[number] += count
            if number not in spelled:
                start = found.starts[index]
                spelled[number] = found.block[start : min(found.ends[index], start + LONGEST)].tobytes()
    ranked = sorted(filter(lambda number: _is_text(spelled[number]), counts), key=lambda n: (-counts[n], spelled[n]))
    return (spelled[number].decode() for number in ranked[:most])


def _is_text(word: bytes) -> bool:
    """Whether it is whole: cut short, a word may end within a letter."""
    try:
        word.decode()
    except UnicodeDecodeError:
        return False
    return True
