"""The sum as it is written: for every place in the window, the shifted maps times the weights of that place."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import torch

from dlcat.layers.algorithms import algorithm
from dlcat.layers.algorithms.blocks import cut, join, portions
from dlcat.layers.algorithms.computed import Products, computed, empty_maps, exact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from dlcat.layers.algorithms.computed import Convolution
    from dlcat.layers.algorithms.geometry import Geometry, Pair


@algorithm
def direct(convolution: Convolution) -> nn.Module:
    """For every place in the window, the shifted inputs times its weights: k x k matrix products, added up.

    Any window, stride, dilation and groups. Positions lie behind one another in memory, padding included, so that a
    shift of the maps is a later first row of the same matrix, and nothing is copied. bf16 is summed in float32.
    """
    return computed(convolution, PRODUCTS)


def _outputs(inputs: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    factors = _factors(exact(weight), geometry.groups)
    result = empty_maps(inputs, len(weight), geometry.outputs)
    for part in _parts(inputs, geometry):
        blocks = exact(cut(inputs[part], _start(geometry), _blocks(geometry), geometry.stride))
        rows = blocks.flatten(2, 4)  # (stride, stride, positions, C)
        sums = rows.new_zeros((rows.shape[2], len(weight)))
        for factor, (row, column, shift) in zip(factors, _places(geometry), strict=True):
            _add_product(sums[: len(sums) - shift], rows[row, column, shift:], factor)
        join(sums.view(1, 1, *blocks.shape[2:5], -1), (0, 0), result[part])
    return result


def _of_inputs(slopes: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    factors = _factors(exact(weight), geometry.groups).transpose(-1, -2)
    channels = weight.shape[1] * geometry.groups
    result = empty_maps(slopes, channels, geometry.size).zero_()  # between windows no gradient arrives
    for part in _parts(slopes, geometry):
        tops = exact(cut(slopes[part], (0, 0), _blocks(geometry), (1, 1)))
        rows = tops.flatten(0, 4)  # (positions, C')
        sums = rows.new_zeros((*geometry.stride, len(rows), channels))
        for factor, (row, column, shift) in zip(factors, _places(geometry), strict=True):
            _add_product(sums[row, column, shift:], rows[: len(rows) - shift], factor)
        join(torch.unflatten(sums, 2, tops.shape[2:5]), _start(geometry), result[part])
    return result


def _of_weights(inputs: Tensor, slopes: Tensor, geometry: Geometry) -> Tensor:
    groups, size = geometry.groups, (inputs.shape[1], slopes.shape[1])
    places = list(_places(geometry))
    sums = exact(inputs.new_zeros(len(places), groups, *(channels // groups for channels in size)))
    for part in _parts(inputs, geometry):
        rows = exact(cut(inputs[part], _start(geometry), _blocks(geometry), geometry.stride)).flatten(2, 4)
        tops = exact(cut(slopes[part], (0, 0), _blocks(geometry), (1, 1))).flatten(0, 4)
        for total, (row, column, shift) in zip(sums, places, strict=True):
            total += _products(rows[row, column, shift:], tops[: len(tops) - shift], groups)
    return torch.unflatten(sums, 0, geometry.kernel).permute(2, 4, 3, 0, 1).flatten(0, 1).to(inputs.dtype)


PRODUCTS = Products("direct", _outputs, _of_inputs, _of_weights)


def _start(geometry: Geometry) -> Pair:
    return -geometry.padding[0], -geometry.padding[1]


def _blocks(geometry: Geometry) -> Pair:
    """Blocks along each axis: one for every output, and those that the last window reaches into."""
    high, wide = (
        outputs + (reach - 1) // stride
        for outputs, reach, stride in zip(geometry.outputs, geometry.reach, geometry.stride, strict=True)
    )
    return high, wide


def _places(geometry: Geometry) -> Iterator[tuple[int, int, int]]:
    """Of every place in the window: row and column within a block, and how many blocks further on that is."""
    along = _blocks(geometry)[1]
    for row, column in product(*(range(kernel) for kernel in geometry.kernel)):
        down, high = divmod(row * geometry.dilation[0], geometry.stride[0])
        right, wide = divmod(column * geometry.dilation[1], geometry.stride[1])
        yield high, wide, down * along + right


def _parts(maps: Tensor, geometry: Geometry) -> Iterator[slice]:
    high, wide = _blocks(geometry)
    return portions(len(maps), high * wide * maps.shape[1], maps.device)


def _factors(weight: Tensor, groups: int) -> Tensor:
    """(C', C / groups, k, k) to (k k, groups, C / groups, C' / groups)."""
    return torch.unflatten(weight, 0, (groups, -1)).permute(3, 4, 0, 2, 1).flatten(0, 1).contiguous()


def _add_product(sums: Tensor, rows: Tensor, factor: Tensor) -> None:
    """Add rows (positions, C) times a factor (groups, C / groups, C' / groups) to sums (positions, C')."""
    groups, *channels = factor.shape
    if groups == 1:
        sums.addmm_(rows, factor[0])
    elif channels == [1, 1]:
        sums.addcmul_(rows, factor.flatten())
    else:
        product = _in_groups(rows, groups) @ factor  # (groups, positions, C' / groups)
        _in_groups(sums, groups).add_(product)


def _products(rows: Tensor, slopes: Tensor, groups: int) -> Tensor:
    """(groups, C / groups, C' / groups), summed over positions."""
    if groups == rows.shape[1] == slopes.shape[1]:
        return (rows * slopes).sum(0).view(-1, 1, 1)
    return _in_groups(rows, groups).transpose(1, 2) @ _in_groups(slopes, groups)


def _in_groups(rows: Tensor, groups: int) -> Tensor:
    return torch.unflatten(rows, 1, (groups, -1)).transpose(0, 1)  # (groups, positions, C / groups)
