"""Augmentations of images (N, C, H, W), as bytes or floats, on any device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor
from torch.nn import functional

from dlcat.train.augment import Part, Probability, Shown, augmentation

if TYPE_CHECKING:
    from collections.abc import Callable

Edge = Literal["zero", "reflect"]
Fill = Literal["mean", "zero", "noise"]

OPERATIONS = (
    "identity",
    "brightness",
    "contrast",
    "saturation",
    "posterize",
    "solarize",
    "rotate",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
"""What `rand_augment` draws from."""


@augmentation
def flip(
    images: Tensor,
    generator: torch.Generator,
    shown: Shown | None = None,
    *,
    probability: Probability = 0.5,
    alternate: bool = False,
) -> Tensor:
    """Mirror each image left to right with this probability, or by turns (Jordan 2024, arXiv:2404.00498).

    With `alternate`, chance decides in the first epoch only, by a coin of each image's position. From then on an image
    is mirrored in every other epoch: in any two that follow each other, both its sides are seen.
    """
    if not alternate:
        drawn = torch.rand(len(images), generator=generator, device=generator.device)
        chosen = (drawn < probability).to(images.device)
    elif shown is None:
        raise ValueError("flip alternates by the examples' positions and the epoch; nobody told them")
    else:
        chosen = ((_coins(shown.positions) < probability) ^ (shown.epoch % 2 == 0)).to(images.device)
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


@augmentation
def crop(
    images: Tensor,
    generator: torch.Generator,
    *,
    padding: Annotated[int, Ge(0)] = 4,
    mode: Edge = "zero",
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


@augmentation
def cutout(
    images: Tensor, generator: torch.Generator, *, size: Annotated[int, Ge(1)] = 8, fill: Fill = "mean"
) -> Tensor:
    """Cover a square of `size` pixels around any pixel of each image (DeVries & Taylor 2017, arXiv:1708.04552).

    What lies outside the image is lost, so that smaller parts are covered, too. See `erasing` for what it is filled with.
    """
    height, width = images.shape[2:]
    drawn = torch.rand(2, len(images), generator=generator, device=generator.device).to(images.device)
    top, left = (drawn[0] * height).long() - size // 2, (drawn[1] * width).long() - size // 2
    covered = _boxes(images, top, left, top + size, left + size)
    return _filled(images, covered, fill, generator)


@augmentation
def erasing(
    images: Tensor,
    generator: torch.Generator,
    *,
    probability: Probability = 0.5,
    area: tuple[Part, Part] = (0.02, 0.33),
    ratio: tuple[Annotated[float, Gt(0)], Annotated[float, Gt(0)]] = (0.3, 3.3),
    fill: Fill = "noise",
) -> Tensor:
    """Erase a box of any place, area and ratio of sides in each image (Zhong et al. 2017, arXiv:1708.04896).

    The share of the area is drawn evenly between the two of `area`, height to width evenly in its logarithm between the
    two of `ratio`, as far as such a box fits into the image. `fill`: the image's mean per channel, zero, or noise of the
    image's own pixels, each drawn from anywhere in it.

    Raises:
        ValueError: a range ends before it begins.
    """
    if area[0] > area[1] or ratio[0] > ratio[1]:
        raise ValueError(f"expected area and ratio from low to high, found {list(area)} and {list(ratio)}")
    count, _, height, width = images.shape
    chosen, share, bent, down, right = torch.rand(5, count, generator=generator, device=generator.device).to(
        images.device
    )
    pixels = (area[0] + (area[1] - area[0]) * share) * height * width
    bend = (ratio[0] * (ratio[1] / ratio[0]) ** bent).clamp(pixels / width**2, height**2 / pixels)
    rows = ((pixels * bend).sqrt().round() * (chosen < probability)).long()
    columns = (pixels / bend).sqrt().round().long()
    top, left = (down * (height - rows + 1)).long(), (right * (width - columns + 1)).long()
    return _filled(images, _boxes(images, top, left, top + rows, left + columns), fill, generator)


@augmentation
def rand_augment(
    images: Tensor,
    generator: torch.Generator,
    *,
    operations: Annotated[int, Ge(1)] = 2,
    magnitude: Part = 0.3,
    mode: Edge = "zero",
) -> Tensor:
    """Some operations on each image, drawn among eleven, of one strength (Cubuk et al. 2019, arXiv:1909.13719).

    A light one: what is drawn for all images is done in one pass over their colours and one over their places, not an
    image and an operation at a time. Brightness, contrast and saturation change by up to 90 %, posterize keeps 4 bits
    or more, solarize turns round what is brighter than a threshold; rotations go to 30 degrees, shears to 0.3, shifts to
    45 % of a side; all times `magnitude`, and one that is drawn twice counts twice. Colours stay in the range that the
    image has; `mode` fills its edges.
    """
    drawn = torch.rand(2, operations, len(images), generator=generator, device=generator.device).to(images.device)
    kinds, signs = (drawn[0] * len(OPERATIONS)).long(), torch.where(drawn[1] < 0.5, -magnitude, magnitude)

    def strength(operation: str) -> Tensor:
        """(N,), of both signs."""
        return (signs * (kinds == OPERATIONS.index(operation))).sum(0).clamp(-1, 1)

    changed = _moved(_toned(images.float(), strength), strength, mode)
    return torch.empty_like(images).copy_(changed if images.is_floating_point() else changed.round())


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


def _coins(positions: Tensor) -> Tensor:
    """A number between 0 and 1 for each position, always the same."""
    mixed = positions + 1
    for _ in range(2):  # a factor of 27 bits times 32 of the number stays within 63
        mixed = ((mixed ^ (mixed >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 16)) / 2**32


def _boxes(images: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    """Which pixels lie in each image's box: (N, 1, H, W)."""
    rows = torch.arange(images.shape[2], device=images.device)[:, None]
    columns = torch.arange(images.shape[3], device=images.device)
    top, left, bottom, right = (edge[:, None, None] for edge in (top, left, bottom, right))
    return ((rows >= top) & (rows < bottom) & (columns >= left) & (columns < right))[:, None]


