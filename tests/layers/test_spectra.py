"""Log-mel spectra and MFCC are those of a plain computation in 64 bits, and those of librosa."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.fft import dct

from dlcat.layers.mel import mel_filters, to_hertz, to_mel
from dlcat.layers.spectra import CACHED, log_mel, mfcc
from tests.layers.librosa_spectra import CASES, COEFFICIENTS, RANGE_DECIBELS, RATE_HERTZ, sound

LIBROSA = np.load(Path(__file__).with_name("librosa_spectra.npz"))


def _waveforms(count: int = 2, samples: int = 3000, seed: int = 0) -> torch.Tensor:
    """Tones over noise, (N, 1, T)."""
    chance = np.random.default_rng(seed)
    time = np.arange(samples) / RATE_HERTZ
    tones = np.sin(2 * np.pi * chance.uniform(100, 3500, (count, 1)) * time)
    waves = 0.3 * tones + 0.02 * chance.standard_normal((count, samples))
    return torch.from_numpy(waves).float()[:, None]


def _energies(wave: np.ndarray, window: int, hop: int, points: int, padding: str) -> np.ndarray:
    """Squared magnitudes of the Fourier transform of one waveform by its definition, in 64 bits: (frequencies, frames)."""
    if padding != "none":
        wave = np.pad(wave, points // 2, mode={"zero": "constant", "reflect": "reflect"}[padding])
    hann = np.zeros(points)
    hann[(points - window) // 2 :][:window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = np.stack([wave[start : start + points] * hann for start in range(0, len(wave) - points + 1, hop)], axis=1)
    waves = np.exp(-2j * np.pi / points * np.outer(np.arange(points // 2 + 1), np.arange(points)))
    return np.abs(waves @ frames) ** 2


def _filters(rate: int, points: int, bands: int, low: float, high: float, htk: bool, equal: bool) -> np.ndarray:
    """The triangles, drawn by interpolation between their corners."""
    if htk:
        pitches = np.linspace(1127 * np.log1p(low / 700), 1127 * np.log1p(high / 700), bands + 2)
        corners = 700 * np.expm1(pitches / 1127)
    else:  # a table of the scale, read both ways
        mels = np.concatenate([np.arange(15), 15 + np.linspace(0, 40, 200_001)])
        hertz = np.concatenate([np.arange(15) * 200 / 3, 1000 * 6.4 ** (np.linspace(0, 40, 200_001) / 27)])
        corners = np.interp(np.linspace(*np.interp([low, high], hertz, mels), bands + 2), mels, hertz)
    frequencies = np.linspace(0, rate / 2, points // 2 + 1)
    drawn = [
        np.interp(
            frequencies, corners[band : band + 3], [0, 2 / (corners[band + 2] - corners[band]) if equal else 1, 0]
        )
        for band in range(bands)
    ]
    return np.stack(drawn)


@pytest.mark.parametrize("padding", ["zero", "reflect", "none"])
@pytest.mark.parametrize(("scale", "area"), [("slaney", "equal"), ("htk", "growing"), ("htk", "equal")])
@pytest.mark.parametrize(
    ("rate", "window_milliseconds", "points", "window", "hop"),
    [
        (8000, 25.0, 256, 200, 80),
        (16000, 25.0, 512, 400, 160),
        (22050, 20.0, 512, 441, 220),
        (8000, 31.25, 250, 250, 80),
    ],
)
def test_a_spectrum_is_that_of_a_plain_computation(
    rate: int, window_milliseconds: float, points: int, window: int, hop: int, scale: str, area: str, padding: str
) -> None:
    wanted = points if points != 1 << (window - 1).bit_length() else None
    module = log_mel(
        rate,
        bands=24,
        window_milliseconds=window_milliseconds,
        points=wanted,
        lowest_hertz=50.0,
        scale=scale,  # type: ignore[arg-type]
        area=area,  # type: ignore[arg-type]
        padding=padding,  # type: ignore[arg-type]
    )
    waveforms = _waveforms()
    filters = _filters(rate, points, 24, 50.0, rate / 2, scale == "htk", area == "equal")
    for wave, found in zip(waveforms, module(waveforms), strict=True):
        energies = filters @ _energies(wave[0].double().numpy(), window, hop, points, padding)
        torch.testing.assert_close(found[0].double(), torch.from_numpy(np.log(energies)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("case", list(CASES))
def test_a_spectrum_and_its_coefficients_are_librosas(case: str) -> None:
    waveforms = torch.from_numpy(LIBROSA["samples"]).div(32768)[None, None]
    options: dict[str, Any] = {**CASES[case][0], "level": "decibels", "range_decibels": RANGE_DECIBELS}
    decibels = torch.from_numpy(LIBROSA[f"{case}_decibels"])
    torch.testing.assert_close(log_mel(RATE_HERTZ, **options)(waveforms)[0, 0], decibels, atol=1e-4, rtol=1e-6)
    coefficients = torch.from_numpy(LIBROSA[f"{case}_mfcc"])
    found = mfcc(RATE_HERTZ, coefficients=COEFFICIENTS, **options)(waveforms)[0, 0]
    torch.testing.assert_close(found, coefficients, atol=1e-4, rtol=1e-6)


def test_the_sound_that_librosa_heard_is_the_one_that_its_script_makes() -> None:
    assert np.array_equal(LIBROSA["samples"], sound())


def test_coefficients_are_the_orthonormal_cosine_transform_of_the_levels() -> None:
    waveforms = _waveforms()
    levels = log_mel(RATE_HERTZ, bands=32, level="decibels")(waveforms)
    expected = dct(levels.double().numpy(), type=2, norm="ortho", axis=2)
    for coefficients in (1, 20, 32):
        found = mfcc(RATE_HERTZ, coefficients=coefficients, bands=32)(waveforms)
        torch.testing.assert_close(found.double().numpy(), expected[:, :, :coefficients], atol=1e-3, rtol=1e-6)


def test_an_example_is_the_same_alone_and_among_more_than_are_computed_at_once() -> None:
    samples = 8000
    count = 2 * CACHED // (101 * 129) + 3
    module, waveforms = log_mel(RATE_HERTZ), _waveforms(count, samples)
    together = module(waveforms)
    assert torch.equal(together, module(waveforms))
    for index in (0, count // 2, count - 1):
        torch.testing.assert_close(together[index], module(waveforms[index : index + 1])[0], atol=1e-5, rtol=1e-5)


def test_precision_of_training_does_not_reach_a_spectrum() -> None:
    module, waveforms = mfcc(RATE_HERTZ), _waveforms()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = module(waveforms)
    assert torch.equal(rounded, module(waveforms))
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(module.double()(waveforms).float(), rounded, atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize(("padding", "frames"), [("zero", 101), ("reflect", 101), ("none", 97)])
def test_shapes_are_known_without_a_number_being_computed(padding: str, frames: int) -> None:
    with torch.device("meta"):
        made = mfcc(RATE_HERTZ, coefficients=13, padding=padding)(torch.empty(5, 1, 8000))
    assert made.shape == (5, 1, 13, frames)
    assert made.shape == mfcc(RATE_HERTZ, coefficients=13, padding=padding)(torch.zeros(5, 1, 8000)).shape


def test_a_spectrum_keeps_nothing_in_the_weights_of_a_network() -> None:
    assert not mfcc(RATE_HERTZ).state_dict()
    assert not list(mfcc(RATE_HERTZ).parameters())


def test_a_gradient_reaches_the_waveform() -> None:
    waveforms = _waveforms().requires_grad_()
    mfcc(RATE_HERTZ, bands=32)(waveforms).sum().backward()
    assert waveforms.grad is not None
    assert waveforms.grad.isfinite().all()
    assert waveforms.grad.any()


def test_silence_has_the_level_of_the_floor_and_the_faintest_that_of_the_range() -> None:
    silence = torch.zeros(1, 1, 800)
    assert log_mel(RATE_HERTZ, floor=1e-4)(silence).unique().tolist() == pytest.approx([np.log(1e-4)])
    assert mfcc(RATE_HERTZ, floor=1e-4)(silence)[:, :, 1:].abs().max() < 1e-3
    waveforms = torch.cat([_waveforms(), 0.01 * _waveforms(seed=1)])
    limited = log_mel(RATE_HERTZ, level="decibels", range_decibels=30.0)(waveforms)
    free = log_mel(RATE_HERTZ, level="decibels")(waveforms)
    loudest = free.amax((2, 3), keepdim=True)
    torch.testing.assert_close(limited, free.maximum(loudest - 30), atol=1e-4, rtol=0)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_pitch_and_frequency_are_each_others_inverse(scale: Any) -> None:
    hertz = np.array([0.0, 1.0, 440.0, 999.0, 1000.0, 1001.0, 20_000.0])
    np.testing.assert_allclose(to_hertz(to_mel(hertz, scale), scale), hertz, atol=1e-9)
    assert (np.diff(to_mel(hertz, scale)) > 0).all()
    assert to_mel(1000.0, scale) == pytest.approx({"htk": 1000, "slaney": 15}[scale], abs=0.02)


def test_filters_of_equal_area_hear_as_much_of_white_noise_in_every_band() -> None:
    equal = mel_filters(RATE_HERTZ, 4096, bands=20).sum(1)
    np.testing.assert_allclose(equal, 4096 / RATE_HERTZ, rtol=0.02)
    growing = mel_filters(RATE_HERTZ, 4096, bands=20, area="growing")
    assert (growing.max(1) > 0.9).all()
    assert growing[-1].sum() > 2 * growing[0].sum()


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_bands_between_two_frequencies_are_refused_and_as_many_as_are_said_to_fit_do(scale: Any) -> None:
    with pytest.raises(ValueError, match=r"160 bands do not fit into 0 Hz to 4000 Hz.*every 31\.25 Hz") as refusal:
        log_mel(RATE_HERTZ, bands=160, scale=scale)
    most = int(str(refusal.value).split("at most ")[1].split()[0])
    assert 20 < most < 160
    assert mel_filters(RATE_HERTZ, 256, bands=most, scale=scale).any(1).all()
    with pytest.raises(ValueError, match="do not fit"):
        mel_filters(RATE_HERTZ, 256, bands=most + 1, scale=scale)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"highest_hertz": 4001.0}, "up to half the rate of 8000 Hz; found 0 Hz to 4001 Hz"),
        ({"lowest_hertz": 300.0, "highest_hertz": 300.0}, "from low to high"),
        ({"hop_milliseconds": 0.01}, "25 ms and a hop of 0.01 ms are 200 and 0 samples at 8000 Hz"),
        ({"points": 199}, "a transform of 199 points cannot hold a window of 200 samples"),
        ({"coefficients": 65}, "64 bands have as many cosine coefficients"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_the_reason(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        mfcc(RATE_HERTZ, **options)


@pytest.mark.parametrize(
    ("padding", "shape", "reason"),
    [
        ("none", (1, 1, 255), "255 samples are less than a transform of 256 points"),
        ("reflect", (1, 1, 128), "128 samples cannot be mirrored by half a transform, 128"),
        ("zero", (1, 2, 800), r"one channel, \(N, 1, T\), found \(1, 2, 800\)"),
    ],
)
def test_waveforms_that_cannot_be_framed_are_refused(padding: Any, shape: tuple[int, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        log_mel(RATE_HERTZ, padding=padding)(torch.zeros(shape))
