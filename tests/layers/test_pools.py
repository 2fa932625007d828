"""Means over positions, in one dimension and two."""

from __future__ import annotations

import pytest
import torch

from dlcat.layers.pools import average_grid, average_pool


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_a_pool_takes_the_mean_of_what_of_each_window_lies_in_the_map(size: int, kernel: int, dimensions: int) -> None:
    maps = torch.randn(2, 3, *(size,) * dimensions, dtype=torch.float64)
    pooled = average_pool(dimensions, kernel)(maps)
    left = -(-size // 2)
    assert pooled.shape == (2, 3, *(left,) * dimensions)
    for place in range(left):
        window = slice(max(0, 2 * place - (kernel - 1) // 2), 2 * place - (kernel - 1) // 2 + kernel)
        expected = maps[(slice(None), slice(None)) + (window,) * dimensions].flatten(2).mean(2)
        torch.testing.assert_close(pooled[(slice(None), slice(None)) + (place,) * dimensions], expected)


def test_a_grid_takes_the_mean_of_each_cell() -> None:
    maps = torch.randn(2, 3, 6, 4)
    cells = average_grid((2, 2))(maps)
    torch.testing.assert_close(cells[:, :, 1, 0], maps[:, :, 3:, :2].mean((2, 3)))
    torch.testing.assert_close(average_grid((3,))(maps[..., 0])[..., 2], maps[:, :, 4:, 0].mean(2))


@pytest.mark.parametrize("size", [(3, 3), (7, 9), (1, 5)])
def test_a_grid_of_as_many_cells_changes_nothing(size: tuple[int, int]) -> None:
    maps = torch.randn(2, 3, *size)
    torch.testing.assert_close(average_grid(size)(maps), maps)
