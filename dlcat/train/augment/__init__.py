"""Augmentations, a file per kind of input: random changes of a batch that leave its labels true.

Random numbers are drawn where the generator lives: one on the CPU gives the same augmentations on every device.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn import functional

from dlcat.registry import Family

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


@dataclass(frozen=True, slots=True)
class Traits:
    """What the rest of dlcat must know of an augmentation."""

    changes: Literal["images", "waveforms", "spectrograms"] = "images"
    """Images (N, C, H, W) or waveforms (N, 1, T) as they are stored; or spectrograms (N, 1, bands, frames), as the network gets
    them."""


augmentation = Family("augment", __name__, Traits)

Probability = Annotated[float, Ge(0), Le(1)]
Part = Annotated[float, Gt(0), Le(1)]


@dataclass(frozen=True, slots=True)
class Shown:
    """Which examples a batch shows, and the how many-th time the split is gone through."""

    positions: Tensor
    """(N,) of the examples in the training split."""
    epoch: int
    """From 1 on."""


def telling(rule: Callable[..., Tensor]) -> Callable[[Tensor, torch.Generator, Shown], Tensor]:
    """The augmentation as a function of all that dlcat knows; one that does not ask what is shown is not told."""
    if "shown" in inspect.signature(rule).parameters:
        return rule
    return lambda inputs, generator, _: rule(inputs, generator)


def shrink(images: Tensor, size: int) -> Tensor:
    """Float images (N, C, H, W) with a shorter side of `size` pixels: bilinear, smoothed before pixels are left out."""
    height, width = images.shape[2:]
    factor = size / min(height, width)
    sides = (round(height * factor), round(width * factor))
    return functional.interpolate(images, sides, mode="bilinear", align_corners=False, antialias=True)
