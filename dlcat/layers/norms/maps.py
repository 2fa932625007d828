"""How the maps of a batch lie in memory: seen with one axis for all positions, and visited in portions that a cache holds."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

PORTION = 2**18
"""Numbers that are worked on at a time on a processor: 1 MiB of float32, which stays in its cache from step to step.

A norm is a few operations per number, so it takes as long as its numbers take to come from memory and to go back. In
portions they come once for several steps, and what stands between two steps never leaves the cache.
"""


def have_channels_last(tensor: Tensor) -> bool:
    """Whether (N, C, ...) lies in memory position by position: the channels of one are neighbours, its map is spread."""
    return tensor.dim() > 2 and not tensor.is_contiguous() and tensor.movedim(1, -1).is_contiguous()


def in_order(tensor: Tensor) -> Tensor:
    """The tensor itself where it lies map by map, or position by position; else a copy that lies map by map."""
    return tensor if have_channels_last(tensor) else tensor.contiguous()


def in_order_of(example: Tensor, tensor: Tensor) -> Tensor:
    """The tensor itself where it lies in memory as the example does; else a copy that does."""
    if tensor.stride() == example.stride():
        return tensor
    return torch.empty_like(example, dtype=tensor.dtype).copy_(tensor)


def by_map(tensor: Tensor) -> tuple[Tensor, int]:
    """A view of a tensor `in_order` with one axis for all positions, and which axis that is.

    (N, C, ...) to (N, C, P) and 2, or where channels come last in memory to (N, P, C) and 1.
    """
    examples, channels, *size = tensor.shape
    if have_channels_last(tensor):
        return tensor.movedim(1, -1).view(examples, prod(size), channels), 1
    return tensor.view(examples, channels, prod(size)), 2


def portions(maps: Tensor) -> Iterator[slice]:
    """The examples of a view `by_map` in slices of about `PORTION` numbers; on a GPU, which has no use for it, in one."""
    _, rows, columns = maps.shape
    count = max(1, PORTION // max(1, rows * columns)) if maps.is_cpu else max(1, len(maps))
    for start in range(0, len(maps), count):
        yield slice(start, start + count)


def exact(dtype: torch.dtype) -> torch.dtype:
    """The type that sums are taken in: float32, or float64 where the numbers are float64."""
    return torch.promote_types(dtype, torch.float32)
