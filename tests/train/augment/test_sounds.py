"""Laws of every augmentation of sound, and what each may do to a waveform or a spectrogram."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlcat.train.augment import augmentation
from dlcat.train.mix import mix

OF_WAVEFORMS = [name for name in augmentation if augmentation.traits(name).changes == "waveforms"]
OF_SPECTROGRAMS = [name for name in augmentation if augmentation.traits(name).changes == "spectrograms"]
OF_SOUND = [*OF_WAVEFORMS, *OF_SPECTROGRAMS]


def _waveforms(count: int = 16, samples: int = 200, dtype: torch.dtype = torch.int16, peak: int = 20_000) -> Tensor:
    """The same sounds as 16 bits, or as floats from -1 to 1."""
    drawn = torch.randint(-peak, peak + 1, (count, 1, samples), generator=torch.Generator().manual_seed(0))
    return drawn.to(torch.int16) if dtype == torch.int16 else drawn.to(dtype) / 32_768


def _spectrograms(count: int = 16, bands: int = 20, frames: int = 30) -> Tensor:
    return torch.randn(count, 1, bands, frames, generator=torch.Generator().manual_seed(0))


def _inputs(name: str, count: int = 16) -> Tensor:
    return _waveforms(count) if name in OF_WAVEFORMS else _spectrograms(count)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_augmentation_is_of_one_kind() -> None:
    assert {augmentation.traits(name).changes for name in augmentation} == {"images", "waveforms", "spectrograms"}
    assert {*OF_SOUND} == {"time_shift", "gain", "noise", "polarity", "spec_augment"}


@pytest.mark.parametrize("name", OF_SOUND)
def test_shape_type_and_the_sounds_handed_in_stay(name: str) -> None:
    for inputs in {_inputs(name), _inputs(name).float() / 32_768, _inputs(name).double() / 32_768}:
        kept = inputs.clone()
        augmented = augmentation[name](inputs, _generator())
        assert (augmented.shape, augmented.dtype) == (inputs.shape, inputs.dtype)
        assert torch.equal(inputs, kept)


@pytest.mark.parametrize("name", OF_SOUND)
def test_the_generator_decides_everything(name: str) -> None:
    inputs, generator = _inputs(name), _generator()
    first, second = augmentation[name](inputs, generator), augmentation[name](inputs, generator)
    assert torch.equal(first, augmentation[name](inputs, _generator()))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", OF_SOUND)
def test_sounds_are_changed_one_by_one(name: str) -> None:
    same = _inputs(name, 1).expand(64, *(-1,) * (_inputs(name).dim() - 1))
    assert len(augmentation[name](same, _generator()).unique(dim=0)) > 1


@pytest.mark.parametrize("name", OF_WAVEFORMS)
def test_integers_and_floats_are_augmented_alike(name: str) -> None:
    as_integers = augmentation[name](_waveforms(), _generator())
    as_floats = augmentation[name](_waveforms(dtype=torch.float32), _generator())
    torch.testing.assert_close(as_integers / 32_768, as_floats, atol=1.6 / 32_768, rtol=0)  # rounding, and 32,767


@pytest.mark.parametrize("name", OF_SOUND)
def test_silence_stays_silence(name: str) -> None:
    assert not augmentation[name](torch.zeros_like(_inputs(name)), _generator()).any()


@pytest.mark.parametrize("name", OF_WAVEFORMS)
def test_what_sixteen_bits_cannot_hold_is_cut_off_and_never_turns_round(name: str) -> None:
    loud = torch.tensor([-32_768, 32_767], dtype=torch.int16).repeat(64, 1, 25)
    options = {"signal_to_noise_decibels": (0.0, 20.0)} if name == "noise" else {}
    as_integers = augmentation[name](loud, _generator(), **options)
    as_floats = augmentation[name](loud / 32_768, _generator(), **options) * 32_768
    torch.testing.assert_close(as_integers.float(), as_floats.clamp(-32_767, 32_767), atol=1.1, rtol=0)


@given(share=st.floats(0.01, 1), samples=st.integers(1, 40), seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_shifted_waveform_is_a_window_of_itself_between_zeros(share: float, samples: int, seed: int) -> None:
    waveforms = _waveforms(5, samples)
    most = round(share * samples)
    shifted = augmentation["time_shift"](waveforms, _generator(seed), share=share)
    for wave, moved in zip(waveforms.numpy(), shifted.numpy(), strict=True):
        wide = np.pad(wave[0], most)
        assert any(np.array_equal(moved[0], wide[start : start + samples]) for start in range(2 * most + 1))


def test_every_shift_is_drawn() -> None:
    same = _waveforms(1, 20).expand(300, -1, -1)
    assert len(augmentation["time_shift"](same, _generator(), share=0.1).unique(dim=0)) == 5


@pytest.mark.parametrize(("low", "high"), [(-6.0, 6.0), (-20.0, -3.0), (2.0, 2.0)])
def test_gain_is_drawn_evenly_between_its_decibels(low: float, high: float) -> None:
    waveforms = _waveforms(2000, 20, torch.float32, peak=8000)
    louder = augmentation["gain"](waveforms, _generator(), decibels=(low, high))
    factors = (louder.abs().amax((1, 2)) / waveforms.abs().amax((1, 2))).double()
    torch.testing.assert_close(louder, (factors[:, None, None] * waveforms).float(), atol=1e-6, rtol=1e-5)
    decibels = 20 * factors.log10()
    assert (decibels >= low - 1e-4).all()
    assert (decibels <= high + 1e-4).all()
    assert decibels.mean().item() == pytest.approx((low + high) / 2, abs=0.4)
    assert decibels.std().item() == pytest.approx((high - low) / 12**0.5, abs=0.2)


def test_gain_stops_at_full_scale_and_leaves_the_shape_of_the_sound() -> None:
    for waveforms, full in ((_waveforms(dtype=torch.float32), 1.0), (_waveforms(), 32_767.0)):
        loudest = augmentation["gain"](waveforms, _generator(), decibels=(30.0, 30.0)).float()
        torch.testing.assert_close(loudest.abs().amax((1, 2)), torch.full((16,), full), atol=0, rtol=1e-6)
        expected = waveforms.float() * full / waveforms.float().abs().amax((1, 2), keepdim=True)
        torch.testing.assert_close(loudest, expected, atol=0.51 if full > 1 else 1e-6, rtol=0)


@pytest.mark.parametrize("ratio", [0.0, 10.0, 30.0])
def test_noise_is_white_and_as_much_weaker_than_the_sound_as_asked(ratio: float) -> None:
    time = torch.arange(8000) / 8000
    tones = (torch.linspace(0.01, 0.5, 8)[:, None] * torch.sin(2 * torch.pi * 440 * time))[:, None]
    added = augmentation["noise"](tones, _generator(), signal_to_noise_decibels=(ratio, ratio)) - tones
    found = 10 * (tones.square().mean((1, 2)) / added.square().mean((1, 2))).log10()
    torch.testing.assert_close(found, torch.full((8,), ratio), atol=0.3, rtol=0)
    powers = torch.fft.rfft(added[:, 0]).abs().square()[:, :4000].view(8, 8, 500).mean(2)  # in eight bands
    torch.testing.assert_close(powers / powers.mean(1, keepdim=True), torch.ones(8, 8), atol=0.25, rtol=0)


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_as_many_waveforms_are_turned_upside_down_as_asked(probability: float) -> None:
    waveforms = _waveforms(1000, 20)
    turned = augmentation["polarity"](waveforms, _generator(), probability=probability)
    upside_down = (turned == -waveforms).flatten(1).all(1)
    assert (upside_down ^ (turned == waveforms).flatten(1).all(1)).all()
    assert upside_down.float().mean().item() == pytest.approx(probability, abs=0.04)


def _runs(spectrograms: Tensor, axis: int, **options: Any) -> tuple[Tensor, Tensor]:
    """Which positions of the axis are covered whole, (N, positions), and what came out."""
    changed = augmentation["spec_augment"](spectrograms, _generator(), **options)
    covered = (changed == spectrograms.mean((2, 3), keepdim=True))[:, 0].all(3 - axis)
    return covered, changed


@pytest.mark.parametrize(("axis", "word"), [(1, "band"), (2, "frame")])
def test_a_mask_is_a_run_of_up_to_that_share_anywhere_filled_with_the_mean(axis: int, word: str) -> None:
    other = "frame" if word == "band" else "band"
    spectrograms = _spectrograms(3000, 20, 10) if axis == 1 else _spectrograms(3000, 10, 20)
    covered, changed = _runs(spectrograms, axis, **{f"{word}_masks": 1, f"{word}_share": 0.25, f"{other}_masks": 0})
    where = covered[:, None, :, None] if axis == 1 else covered[:, None, None, :]
    assert torch.equal(changed, torch.where(where, spectrograms.mean((2, 3), keepdim=True), spectrograms))
    widths = covered.sum(1)
    assert torch.bincount(widths).div(3000).tolist() == pytest.approx([1 / 6] * 6, abs=0.03)  # 0 to 5 of 20
    begins = (covered[:, 1:] & ~covered[:, :-1]).sum(1) + covered[:, 0]
    assert (begins == (widths > 0)).all()  # one run
    assert (covered.sum(0) > 50).all()
    for width in (1, 5):  # evenly among the places where it fits
        first = covered[widths == width].int().argmax(1)
        shares = torch.bincount(first, minlength=20 - width + 1) / len(first)
        assert len(shares) == 20 - width + 1
        assert shares.max() < 2.2 / len(shares)


def test_several_masks_cover_more_and_none_nothing() -> None:
    spectrograms = _spectrograms(500)
    nothing, same = _runs(spectrograms, 1, band_masks=0, frame_masks=0)
    assert not nothing.any()
    assert torch.equal(same, spectrograms)
    one, three = (_runs(spectrograms, 2, band_masks=0, frame_masks=masks)[0].float().mean() for masks in (1, 3))
    assert 2 * one < three < 3 * one


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OF_SOUND)
def test_images_are_refused(name: str, channels: int) -> None:
    with pytest.raises(ValueError, match=r"expected (waveforms|spectrograms), \(N, 1, .*found \(2, \d, 8, 8\)"):
        augmentation[name](torch.zeros(2, channels, 8, 8, dtype=torch.uint8), _generator())


@pytest.mark.parametrize(("name", "option"), [("gain", "decibels"), ("noise", "signal_to_noise_decibels")])
def test_a_range_that_ends_before_it_begins_is_refused(name: str, option: str) -> None:
    with pytest.raises(ValueError, match=r"decibels from low to high, found \[3\.0, 2\.0\]"):
        augmentation[name](_waveforms(), _generator(), **{option: (3.0, 2.0)})


def test_mixup_fades_waveforms_as_it_does_images() -> None:
    waveforms = _waveforms(dtype=torch.float32)
    mixed = mix["mixup"](waveforms, waveforms.roll(-1, 0), np.random.default_rng(0), alpha=1.0)
    assert 0 < mixed.share < 1
    torch.testing.assert_close(mixed.inputs, mixed.share * waveforms + (1 - mixed.share) * waveforms.roll(-1, 0))
