"""Normalizations, a file per kind; most are (x - mean) / sqrt(variance + eps) * scale + shift, and differ in the mean's axes.

All take (N, C), (N, C, T) or (N, C, H, W), in any order of memory, and keep shape, order and type of number. A map is
one channel of one example.
"""

from __future__ import annotations

from typing import Annotated, Protocol, runtime_checkable

from annotated_types import Gt, Le

from dlcat.registry import Family

norm = Family("norm", __name__)

Epsilon = Annotated[float, Gt(0)]
Momentum = Annotated[float, Gt(0), Le(1)]

WITHOUT_SHIFT = frozenset({"none", "local_response"})
"""Norms that add nothing of their own to a channel: the convolution before them keeps its bias."""


@runtime_checkable
class Mixing(Protocol):
    """A norm that mixes statistics, and tells in which shares; a run's report draws them."""

    def mixture(self) -> tuple[dict[str, float], dict[str, float]]:
        """The share of each statistic in the mean, and in the variance."""