def _filled(images: Tensor, covered: Tensor, fill: Fill, generator: torch.Generator) -> Tensor:
    """The images, with what is covered filled."""
    match fill:
        case "mean":
            mean = images.float().mean((2, 3), keepdim=True)
            filling = (mean if images.is_floating_point() else mean.round()).to(images.dtype)
        case "zero":
            filling = images.new_zeros(())
        case "noise":
            pixels = images.flatten(2)  # (N, C, H W)
            drawn = torch.rand(len(images), 1, pixels.shape[2], generator=generator, device=generator.device)
            anywhere = (drawn.to(images.device) * pixels.shape[2]).long().expand_as(pixels)
            filling = pixels.gather(2, anywhere).view(images.shape)
    return torch.where(covered, filling, images, out=torch.empty_like(images))


def _toned(images: Tensor, strength: Callable[[str], Tensor]) -> Tensor:
    """Other colours: each pixel becomes a function of itself and of its image's mean and range."""
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    mean = images.mean((1, 2, 3), keepdim=True)
    brighter, harder, richer = (1 + 0.9 * _each(strength(name)) for name in ("brightness", "contrast", "saturation"))
    # ((pixel - mean) * harder + mean - low) * brighter + low, multiplied out
    toned = images * (harder * brighter) + ((mean * (1 - harder) - low) * brighter + low)
    grey = toned.mean(1, keepdim=True)
    toned = torch.where(richer == 1, toned, torch.lerp(grey, toned, richer)).clamp(low, high)
    fewer, turned = _each(strength("posterize").abs()), _each(strength("solarize").abs())
    step = ((high - low) / 2 ** (8 - 4 * fewer)).clamp(min=1e-12)
    toned = torch.where(fewer > 0, low + ((toned - low) / step).floor() * step, toned)
    return torch.where(toned > high - turned * (high - low), low + high - toned, toned)


def _moved(images: Tensor, strength: Callable[[str], Tensor], mode: Edge) -> Tensor:
    """Other places: rotated, sheared and shifted at once, with bilinear interpolation."""
    height, width = images.shape[2:]
    angle = strength("rotate") * (torch.pi / 6)
    across, along = 0.3 * strength("shear_x"), 0.3 * strength("shear_y")
    cosine, sine = angle.cos(), angle.sin()
    sides = torch.stack(  # rotation times shear, with half a side as the unit of length
        [
            cosine - sine * along,
            (cosine * across - sine) * (height / width),
            0.9 * strength("translate_x"),
            (sine + cosine * along) * (width / height),
            cosine + sine * across,
            0.9 * strength("translate_y"),
        ],
        dim=1,
    )
    grid = functional.affine_grid(sides.view(-1, 2, 3), list(images.shape), align_corners=False)
    padding = "zeros" if mode == "zero" else "reflection"
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _each(numbers: Tensor) -> Tensor:
    """A number per image, (N, 1, 1, 1)."""
    return numbers[:, None, None, None]
