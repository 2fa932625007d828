"""Inputs: how pictures, sounds and texts become numbers of one shape, for which networks are built.

A member is handed what the catalog says of an example, and gives a form: it tells the shape before any data are there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from dlcat.readers.examples import Gives
from dlcat.registry import Family

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from dlcat.readers.pixels import Crops
    from dlcat.readers.ragged import Ragged


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of a form before it is made."""

    takes: Gives = "pictures"
    """What a dataset's reader must give for it."""


inputs = Family("input", "dlcat.inputs", Traits)


class Encoder(Protocol):
    """Texts to tokens, with a vocabulary that was learned."""

    def encode(self, texts: Ragged) -> np.ndarray[Any, np.dtype[Any]]:
        """(N, length) token numbers of the beginning of every text; 0 fills up those that are shorter."""
        ...

    def plain(self) -> dict[str, Any]:
        """What `Tokens.restore` makes it of again, ready for JSON."""
        ...


@dataclass(frozen=True, slots=True)
class Pictures:
    """Squares that are cut out of pictures and decoded while the network trains."""

    crops: Crops
    shards: str | None
    """Folder or address of what `dlcat pack` wrote; None: the unpacked tree in the cache."""
    workers: int | Literal["auto"]
    """Processes that decode."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, size, size)."""
        return self.crops.shape


@dataclass(frozen=True, slots=True)
class Sounds:
    """Stretches of equal length out of sounds that were brought to one rate, and what is computed from them."""

    rate_hertz: int
    samples: int
    """Of one stretch."""
    crop: Literal["random", "center"]
    """Where it begins in training; in evaluation it is the middle."""
    shape: tuple[int, ...]
    """(1, samples), or what the features make of it."""
    features: Callable[[], nn.Module] | None = None
    """Makes what turns (N, 1, samples) float32 in -1..1 into (N, *shape)."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The beginnings of texts as numbers of a vocabulary."""

    vocabulary: int
    """Token numbers are below it; 0 fills up."""
    length: int
    """Tokens of every input."""
    learn: Callable[[Ragged], Encoder]
    """Training texts to what encodes these and others."""
    restore: Callable[[dict[str, Any]], Encoder]
    """What an encoder's `plain` gave to the encoder."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(vocabulary, length)."""
        return (self.vocabulary, self.length)


Form = Pictures | Sounds | Tokens
