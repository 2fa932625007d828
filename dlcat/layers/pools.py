"""Averages over positions, for one dimension (N, C, T) and two (N, C, H, W)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable


def average_pool(dimensions: int, kernel: int = 2, stride: int = 2) -> nn.Module:
    """The mean over what of a window lies in the map; ceil(size / stride) positions are left.

    The kernel is odd, or even at stride 2.
    """
    pool: Callable[..., nn.Module] = {1: nn.AvgPool1d, 2: nn.AvgPool2d}[dimensions]
    return pool(kernel, stride, padding=(kernel - 1) // 2, ceil_mode=kernel % 2 == 0, count_include_pad=False)


def average_grid(positions: tuple[int, ...]) -> nn.Module:
    """The mean over each cell of a grid: (N, C, ...) of any size to (N, C, *positions)."""
    if len(positions) == 1:
        return nn.AdaptiveAvgPool1d(positions[0])
    return nn.AdaptiveAvgPool2d(positions)
