"""Sounds at one rate, cut to one length: as waveforms, or as spectrograms computed where the network is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt

from dlcat.catalog.dataset import Sample
from dlcat.inputs import Sounds, inputs

if TYPE_CHECKING:
    from torch import nn

Rate = Annotated[int, Ge(1000)]
Seconds = Annotated[float, Gt(0)]
Crop = Literal["random", "center"]


@inputs(takes="sounds")
def waveform(sample: Sample, *, seconds: Seconds, rate_hertz: Rate | None = None, crop: Crop = "random") -> Sounds:
    """A stretch of so many `seconds` of each sound, (1, samples), at `rate_hertz` (null: upstream's rate).

    Channels are averaged, rates changed by polyphase filters. A stretch begins at random in training (crop: center: never);
    evaluation hears the middle. What is shorter is surrounded by silence.
    """
    rate = _rate(sample, rate_hertz)
    samples = round(rate * seconds)
    return Sounds(rate, samples, crop, (1, samples))


@inputs(takes="sounds")
def log_mel(
    sample: Sample,
    *,
    seconds: Seconds,
    rate_hertz: Rate | None = None,
    crop: Crop = "random",
    bands: Annotated[int, Ge(1)] = 64,
    window_milliseconds: Seconds = 25.0,
    hop_milliseconds: Seconds = 10.0,
) -> Sounds:
    """The log-mel spectrogram of a stretch of each sound, (1, bands, frames), a picture of pitch over time (Davis & Mermelstein 1980).

    Stretches are those of `waveform`; `dlcat.layers.spectra.log_mel` says what is computed of them, where the network is,
    after waveforms were augmented.
    """
    rate = _rate(sample, rate_hertz)
    how = {"bands": bands, "window_milliseconds": window_milliseconds, "hop_milliseconds": hop_milliseconds}
    return _spectrum("log_mel", rate, round(rate * seconds), crop, bands, how)


@inputs(takes="sounds")
def mfcc(
    sample: Sample,
    *,
    seconds: Seconds,
    rate_hertz: Rate | None = None,
    crop: Crop = "random",
    coefficients: Annotated[int, Ge(1)] = 20,
    bands: Annotated[int, Ge(1)] = 64,
    window_milliseconds: Seconds = 25.0,
    hop_milliseconds: Seconds = 10.0,
) -> Sounds:
    """The first cepstral coefficients of a stretch of each sound, (1, coefficients, frames) (Davis & Mermelstein 1980).

    Stretches are those of `waveform`; `dlcat.layers.spectra.mfcc` says what is computed of them.
    """
    rate = _rate(sample, rate_hertz)
    how = {"bands": bands, "window_milliseconds": window_milliseconds, "hop_milliseconds": hop_milliseconds}
    return _spectrum("mfcc", rate, round(rate * seconds), crop, coefficients, {"coefficients": coefficients, **how})


def _spectrum(kind: str, rate: int, samples: int, crop: Crop, height: int, how: dict[str, Any]) -> Sounds:
    """What `dlcat.layers.spectra` computes; torch is loaded where it is made, not here."""

    def make() -> nn.Module:
        from dlcat.layers import spectra

        return spectra.mfcc(rate, **how) if kind == "mfcc" else spectra.log_mel(rate, **how)

    frames = 1 + samples // round(rate * how["hop_milliseconds"] / 1000)
    return Sounds(rate, samples, crop, (1, height, frames), make)


def _rate(sample: Sample, rate_hertz: int | None) -> int:
    """The one asked for, or upstream's.

    Raises:
        ValueError: upstream's varies.
    """
    chosen = rate_hertz or sample.rate_hertz
    if chosen is None:
        raise ValueError("the rate of its sounds varies; expected rate_hertz, such as 16000")
    return chosen
