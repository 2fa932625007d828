"""Spectra of sound: how strong each band of pitch is over time (log-mel), and the shape of that in few numbers (MFCC).

Waveforms are (N, 1, T) from -1 to 1, on any device; spectra are (N, 1, bands, frames). They are computed in 32 bits, or in
64 where the module is of that type, whatever a training computes in.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from dlcat.layers.mel import Area, MelScale, mel_filters

Padding = Literal["zero", "reflect", "none"]
"""What lies before the first sample and behind the last: the frames are centred at samples 0, hop, 2 hop, ... of a waveform
with half a transform of zeros or of its own mirror image at each end; or they are those that lie inside it (none)."""
Level = Literal["natural", "decibels"]
"""The logarithm of an energy: ln, or 10 log10."""

Milliseconds = Annotated[float, Gt(0)]
Hertz = Annotated[float, Ge(0)]

CACHED = 2**19
"""Numbers of a spectrum that are computed at once; what is more leaves the processor's cache and takes three times as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """The stretches of a waveform that are looked at, in samples."""

    window: int
    """How long each is."""
    hop: int
    """From one's begin to the next one's."""
    points: int
    """Of the Fourier transform; the window lies in their middle, between zeros."""
    padding: Padding

    def frames(self, samples: int) -> int:
        """How many there are in that many samples.

        Raises:
            ValueError: there is none, or not enough to mirror.
        """
        if self.padding == "reflect" and samples <= self.points // 2:
            raise ValueError(f"{samples} samples cannot be mirrored by half a transform, {self.points // 2}")
        if self.padding == "none" and samples < self.points:
            raise ValueError(f"{samples} samples are less than a transform of {self.points} points looks at")
        return 1 + (samples - (self.points if self.padding == "none" else 0)) // self.hop


def log_mel(
    rate_hertz: int,
    *,
    bands: Annotated[int, Ge(1)] = 64,
    window_milliseconds: Milliseconds = 25.0,
    hop_milliseconds: Milliseconds = 10.0,
    points: Annotated[int, Ge(1)] | None = None,
    lowest_hertz: Hertz = 0.0,
    highest_hertz: Hertz | None = None,
    scale: MelScale = "slaney",
    area: Area = "equal",
    padding: Padding = "zero",
    level: Level = "natural",
    floor: Annotated[float, Gt(0)] = 1e-10,
    range_decibels: Annotated[float, Gt(0)] | None = None,
) -> LogMel:
    """The logarithm of the energy in bands of pitch over time (Davis & Mermelstein 1980), (N, 1, T) to (N, 1, bands, frames).

    Of each frame, a Hann window times the waveform, the squared magnitudes of its Fourier transform are added up in each
    band; see `dlcat.layers.mel` for the bands' `scale` and `area`. What is less than `floor` counts as that much, and so
    does, with a range, what is that many decibels below the loudest of its example.

    Args:
        rate_hertz: samples a second.
        bands: how many.
        window_milliseconds: how long a frame is, to the nearest sample.
        hop_milliseconds: from a frame to the next, to the nearest sample.
        points: of the Fourier transform; None takes the first power of 2 that holds the window.
        lowest_hertz: where the first band begins.
        highest_hertz: where the last band ends; None takes half the rate.
        scale: what the bands have equal distances in.
        area: the filters' areas are equal, or grow with their width.
        padding: what lies around the waveform; none has fewer frames.
        level: the kind of logarithm.
        floor: the least energy there is.
        range_decibels: from the loudest to the faintest that is told from silence; None for no limit.

    Raises:
        ValueError: the bands do not fit into the frequencies, a hop is shorter than a sample, or the window is longer
            than the transform.
    """
    framing = _framing(rate_hertz, window_milliseconds, hop_milliseconds, points, padding)
    filters = mel_filters(
        rate_hertz,
        framing.points,
        bands=bands,
        lowest_hertz=lowest_hertz,
        highest_hertz=highest_hertz,
        scale=scale,
        area=area,
    )
    return LogMel(filters, framing, level=level, floor=floor, range_decibels=range_decibels)


