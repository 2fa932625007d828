"""Normalizations, a file per kind; most are (x - mean) / sqrt(variance + eps) * scale + shift, and differ in the mean's axes.

All take (N, C), (N, C, T) or (N, C, H, W), in any order of memory, and keep shape, order and type of number. A map is
one channel of one example.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

from annotated_types import Gt, Le

from dlcat.registry import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What networks and training go by, of a norm that they know by its name only."""

    shifts: bool = True
    """It adds a number of its own to each channel, so that the convolution before it needs no bias."""
    needs_batch: bool = False
    """It cannot train on one example."""
    spans_processes: bool = False
    """Its statistics are those of the examples of all processes that train together."""
    averages_positions: bool = False
    """It averages over positions of one example, which torch computes faster on contiguous images."""
    standardizes_weights: bool = False
    """Convolutions are to compute with standardized weights."""


norm = Family("norm", __name__, Traits)

Epsilon = Annotated[float, Gt(0)]
Momentum = Annotated[float, Gt(0), Le(1)]


@runtime_checkable
class Mixing(Protocol):
    """A norm that mixes statistics, and tells in which shares; a run's report draws them."""

    def mixture(self) -> tuple[dict[str, float], dict[str, float]]:
        """The share of each statistic in the mean, and in the variance."""
