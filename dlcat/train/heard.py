"""Splits of waveforms, of which the network hears a stretch of one length: another one in every epoch of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlcat.readers.waveforms import FULL_SCALE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dlcat.inputs import Sounds
    from dlcat.readers.ragged import Ragged


@dataclass(frozen=True, slots=True)
class Heard:
    """The sounds of a split, cut to one length when they are asked for."""

    waveforms: Ragged
    """(N, samples) int16, in memory or mapped."""
    form: Sounds
    home: torch.device

    def __len__(self) -> int:
        return len(self.waveforms)

    @property
    def device(self) -> torch.device:
        """Where an index must be."""
        return torch.device("cpu")

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), 1, self.form.samples)

    @property
    def dtype(self) -> torch.dtype:
        return torch.int16

    def __getitem__(self, chosen: torch.Tensor | slice, /) -> torch.Tensor:
        """The middle stretches (n, 1, samples) int16 of those examples, on the device."""
        index: Any = chosen.numpy() if isinstance(chosen, torch.Tensor) else np.arange(len(self))[chosen]
        return next(self.read([index], None))

    def read(self, plan: Sequence[np.ndarray[Any, Any]], seed: int | None) -> Iterator[torch.Tensor]:
        """Stretches of every batch; see `decoded.Read.read`."""
        for positions in plan:
            shares = self._shares(positions, seed)
            stretches = np.zeros((len(positions), 1, self.form.samples), np.int16)
            for stretch, position, share in zip(stretches, positions.tolist(), shares.tolist(), strict=True):
                cut(self.waveforms[position], stretch[0], share)
            yield torch.from_numpy(stretches).to(self.home)

    def order(self, generator: torch.Generator) -> torch.Tensor:
        """At random."""
        return torch.randperm(len(self), generator=generator)

    def _shares(self, positions: np.ndarray[Any, Any], seed: int | None) -> np.ndarray[Any, Any]:
        """(n,) where between its earliest and its latest place each stretch lies, drawn by seed and position."""
        if seed is None or self.form.crop == "center":
            return np.full(len(positions), 0.5)
        mixed = (positions.astype(np.uint64) + np.uint64(seed % 2**62)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (mixed ^ (mixed >> np.uint64(31))).astype(np.float64) / 2**64


def cut(waveform: np.ndarray[Any, Any], stretch: np.ndarray[Any, Any], share: float) -> None:
    """Fill a stretch (samples,) from a waveform (T,), which it lies in, or which lies in it, at that share of the way."""
    longer = len(waveform) - len(stretch)
    begin = int(share * (abs(longer) + 1))
    begin = min(begin, abs(longer))
    if longer >= 0:
        stretch[:] = waveform[begin : begin + len(stretch)]
    else:
        stretch[begin : begin + len(waveform)] = waveform


def listening(form: Sounds, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """What turns stretches (N, 1, samples) as they are stored into what is heard of them, before it is centred."""
    if form.features is None:
        return lambda stretches: stretches.float() / FULL_SCALE
    features = form.features().to(device)

    @torch.no_grad()
    def hear(stretches: torch.Tensor) -> torch.Tensor:
        heard: torch.Tensor = features(stretches.float() / FULL_SCALE)
        return heard

    return hear
