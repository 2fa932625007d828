"""Augmentations of waveforms (N, 1, T), as int16 or as floats from -1 to 1, on any device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from dlcat.train.augment import Part, Probability, augmentation

if TYPE_CHECKING:
    from torch import Tensor


@augmentation(changes="waveforms")
def time_shift(waveforms: Tensor, generator: torch.Generator, *, share: Part = 0.1) -> Tensor:
    """Move each waveform earlier or later by up to that share of its length; silence comes in."""
    _require_waveforms(waveforms)
    count, _, length = waveforms.shape
    most = round(share * length)
    starts = torch.randint(2 * most + 1, (count,), generator=generator, device=generator.device)
    windows = functional.pad(waveforms, (most, most)).unfold(2, length, 1)  # (N, 1, 2 most + 1, T), a view
    return windows[torch.arange(count, device=waveforms.device), :, starts.to(waveforms.device)]


@augmentation(changes="waveforms")
def gain(waveforms: Tensor, generator: torch.Generator, *, decibels: tuple[float, float] = (-6.0, 6.0)) -> Tensor:
    """Play each waveform louder or softer, by a number of decibels drawn evenly between two.

    What would get louder than full scale gets that loud: nothing is cut off, which would be heard.

    Raises:
        ValueError: the range ends before it begins.
    """
    _require_waveforms(waveforms)
    drawn = _evenly(decibels, waveforms, generator)
    sounds = waveforms.float()
    loudest = sounds.abs().amax((1, 2), keepdim=True).clamp(min=1e-12)
    return _stored((10 ** (drawn / 20)).minimum((_full_scale(waveforms) / loudest).clamp(min=1)) * sounds, waveforms)


@augmentation(changes="waveforms")
def noise(
    waveforms: Tensor, generator: torch.Generator, *, signal_to_noise_decibels: tuple[float, float] = (10.0, 40.0)
) -> Tensor:
    """Add white noise, each waveform's mean power stronger than it by a number of decibels drawn evenly between two.

    Silence gets none.

    Raises:
        ValueError: the range ends before it begins.
    """
    _require_waveforms(waveforms)
    drawn = _evenly(signal_to_noise_decibels, waveforms, generator)
    white = torch.randn(waveforms.shape, generator=generator, device=generator.device).to(waveforms.device)
    sounds = waveforms.float()
    power = sounds.square().mean((1, 2), keepdim=True) * 10 ** (-drawn / 10)
    return _stored(sounds.addcmul(white, power.sqrt()), waveforms)


@augmentation(changes="waveforms")
def polarity(waveforms: Tensor, generator: torch.Generator, *, probability: Probability = 0.5) -> Tensor:
    """Turn each waveform upside down with this probability, which nobody hears."""
    _require_waveforms(waveforms)
    drawn = torch.rand(len(waveforms), generator=generator, device=generator.device).to(waveforms.device)
    return torch.where((drawn < probability)[:, None, None], _stored(-waveforms.float(), waveforms), waveforms)


def _require_waveforms(waveforms: Tensor) -> None:
    """Stop where something else is given.

    Raises:
        ValueError: it has another number of axes.
    """
    if waveforms.dim() != 3:
        raise ValueError(f"expected waveforms, (N, 1, T), found {tuple(waveforms.shape)}")


def _evenly(limits: tuple[float, float], waveforms: Tensor, generator: torch.Generator) -> Tensor:
    """A number between the two for each waveform, (N, 1, 1)."""
    low, high = limits
    if low > high:
        raise ValueError(f"expected decibels from low to high, found {list(limits)}")
    drawn = torch.rand(len(waveforms), 1, 1, generator=generator, device=generator.device)
    return (low + (high - low) * drawn).to(waveforms.device)


def _full_scale(waveforms: Tensor) -> float:
    return 1.0 if waveforms.is_floating_point() else torch.iinfo(waveforms.dtype).max


def _stored(sounds: Tensor, waveforms: Tensor) -> Tensor:
    """The sounds in the type of the waveforms that they were made of; integers are rounded and stay within full scale."""
    if waveforms.is_floating_point():
        return sounds.to(waveforms.dtype)
    most = _full_scale(waveforms)
    return sounds.round().clamp(-most, most).to(waveforms.dtype)
