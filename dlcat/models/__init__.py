"""Networks, one file per architecture; each is a function of the input's shape, the output's width and the parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlcat.registry import Family


@dataclass(frozen=True, slots=True)
class Traits:
    """What the rest of dlcat must know of a network before it is built."""

    takes: Literal["signals", "tokens"] = "signals"
    """Signals: numbers (N, C, ...) of shape (C, ...). Tokens: their numbers (N, T) int64, of shape (vocabulary, T): what
    they stand for is one of `vocabulary` channels at each of T positions. Token 0 fills up what is shorter than T."""
    uses: tuple[Literal["conv", "norm", "activation"], ...] = ("conv", "norm", "activation")
    """Which of the chosen parts it is built from; it has no place for the others."""


model = Family("model", __name__, Traits)
