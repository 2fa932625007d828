"""Augmentations: random changes of a batch of images that leave the label true.

Images are (N, C, H, W), as bytes or floats, on any device. Random numbers are drawn where the generator
lives: one on the CPU gives the same augmentations on every device.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le
from torch import Tensor
from torch.nn import functional

from dlcat.registry import Family

augmentation = Family("augment", __name__)


@augmentation
def flip(images: Tensor, generator: torch.Generator, *, probability: Annotated[float, Ge(0), Le(1)] = 0.5) -> Tensor:
    """Mirror each image left to right with this probability."""
    drawn = torch.rand(len(images), generator=generator, device=generator.device)
    chosen = (drawn < probability).to(images.device)
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


@augmentation
def crop(
    images: Tensor,
    generator: torch.Generator,
    *,
    padding: Annotated[int, Ge(0)] = 4,
    mode: Literal["zero", "reflect"] = "zero",
) -> Tensor:
    """Shift each image by up to `padding` pixels: pad all sides, cut the old size out anywhere (arXiv:1512.03385).

    Raises:
        ValueError: reflect, with a padding that the image is too small to fill.
    """
    count, _, height, width = images.shape
    padded = _reflected(images, padding) if mode == "reflect" else functional.pad(images, (padding,) * 4)
    corners = torch.randint(2 * padding + 1, (2, count), generator=generator, device=generator.device)
    top, left = corners.to(images.device)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # (N, C, 2 padding + 1, 2 padding + 1, H, W), a view
    return windows[torch.arange(count, device=images.device), :, top, left]  # (N, C, H, W)


def shrink(images: Tensor, size: int) -> Tensor:
    """Float images (N, C, H, W) with a shorter side of `size` pixels: bilinear, smoothed before pixels are left out."""
    height, width = images.shape[2:]
    factor = size / min(height, width)
    sides = (round(height * factor), round(width * factor))
    return functional.interpolate(images, sides, mode="bilinear", align_corners=False, antialias=True)


def _reflected(images: Tensor, padding: int) -> Tensor:
    """The images with `padding` mirrored rows and columns on each side; torch's own has no kernel for bytes."""
    height, width = images.shape[2:]
    if padding >= min(height, width):
        raise ValueError(f"reflect cannot fill a padding of {padding} from images of {height} x {width}")
    return images[:, :, _mirror(height, padding, images)][..., _mirror(width, padding, images)]


def _mirror(length: int, padding: int, images: Tensor) -> Tensor:
    """Where position -padding .. length - 1 + padding is read: 2 1 | 0 1 2 3 | 2 1."""
    positions = torch.arange(-padding, length + padding, device=images.device).abs()
    return length - 1 - (length - 1 - positions).abs()