def mfcc(
    rate_hertz: int,
    *,
    coefficients: Annotated[int, Ge(1)] = 20,
    bands: Annotated[int, Ge(1)] = 64,
    **options: Any,
) -> nn.Sequential:
    """The shape of a log-mel spectrum in few numbers (Davis & Mermelstein 1980), (N, 1, T) to (N, 1, coefficients, frames).

    They are the first of its orthonormal cosine transform over the bands. `options` are those of `log_mel`; the level is
    in decibels unless they say otherwise.

    Raises:
        ValueError: there are more coefficients than bands, or `log_mel` refuses.
    """
    if coefficients > bands:
        raise ValueError(f"{bands} bands have as many cosine coefficients: expected at most that, found {coefficients}")
    spectrum = log_mel(rate_hertz, bands=bands, **{"level": "decibels", **options})
    return nn.Sequential(spectrum, Cosines(bands, coefficients))


class LogMel(nn.Module):
    """The logarithm of a waveform's energy in some bands, over time; `log_mel` makes it."""

    window: Tensor
    filters: Tensor

    def __init__(
        self,
        filters: np.ndarray[Any, Any],
        framing: Framing,
        *,
        level: Level,
        floor: float,
        range_decibels: float | None,
    ) -> None:
        super().__init__()
        self.framing = framing
        self.level = level
        self.floor = floor
        self.range = None if range_decibels is None else 10 ** (-range_decibels / 10)
        self.register_buffer("filters", torch.tensor(filters, dtype=torch.float32), persistent=False)
        self.register_buffer("window", torch.hann_window(framing.window, dtype=torch.float32), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(N, 1, T) to (N, 1, bands, frames).

        Raises:
            ValueError: there are several channels, or too few samples for a frame.
        """
        if waveforms.dim() != 3 or waveforms.shape[1] != 1:
            raise ValueError(f"expected waveforms of one channel, (N, 1, T), found {tuple(waveforms.shape)}")
        frames = self.framing.frames(waveforms.shape[2])
        together = max(1, CACHED // (frames * (self.framing.points // 2 + 1)))
        with _exactly(waveforms.device):
            parts = torch.split(waveforms[:, 0].to(self.window.dtype), together)
            return self._levels(torch.cat([self._energies(part) for part in parts])).unsqueeze(1)

    def _energies(self, waveforms: Tensor) -> Tensor:
        """In each band of each frame: (N, T) to (N, bands, frames)."""
        spectrum = torch.stft(
            waveforms,
            self.framing.points,
            self.framing.hop,
            self.framing.window,
            self.window,
            center=self.framing.padding != "none",
            pad_mode="reflect" if self.framing.padding == "reflect" else "constant",
            return_complex=True,
        )
        # Not abs(), which takes a root to be squared again, and not view_as_real(), whose sum over pairs is slow: 3 times.
        return self.filters @ spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)

    def _levels(self, energies: Tensor) -> Tensor:
        if self.range is not None:
            energies = energies.maximum(energies.amax((1, 2), keepdim=True) * self.range)
        energies = energies.clamp(min=self.floor)
        return energies.log() if self.level == "natural" else energies.log10() * 10


class Cosines(nn.Module):
    """The first coefficients of the orthonormal cosine transform (DCT-II) over the bands."""

    matrix: Tensor

    def __init__(self, bands: int, coefficients: int) -> None:
        super().__init__()
        orders, places = np.arange(coefficients)[:, None], np.arange(bands) + 0.5
        matrix = np.cos(np.pi / bands * orders * places) * np.sqrt(np.where(orders == 0, 1, 2) / bands)
        self.register_buffer("matrix", torch.tensor(matrix, dtype=torch.float32), persistent=False)

    def forward(self, levels: Tensor) -> Tensor:
        """(N, 1, bands, frames) to (N, 1, coefficients, frames)."""
        with _exactly(levels.device):
            return self.matrix @ levels.to(self.matrix.dtype)


def _framing(
    rate_hertz: int, window_milliseconds: float, hop_milliseconds: float, points: int | None, padding: Padding
) -> Framing:
    window, hop = (round(rate_hertz * span / 1000) for span in (window_milliseconds, hop_milliseconds))
    if hop < 1 or window < 2:
        raise ValueError(
            f"a window of {window_milliseconds:g} ms and a hop of {hop_milliseconds:g} ms are {window} and {hop} samples "
            f"at {rate_hertz} Hz: expected at least 2 and 1"
        )
    points = 1 << (window - 1).bit_length() if points is None else points
    if points < window:
        raise ValueError(f"a transform of {points} points cannot hold a window of {window} samples")
    return Framing(window=window, hop=hop, points=points, padding=padding)


def _exactly(device: torch.device) -> AbstractContextManager[Any]:
    """Products of matrices in the numbers' own type, for bfloat16 would keep two digits of an energy."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
