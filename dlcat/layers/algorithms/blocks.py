"""Maps cut into blocks of positions: channels innermost, and the positions at one place within their blocks together.

Windows that start at every block then read contiguous memory, one shifted slice for every offset, and additions and
products run over long rows. Padding is part of the cutting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from dlcat.layers.algorithms.geometry import Pair

PORTION = 2**20
"""Numbers that are worked on at a time on a processor: what stands between two steps stays in its cache."""


def cut(maps: Tensor, start: Pair, blocks: Pair, step: Pair) -> Tensor:
    """Blocks of `step` positions, the first of which begins at `start`; zeros where there is no position.

    (N, C, H, W) to (step, step, N, blocks, blocks, C): `[a, b, n, i, j]` is position (start + i step + a,
    start + j step + b) of example n.
    """
    examples, channels, height, width = maps.shape
    result = maps.new_zeros((*step, examples, *blocks, channels))
    source = maps.movedim(1, -1)  # (N, H, W, C)
    for row, rows_into, rows in _places(start[0], step[0], blocks[0], height):
        for column, columns_into, columns in _places(start[1], step[1], blocks[1], width):
            result[row, column, :, rows_into, columns_into] = source[:, rows, columns]
    return result


def join(blocks: Tensor, start: Pair, maps: Tensor) -> None:
    """Write blocks, as `cut` gives them, to their positions in maps (N, C, H, W); what lies outside is left out."""
    *step, _, high, wide, _ = blocks.shape
    target = maps.movedim(1, -1)  # (N, H, W, C)
    for row, rows_from, rows in _places(start[0], step[0], high, maps.shape[2]):
        for column, columns_from, columns in _places(start[1], step[1], wide, maps.shape[3]):
            target[:, rows, columns] = blocks[row, column, :, rows_from, columns_from]


def portions(examples: int, each: int, device: torch.device) -> Iterator[slice]:
    """Examples in slices of about `PORTION` numbers, where each has so many; on a GPU in one."""
    count = max(1, PORTION // max(1, each)) if device.type == "cpu" else max(1, examples)
    for first in range(0, examples, count):
        yield slice(first, min(first + count, examples))


def _places(start: int, step: int, blocks: int, size: int) -> Iterator[tuple[int, slice, slice]]:
    """For every place within a block: the blocks for which it lies within the maps, and the positions it has there."""
    for place in range(step):
        origin = start + place
        first = max(0, -(origin // step))
        last = min(blocks, -((origin - size) // step))
        if first < last:
            positions = slice(origin + first * step, origin + (last - 1) * step + 1, step)
            yield place, slice(first, last), positions
