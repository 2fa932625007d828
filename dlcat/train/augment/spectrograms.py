"""Augmentations of spectrograms (N, 1, bands, frames), as the network gets them, on any device."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from dlcat.train.augment import Part, augmentation

Masks = Annotated[int, Ge(0)]


@augmentation(changes="spectrograms")
def spec_augment(
    spectrograms: Tensor,
    generator: torch.Generator,
    *,
    band_masks: Masks = 2,
    band_share: Part = 0.2,
    frame_masks: Masks = 2,
    frame_share: Part = 0.2,
) -> Tensor:
    """Cover some runs of bands and of frames of each spectrogram with its mean (Park et al. 2019, arXiv:1904.08779).

    How wide a run is, is drawn evenly from none to that share of all bands or frames, and its place among those where it
    fits; runs may overlap. Time is not warped.

    Raises:
        ValueError: these are no spectrograms.
    """
    if spectrograms.dim() != 4 or spectrograms.shape[1] != 1 or not spectrograms.is_floating_point():
        found = f"{tuple(spectrograms.shape)} of {spectrograms.dtype}"
        raise ValueError(f"expected spectrograms, (N, 1, bands, frames) of floats, found {found}")
    bands = _covered(spectrograms, 2, band_masks, band_share, generator)[:, None, :, None]
    frames = _covered(spectrograms, 3, frame_masks, frame_share, generator)[:, None, None, :]
    return torch.where(bands | frames, spectrograms.mean((2, 3), keepdim=True), spectrograms)


def _covered(spectrograms: Tensor, axis: int, masks: int, share: float, generator: torch.Generator) -> Tensor:
    """Which positions of the axis some mask covers: (N, positions)."""
    count, size = len(spectrograms), spectrograms.shape[axis]
    drawn = torch.rand(2, masks, count, 1, generator=generator, device=generator.device).to(spectrograms.device)
    widths = (drawn[0] * (round(share * size) + 1)).long()
    starts = (drawn[1] * (size - widths + 1)).long()
    positions = torch.arange(size, device=spectrograms.device)
    return ((positions >= starts) & (positions < starts + widths)).any(0)
