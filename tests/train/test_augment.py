"""Laws of every augmentation, and what each may do to an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlcat.train.augment import augmentation, shrink

DTYPES = [torch.uint8, torch.float32]


def _images(
    count: int = 16, channels: int = 3, height: int = 8, width: int = 6, dtype: torch.dtype = torch.uint8
) -> Tensor:
    numbers = torch.randint(1, 256, (count, channels, height, width), generator=torch.Generator().manual_seed(0))
    return numbers.to(dtype)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _windows(image: Tensor, padding: int, mode: str) -> list[Tensor]:
    """Every window of the image's size in the padded image, by NumPy."""
    wide = np.pad(image, ((0, 0), (padding, padding), (padding, padding)), mode=mode)
    _, height, width = image.shape
    shifts = range(2 * padding + 1)
    return [torch.from_numpy(wide[:, top : top + height, left : left + width]) for top in shifts for left in shifts]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", list(augmentation))
def test_shape_type_and_the_images_handed_in_stay(name: str, dtype: torch.dtype) -> None:
    images = _images(dtype=dtype)
    kept = images.clone()
    augmented = augmentation[name](images, _generator())
    assert (augmented.shape, augmented.dtype) == (images.shape, dtype)
    assert torch.equal(images, kept)


@pytest.mark.parametrize("name", list(augmentation))
def test_the_generator_decides_everything(name: str) -> None:
    images = _images()
    generator = _generator()
    first, second = augmentation[name](images, generator), augmentation[name](images, generator)
    assert torch.equal(first, augmentation[name](images, _generator()))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", list(augmentation))
def test_bytes_and_floats_are_augmented_alike(name: str) -> None:
    as_bytes = augmentation[name](_images(), _generator())
    as_floats = augmentation[name](_images(dtype=torch.float32), _generator())
    assert torch.equal(as_bytes.float(), as_floats)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("name", list(augmentation))
def test_the_memory_format_stays(name: str, memory_format: torch.memory_format) -> None:
    augmented = augmentation[name](_images().contiguous(memory_format=memory_format), _generator())
    assert augmented.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("name", list(augmentation))
def test_images_are_changed_one_by_one(name: str) -> None:
    same = _images(count=1).expand(64, -1, -1, -1)
    assert len(augmentation[name](same, _generator()).unique(dim=0)) > 1


def test_flipping_twice_with_the_same_draws_changes_nothing() -> None:
    once = augmentation["flip"](_images(), _generator())
    assert torch.equal(augmentation["flip"](once, _generator()), _images())


@pytest.mark.parametrize(("probability", "mirrored"), [(0.0, False), (1.0, True)])
def test_the_ends_of_the_probability_are_never_and_always(probability: float, mirrored: bool) -> None:
    flipped = augmentation["flip"](_images(), _generator(), probability=probability)
    assert torch.equal(flipped, _images().flip(3) if mirrored else _images())


def test_each_image_is_mirrored_or_left_about_as_often_as_asked() -> None:
    images = _images(count=400)
    flipped = augmentation["flip"](images, _generator(), probability=0.25)
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    left = (flipped == images).flatten(1).all(1)
    assert (mirrored ^ left).all()
    assert 70 < mirrored.sum().item() < 130


@given(
    padding=st.integers(0, 3),
    height=st.integers(4, 7),
    width=st.integers(4, 7),
    seed=st.integers(0, 2**32),
    mode=st.sampled_from(["zero", "reflect"]),
)
@settings(max_examples=60, deadline=None)
def test_a_crop_is_a_window_of_the_padded_image(padding: int, height: int, width: int, seed: int, mode: str) -> None:
    images = _images(4, 2, height, width)
    cropped = augmentation["crop"](images, _generator(seed), padding=padding, mode=mode)
    for image, crop in zip(images, cropped, strict=True):
        windows = _windows(image, padding, {"zero": "constant", "reflect": "reflect"}[mode])
        assert any(torch.equal(crop, window) for window in windows)


def test_every_shift_is_drawn() -> None:
    image = _images(count=1)
    crops = augmentation["crop"](image.expand(600, -1, -1, -1), _generator(), padding=2).unique(dim=0)
    assert len(crops) == 25


def test_a_reflection_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="padding of 6 from images of 8 x 6"):
        augmentation["crop"](_images(), _generator(), padding=6, mode="reflect")


@given(height=st.integers(2, 40), width=st.integers(2, 40), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_shrunk_image_has_that_shorter_side_and_the_same_brightness(
    height: int, width: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, min(height, width)))
    shrunk = shrink(torch.full((2, 3, height, width), 7.0), size)
    assert min(shrunk.shape[2:]) == size
    assert shrunk.shape[3] / shrunk.shape[2] == pytest.approx(width / height, rel=0.5 / size)
    assert torch.allclose(shrunk, torch.tensor(7.0))
