"""Laws of every augmentation of images, and what each may do to one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlcat.train.augment import Shown, augmentation, shrink
from dlcat.train.augment.images import OPERATIONS

DTYPES = [torch.uint8, torch.float32]
OF_IMAGES = [name for name in augmentation if augmentation.traits(name).changes == "images"]


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
@pytest.mark.parametrize("name", OF_IMAGES)
def test_shape_type_and_the_images_handed_in_stay(name: str, dtype: torch.dtype) -> None:
    images = _images(dtype=dtype)
    kept = images.clone()
    augmented = augmentation[name](images, _generator())
    assert (augmented.shape, augmented.dtype) == (images.shape, dtype)
    assert torch.equal(images, kept)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_the_generator_decides_everything(name: str) -> None:
    images = _images()
    generator = _generator()
    first, second = augmentation[name](images, generator), augmentation[name](images, generator)
    assert torch.equal(first, augmentation[name](images, _generator()))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_bytes_and_floats_are_augmented_alike(name: str) -> None:
    as_bytes = augmentation[name](_images(), _generator())
    as_floats = augmentation[name](_images(dtype=torch.float32), _generator())
    torch.testing.assert_close(as_bytes.float(), as_floats, atol=0.5001, rtol=0)  # bytes are rounded


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("name", OF_IMAGES)
def test_the_memory_format_stays(name: str, memory_format: torch.memory_format) -> None:
    augmented = augmentation[name](_images().contiguous(memory_format=memory_format), _generator())
    assert augmented.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("name", OF_IMAGES)
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


def _alternating(positions: Tensor, epoch: int, probability: float = 0.5) -> Tensor:
    """Which of as many images `flip` mirrors."""
    images = torch.tensor([[[[0, 1]]]]).expand(len(positions), -1, -1, -1)
    shown = Shown(positions, epoch)
    flipped = augmentation["flip"](images, _generator(epoch), shown, probability=probability, alternate=True)
    return flipped[:, 0, 0, 0] == 1


def test_an_alternating_flip_shows_both_sides_of_every_image_in_any_two_epochs() -> None:
    positions = torch.randperm(500, generator=_generator())
    first, *others = (_alternating(positions, epoch) for epoch in range(1, 7))
    for epoch, mirrored in enumerate(others, start=2):
        assert torch.equal(mirrored, first ^ (epoch % 2 == 0))


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.5, 1.0])
def test_an_alternating_flip_begins_with_a_fixed_coin_of_each_position(probability: float) -> None:
    positions = torch.arange(4000)
    mirrored = _alternating(positions, 1, probability)
    assert mirrored.float().mean().item() == pytest.approx(probability, abs=0.03)
    assert torch.equal(_alternating(positions.flip(0), 1, probability).flip(0), mirrored)  # wherever in a batch
    for distance in (1, 2, 16):  # neighbours know nothing of each other
        alike = (mirrored[distance:] == mirrored[:-distance]).float().mean().item()
        assert alike == pytest.approx(probability**2 + (1 - probability) ** 2, abs=0.04)


def _covered(name: str, images: Tensor, seed: int = 0, **options: object) -> Tensor:
    """Which pixels are zero afterwards, (N, H, W); one box in each image that has any."""
    changed = augmentation[name](images, _generator(seed), fill="zero", **options)
    covered = (changed == 0).all(1)
    assert torch.equal(changed, images * ~covered[:, None])
    assert torch.equal(covered, covered.any(2)[:, :, None] & covered.any(1)[:, None, :])
    return covered


@given(
    low=st.floats(0.02, 0.9),
    more=st.floats(0, 0.5),
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_what_is_erased_is_within_the_area_and_the_ratio(
    low: float, more: float, height: int, width: int, seed: int
) -> None:
    high = min(1.0, low + more)
    covered = _covered(
        "erasing", _images(40, 1, height, width), seed, probability=1.0, area=(low, high), ratio=(0.5, 2.0)
    )
    rows, columns = covered.any(2).sum(1), covered.any(1).sum(1)
    assert (((rows - 0.5) * (columns - 0.5)).clamp(min=0) <= high * height * width + 1e-3).all()
    assert ((rows + 0.5) * (columns + 0.5) >= low * height * width - 1e-3).all()
    fits = (rows < height) & (columns < width)  # else the ratio gives way
    assert ((rows + 0.5) / (columns - 0.5) >= 0.5)[fits].all()
    assert ((rows - 0.5) / (columns + 0.5) <= 2.0)[fits].all()


def test_as_many_images_are_erased_as_asked_and_any_pixel_may_be() -> None:
    covered = _covered("erasing", _images(2000), probability=0.25)
    assert covered.any(2).any(1).float().mean().item() == pytest.approx(0.25, abs=0.04)
    assert covered.sum(0).min() > 0
    assert not _covered("erasing", _images(50), probability=0.0).any()


@pytest.mark.parametrize("size", [1, 3, 4])
def test_cutout_covers_a_square_around_any_pixel(size: int) -> None:
    covered = _covered("cutout", _images(1500), size=size)
    rows, columns = covered.any(2).sum(1), covered.any(1).sum(1)
    assert int(rows.max()) == int(columns.max()) == size
    assert int(rows.min()) == int(columns.min()) == size - size // 2  # around a pixel at the edge
    assert covered.sum(0).min() > 0


@pytest.mark.parametrize("name", ["cutout", "erasing"])
def test_what_is_covered_is_filled_with_the_mean_or_with_the_images_own_pixels(name: str) -> None:
    images = _images()
    mean = augmentation[name](images, _generator(), fill="mean")
    noise = augmentation[name](images, _generator(), fill="noise")
    for image, filled, noisy in zip(images, mean, noise, strict=True):
        covered = filled != image
        expected = image.float().mean((1, 2)).round().to(torch.uint8)[:, None, None].expand_as(image)
        assert torch.equal(filled[covered], expected[covered])
        for channel, own in zip(noisy, image, strict=True):
            assert set(channel.flatten().tolist()) <= set(own.flatten().tolist())


@pytest.mark.parametrize("ranges", [{"area": (0.4, 0.2)}, {"ratio": (2.0, 1.0)}], ids=str)
def test_a_range_that_ends_before_it_begins_is_refused(ranges: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="from low to high"):
        augmentation["erasing"](_images(), _generator(), **ranges)


@pytest.mark.parametrize("peak", [16, 255])
def test_rand_augment_keeps_colours_in_the_range_of_the_image(peak: int) -> None:
    images = (_images(200, 3, 12, 10).int() % peak + 1).to(torch.uint8)
    strong = augmentation["rand_augment"](images, _generator(), magnitude=1.0, mode="reflect")
    assert (strong.amax((1, 2, 3)) <= images.amax((1, 2, 3))).all()
    assert (strong.amin((1, 2, 3)) >= images.amin((1, 2, 3))).all()
    assert strong.unique(dim=0).shape[0] > 190


def test_rand_augment_changes_more_images_by_more_the_stronger_it_is() -> None:
    images = _images(300, 3, 16, 16, torch.float32)
    changes = [
        (augmentation["rand_augment"](images, _generator(), operations=1, magnitude=magnitude) - images).abs()
        for magnitude in (0.05, 0.3, 1.0)
    ]
    assert changes[0].mean() < changes[1].mean() < changes[2].mean()
    left = (changes[2] < 0.01).flatten(1).all(1).float().mean().item()
    assert left == pytest.approx(1 / len(OPERATIONS), abs=0.04)  # identity


def test_rand_augment_agrees_with_pillow_on_a_rotation() -> None:
    from PIL import Image

    from dlcat.train.augment.images import _moved

    smooth = torch.nn.functional.interpolate(
        torch.rand(1, 1, 5, 6, generator=_generator()) * 255, (24, 30), mode="bicubic"
    )
    smooth = smooth.clamp(0, 255).round()

    def strength(operation: str) -> Tensor:
        return torch.tensor([1.0 if operation == "rotate" else 0.0])

    ours = _moved(smooth, strength, "zero")[0, 0, 8:-8, 8:-8]
    turned = Image.fromarray(smooth[0, 0].byte().numpy()).rotate(30, Image.Resampling.BILINEAR)
    theirs = torch.from_numpy(np.array(turned)).float()[8:-8, 8:-8]
    torch.testing.assert_close(ours, theirs, atol=1.5, rtol=0)


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
