"""How large a network is drawn: its form by the size of the input, its channels by a multiplier."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

Stem = Literal["auto", "cifar", "imagenet"]
"""The form for small inputs or the one for large ones; auto decides."""

Width = Annotated[float, Gt(0)]
"""What an architecture's channels are multiplied by."""

Count = Annotated[int, Ge(1)]
"""How many there are of something that cannot be left out."""

Dropout = Annotated[float, Ge(0), Lt(1)]
"""The share of numbers that is left out in training."""

SMALL = 64
"""Positions a side up to which inputs are small: MNIST, CIFAR, SVHN, Tiny ImageNet; not STL-10 or ImageNet."""


def is_small(stem: Stem, input_shape: tuple[int, ...]) -> bool:
    """Whether the form for small inputs is meant; auto decides by the longest side of the input (C, ...)."""
    if stem == "auto":
        return max(input_shape[1:]) <= SMALL
    return stem == "cifar"


def starts_large(stem: Stem, stages: int) -> bool:
    """Whether a stem for large inputs is meant, where the depth decides: auto takes it before four stages."""
    return stem == "imagenet" or (stem == "auto" and stages == 4)


def scaled(channels: int, width: float) -> int:
    """That many channels times the width, at a multiple of 8, which hardware and the groups of norms like.

    The nearest one, but at least 8, and never less than 90 % of what was asked for (as MobileNetV2's authors round).
    """
    exact = channels * width
    nearest = max(8, 8 * int(exact / 8 + 0.5))
    return nearest if nearest >= 0.9 * exact else nearest + 8
