"""The window of every output copied into a row of one matrix, and one matrix product (Chellapilla et al. 2006)."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from dlcat.layers.algorithms import algorithm
from dlcat.layers.algorithms.blocks import portions
from dlcat.layers.algorithms.computed import Products, computed, empty_maps, exact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from dlcat.layers.algorithms.computed import Convolution
    from dlcat.layers.algorithms.geometry import Geometry


@algorithm
def im2col(convolution: Convolution) -> nn.Module:
    """The window of every output copied into a row, and one product of matrices (Chellapilla et al. 2006).

    Any window, stride, dilation and groups. The copies are k x k times as large as the inputs at stride 1; on a
    processor some examples at a time are copied. bf16 is copied and summed in float32.
    """
    return computed(convolution, PRODUCTS)


def _outputs(inputs: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    matrix = _matrix(exact(weight), geometry.groups)
    result = empty_maps(inputs, len(weight), geometry.outputs)
    for part in _parts(inputs, geometry):
        rows = _windows(exact(inputs[part]), geometry) @ matrix  # (groups, positions, C' / groups)
        positions = rows.transpose(0, 1).reshape(-1, *geometry.outputs, len(weight))  # (N, H', W', C')
        result[part] = positions.movedim(-1, 1)
    return result


def _of_inputs(slopes: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    matrix = _matrix(exact(weight), geometry.groups).transpose(1, 2)
    result = empty_maps(slopes, weight.shape[1] * geometry.groups, geometry.size)
    for part in _parts(result, geometry):
        windows = _in_rows(exact(slopes[part]), geometry.groups) @ matrix  # (groups, positions, k k C / groups)
        result[part] = _added_up(windows, len(slopes[part]), geometry)
    return result


def _of_weights(inputs: Tensor, slopes: Tensor, geometry: Geometry) -> Tensor:
    groups, size = geometry.groups, inputs.shape[1] // geometry.groups
    sums = exact(inputs.new_zeros(groups, geometry.kernel[0] * geometry.kernel[1] * size, slopes.shape[1] // groups))
    for part in _parts(inputs, geometry):
        sums += _windows(exact(inputs[part]), geometry).transpose(1, 2) @ _in_rows(exact(slopes[part]), groups)
    windows = torch.unflatten(sums, 1, (*geometry.kernel, size))  # (groups, k, k, C / groups, C' / groups)
    return windows.permute(0, 4, 3, 1, 2).flatten(0, 1).to(inputs.dtype)


PRODUCTS = Products("im2col", _outputs, _of_inputs, _of_weights)


def _parts(inputs: Tensor, geometry: Geometry) -> Iterator[slice]:
    high, wide = (outputs * kernel for outputs, kernel in zip(geometry.outputs, geometry.kernel, strict=True))
    return portions(len(inputs), high * wide * inputs.shape[1], inputs.device)


def _matrix(weight: Tensor, groups: int) -> Tensor:
    """(C', C / groups, k, k) to (groups, k k C / groups, C' / groups)."""
    return torch.unflatten(weight, 0, (groups, -1)).permute(0, 3, 4, 2, 1).flatten(1, 3)


def _windows(maps: Tensor, geometry: Geometry) -> Tensor:
    """(N, C, H, W) to (groups, N H' W', k k C / groups): a view of the padded maps, copied once."""
    high, wide = geometry.padding
    view = functional.pad(maps.movedim(1, -1), (0, 0, wide, wide, high, high))  # (N, H, W, C)
    for axis in (1, 2):
        view = view.unfold(axis, geometry.reach[axis - 1], geometry.stride[axis - 1])
        view = view[..., :: geometry.dilation[axis - 1]]
    grouped = torch.unflatten(view, 3, (geometry.groups, -1))  # (N, H', W', groups, C / groups, k, k)
    return grouped.permute(3, 0, 1, 2, 5, 6, 4).flatten(1, 3).flatten(2, 4)


def _in_rows(slopes: Tensor, groups: int) -> Tensor:
    """(N, C', H', W') to (groups, N H' W', C' / groups)."""
    return torch.unflatten(slopes, 1, (groups, -1)).permute(1, 0, 3, 4, 2).flatten(1, 3)


def _added_up(windows: Tensor, examples: int, geometry: Geometry) -> Tensor:
    """Every number of the windows (groups, positions, k k C / groups) added to the position it was copied from."""
    high, wide = (size + 2 * padding for size, padding in zip(geometry.size, geometry.padding, strict=True))
    places = torch.unflatten(torch.unflatten(windows, 1, (examples, *geometry.outputs)), -1, (*geometry.kernel, -1))
    places = places.permute(4, 5, 1, 2, 3, 0, 6).flatten(-2)  # (k, k, N, H', W', C)
    padded = windows.new_zeros((examples, high, wide, places.shape[-1]))
    for row, column in product(*(range(kernel) for kernel in geometry.kernel)):
        rows, columns = (
            slice(place * step, place * step + (outputs - 1) * stride + 1, stride)
            for place, step, outputs, stride in zip(
                (row, column), geometry.dilation, geometry.outputs, geometry.stride, strict=True
            )
        )
        padded[:, rows, columns] += places[row, column]
    cut_high, cut_wide = geometry.padding
    return padded[:, cut_high : high - cut_high, cut_wide : wide - cut_wide].movedim(-1, 1)
