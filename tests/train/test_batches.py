"""Batches: what the statistics say, that every example comes, and that a split is a partition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.readers import Examples
from dlcat.train import device as devices
from dlcat.train.batches import Batches, InputStatistics, resident, statistics, steps_per_epoch

CPU = devices.choose("cpu", "fp32", "contiguous", "batch")
PLAIN = InputStatistics([0.0], [1.0], 255.0, 0.0, 1.0)


def _unchanged(images: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    assert torch.equal(images.flatten(), positions)  # of `_numbered`
    return images


def _numbered(count: int) -> Batches:
    """Examples whose one pixel is their own number."""
    inputs = torch.arange(count).view(count, 1, 1, 1)
    return Batches(inputs, torch.arange(count) * 7, CPU, PLAIN)


@given(
    count=st.integers(1, 40),
    channels=st.integers(1, 3),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60)
def test_statistics_are_those_of_numpy(count: int, channels: int, height: int, width: int, seed: int) -> None:
    inputs = np.random.default_rng(seed).integers(0, 256, (count, channels, height, width)).astype(np.uint8)
    found = statistics(inputs)
    exact = inputs.astype(np.float64)
    assert found.mean == pytest.approx(exact.mean(axis=(0, 2, 3)))
    assert found.std == pytest.approx(np.maximum(exact.std(axis=(0, 2, 3)), 1e-6), rel=1e-6, abs=1e-6)
    assert found.peak == inputs.max()


def test_statistics_do_not_depend_on_the_pieces_they_are_taken_in() -> None:
    inputs = np.random.default_rng(0).integers(0, 256, (2500, 2, 3, 3)).astype(np.uint8)
    found = statistics(inputs)
    assert found.mean == pytest.approx(inputs.astype(np.float64).mean(axis=(0, 2, 3)))
    assert found.std == pytest.approx(inputs.astype(np.float64).std(axis=(0, 2, 3)))


@pytest.mark.parametrize("paper", [0, 255])
def test_ink_is_measured_on_dark_and_on_bright_paper(paper: int) -> None:
    inputs = np.full((5, 1, 10, 20), paper, np.uint8)
    inputs[:, :, 2:7, 4:8] = 255 - paper  # half of the height, a fifth of the width
    found = statistics(inputs)
    assert found.ink == pytest.approx(0.5)
    assert found.background == pytest.approx(paper)


def test_images_of_one_colour_have_finite_statistics() -> None:
    for value in (0, 200):
        found = statistics(np.full((4, 1, 5, 5), value, np.uint8))
        assert found.ink == 0
        assert all(np.isfinite([*found.mean, *found.std]))
        assert found.std[0] > 0


def test_training_inputs_have_mean_zero_and_deviation_one() -> None:
    inputs = np.random.default_rng(0).integers(0, 256, (50, 3, 4, 4)).astype(np.uint8)
    batches = resident(Examples(inputs, np.zeros(50, np.int64), ("a",)), None, CPU, statistics(inputs))
    numbers = torch.cat([images for images, _ in batches.in_order(7)])
    assert numbers.dtype == torch.float32
    torch.testing.assert_close(numbers.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(numbers.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


@given(count=st.integers(1, 50), batch_size=st.integers(1, 60))
@settings(max_examples=60)
def test_an_epoch_shows_every_example_at_most_once_and_drops_less_than_a_batch(count: int, batch_size: int) -> None:
    seen = []
    for batch in _numbered(count).shuffled(batch_size, torch.Generator().manual_seed(0), _unchanged):
        images, targets = (torch.cat(parts) for parts in zip(*batch.pieces(7), strict=True))
        assert len(images) == len(batch) == min(batch_size, count)
        assert torch.equal(images.flatten() * 7, targets.float())  # pictures keep their labels
        seen += images.flatten().int().tolist()
    assert len(set(seen)) == len(seen) == steps_per_epoch(count, batch_size) * min(batch_size, count)
    assert set(seen) <= set(range(count))
    assert count - len(seen) < batch_size


@given(count=st.integers(1, 50), size=st.integers(1, 60))
def test_pieces_are_the_batch_in_its_order_and_no_larger_than_asked(count: int, size: int) -> None:
    (batch,) = _numbered(count).shuffled(count, torch.Generator().manual_seed(3), _unchanged)
    (whole,), pieces = list(batch.pieces(count)), list(batch.pieces(size))
    sizes = [len(inputs) for inputs, _ in pieces]
    assert len(sizes) == -(-count // size)
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    assert torch.equal(torch.cat([inputs for inputs, _ in pieces]), whole[0])
    assert torch.equal(torch.cat([targets for _, targets in pieces]), whole[1])


def test_the_order_follows_from_the_generator_and_changes_every_epoch() -> None:
    def epochs(seed: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        batches = _numbered(40)
        return [
            [
                number
                for batch in batches.shuffled(8, generator, _unchanged)
                for _, targets in batch.pieces(len(batch))
                for number in targets.tolist()
            ]
            for _ in range(2)
        ]

    assert epochs(1) == epochs(1)
    assert epochs(1) != epochs(2)
    assert epochs(1)[0] != epochs(1)[1]


@given(count=st.integers(0, 30), batch_size=st.integers(1, 40))
def test_in_order_every_example_comes_once(count: int, batch_size: int) -> None:
    seen = [number for _, targets in _numbered(count).in_order(batch_size) for number in targets.tolist()]
    assert seen == [7 * number for number in range(count)]
