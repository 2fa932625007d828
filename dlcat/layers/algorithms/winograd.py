"""Minimal filtering: tiles of outputs from fewer products than their windows have.

Along one axis F(m, 3) gives m outputs of a window of 3 from m + 2 products, where the plain sum takes 3 m. In matrices
(Lavin & Gray 2015, arXiv:1509.09308), with * element by element:

    y = A' (G w * B' x)

and with two axes the same along both, with the Kronecker products of the matrices: tiles of 4 x 4 take 36 products in the
place of 144. The products of one point, summed over channels, are a product of matrices. So are the transforms, small
matrices times all tiles at once: additions written out are fewer, and took as long, for they wait for memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional

from dlcat.layers.algorithms import algorithm
from dlcat.layers.algorithms.blocks import join
from dlcat.layers.algorithms.computed import Products, computed, empty_maps, exact, has_channels_last
from dlcat.layers.algorithms.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from dlcat.layers.algorithms.computed import Convolution
    from dlcat.layers.algorithms.geometry import Pair

Matrix = tuple[tuple[float, ...], ...]
PORTION = 2**21
"""Transformed numbers that are worked on at a time on a processor: 8 MiB, for its last cache."""


@dataclass(frozen=True, slots=True)
class Filter:
    """F(tile, kernel) along one axis, from the points 0, 1, -1, (2, -2,) and infinity, in this order."""

    tile: int
    """Outputs at a time."""
    of_inputs: Matrix
    """B': (points, points)."""
    of_weights: Matrix
    """G: (points, kernel)."""
    of_slopes: Matrix
    """A: (points, tile). Its transpose makes the outputs."""

    @property
    def points(self) -> int:
        """Products for a tile: tile + kernel - 1."""
        return len(self.of_inputs)


PLAIN = Filter(1, ((1,),), ((1,),), ((1,),))
"""An axis along which the window has one position."""

FILTERS = {
    2: Filter(
        tile=2,
        of_inputs=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        of_weights=((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
        of_slopes=((1, 0), (1, 1), (1, -1), (0, -1)),
    ),
    4: Filter(
        tile=4,
        of_inputs=(
            (4, 0, -5, 0, 1, 0),
            (0, -4, -4, 1, 1, 0),
            (0, 4, -4, -1, 1, 0),
            (0, -2, -1, 2, 1, 0),
            (0, 2, -1, -2, 1, 0),
            (0, 4, 0, -5, 0, 1),
        ),
        of_weights=(
            (1 / 4, 0, 0),
            (-1 / 6, -1 / 6, -1 / 6),
            (-1 / 6, 1 / 6, -1 / 6),
            (1 / 24, 1 / 12, 1 / 6),
            (1 / 24, -1 / 12, 1 / 6),
            (0, 0, 1),
        ),
        of_slopes=((1, 0, 0, 0), (1, 1, 1, 1), (1, -1, 1, -1), (1, 2, 4, 8), (1, -2, 4, -8), (0, 0, 0, 1)),
    ),
}
"""F(2, 3) and F(4, 3), by their tile."""


@algorithm
def winograd(
    convolution: Convolution, *, tile: Literal[2, 4] = 4, otherwise: Literal["refuse", "native"] = "refuse"
) -> nn.Module:
    """Tiles of outputs from fewer products, for windows of 3 (Winograd 1980; Lavin & Gray 2015, arXiv:1509.09308).

    It multiplies 1/4 (`tile` 4) or 4/9 (2) as often as the plain sum over 3 x 3, and 1/2 or 2/3 as often in one
    dimension. In float32 the results of tiles of 4 are some twenty times less exact than the plain sum's; bf16 is transformed
    and multiplied in float32. `otherwise: native` leaves what winograd cannot compute to torch.

    Raises:
        ValueError: the window is not 3 wide, moves by more than one position, or has holes.
    """
    reason = _reason(convolution)
    if reason and otherwise == "native":
        return convolution
    if reason:
        raise ValueError(reason)
    return computed(convolution, products(tile))


def products(tile: int) -> Products:
    """The three products with tiles of 2 or 4 outputs."""
    return Products(
        f"winograd {tile}",
        partial(_outputs, tile=tile),
        partial(_of_inputs, tile=tile),
        partial(_of_weights, tile=tile),
    )


def _reason(convolution: Convolution) -> str:
    """Why winograd cannot compute it; nothing where it can."""
    kernel = convolution.kernel_size
    if not set(kernel) <= {1, 3} or 3 not in kernel:
        return f"the window is {' x '.join(map(str, kernel))}, expected 3 positions along each axis, or 3 and 1"
    if set(convolution.stride) != {1}:
        return f"the stride is {max(convolution.stride)}, expected 1"
    if any(step > 1 for step, size in zip(convolution.dilation, kernel, strict=True) if size > 1):
        return f"the dilation is {max(convolution.dilation)}, expected 1"
    return ""


def _outputs(inputs: Tensor, weight: Tensor, geometry: Geometry, tile: int) -> Tensor:
    filters = _filters(geometry, tile)
    size = (filters[0].points, filters[1].points)
    to_points = _of_both_axes(filters, "of_inputs", weight)
    from_points = _of_both_axes(filters, "of_slopes", weight).t()
    factors = _transformed_window(exact(weight), filters, geometry.groups)
    result = empty_maps(inputs, len(weight), geometry.outputs)
    by_map = not has_channels_last(result)  # products come in the order in which they are written away
    for part in _parts(result, filters, max(result.shape[1], inputs.shape[1])):
        maps = _padded(inputs[part.examples], geometry.padding, part.tiles, size, filters)
        for rows in part.rows:
            tiles = _windows(maps, rows, size, filters)
            blocks = _product(from_points, _multiplied(_product(to_points, tiles), factors, by_map))
            blocks = blocks.movedim(1, -1) if by_map else blocks  # (tile tile, N, rows, columns, C')
            blocks = torch.unflatten(blocks, 0, (filters[0].tile, filters[1].tile))
            join(blocks, (rows.start * filters[0].tile, 0), result[part.examples])
    return result


def _of_inputs(slopes: Tensor, weight: Tensor, geometry: Geometry, tile: int) -> Tensor:
    """The convolution of the slopes with the windows turned round, from output channels to input channels."""
    grouped = torch.unflatten(weight.flip(2, 3), 0, (geometry.groups, -1))  # (groups, C' / groups, C / groups, k, k)
    turned = grouped.transpose(1, 2).flatten(0, 1)  # (C, C' / groups, k, k)
    high, wide = (kernel - 1 - padding for kernel, padding in zip(geometry.kernel, geometry.padding, strict=True))
    mirrored = Geometry(geometry.outputs, geometry.kernel, padding=(high, wide), groups=geometry.groups)
    return _outputs(slopes, turned, mirrored, tile)


def _of_weights(inputs: Tensor, slopes: Tensor, geometry: Geometry, tile: int) -> Tensor:
    """G' (A s * B' x), summed over all tiles before G'."""
    filters, groups = _filters(geometry, tile), geometry.groups
    size, own = (filters[0].points, filters[1].points), (filters[0].tile, filters[1].tile)
    of_inputs, of_slopes = (_of_both_axes(filters, name, inputs) for name in ("of_inputs", "of_slopes"))
    channels = inputs.shape[1] // groups, slopes.shape[1] // groups
    sums = of_inputs.new_zeros(len(of_inputs), groups, *channels)
    for part in _parts(slopes, filters, max(slopes.shape[1], inputs.shape[1])):
        maps = _padded(inputs[part.examples], geometry.padding, part.tiles, size, filters)
        tops = _padded(slopes[part.examples], (0, 0), part.tiles, own, filters)
        for rows in part.rows:
            points = _product(of_inputs, _windows(maps, rows, size, filters))
            others = _product(of_slopes, _windows(tops, rows, own, filters))
            sums += _in_groups(points, groups).transpose(-1, -2) @ _in_groups(others, groups)
    flat = _of_both_axes(filters, "of_weights", inputs).t() @ sums.flatten(1)  # (k k, groups C / groups C' / groups)
    windows = flat.view(*geometry.kernel, groups, *channels).permute(2, 4, 3, 0, 1)
    return windows.flatten(0, 1).to(inputs.dtype)


def _filters(geometry: Geometry, tile: int) -> tuple[Filter, Filter]:
    high, wide = (FILTERS[tile] if kernel == 3 else PLAIN for kernel in geometry.kernel)
    return high, wide


@dataclass(frozen=True, slots=True)
class Part:
    """Tiles whose transforms a processor's cache holds: some examples, or some rows of tiles of one."""

    examples: slice
    rows: tuple[range, ...]
    """The rows of tiles, those that are worked on at a time together."""
    tiles: Pair
    """Rows and columns of tiles of an example."""


def _parts(outputs: Tensor, filters: tuple[Filter, Filter], channels: int) -> Iterator[Part]:
    """All tiles of the outputs; on a GPU, which has no use for parts, in one."""
    high, wide = (-(-size // each.tile) for size, each in zip(outputs.shape[2:], filters, strict=True))
    numbers_per_tile = filters[0].points * filters[1].points * channels
    room = max(1, PORTION // numbers_per_tile) if outputs.is_cpu else len(outputs) * high * wide
    at_once, examples = max(1, min(high, room // wide)), max(1, room // (high * wide))
    rows = tuple(range(row, min(row + at_once, high)) for row in range(0, high, at_once))
    for first in range(0, len(outputs), examples):
        yield Part(slice(first, first + examples), rows, (high, wide))


def _padded(maps: Tensor, padding: Pair, tiles: Pair, size: Pair, filters: tuple[Filter, Filter]) -> Tensor:
    """Maps with channels innermost, (N, H, W, C), padded or cut to what the windows of that size of all tiles look at."""
    sides: list[int] = [0, 0]
    for axis in (1, 0):  # the last comes first
        reach = (tiles[axis] - 1) * filters[axis].tile + size[axis]
        sides += [padding[axis], reach - padding[axis] - maps.shape[2 + axis]]
    by_position = exact(maps).contiguous(memory_format=torch.channels_last).movedim(1, -1)
    return functional.pad(by_position, sides)


def _windows(maps: Tensor, rows: range, size: Pair, filters: tuple[Filter, Filter]) -> Tensor:
    """The windows of that size of some rows of tiles: (N, H, W, C) to (size size, N, rows, columns, C)."""
    first, last = rows.start * filters[0].tile, (rows.stop - 1) * filters[0].tile + size[0]
    view = maps[:, first:last].unfold(1, size[0], filters[0].tile).unfold(2, size[1], filters[1].tile)
    return view.permute(4, 5, 0, 1, 2, 3).flatten(0, 1)


def _product(matrix: Tensor, tiles: Tensor) -> Tensor:
    """The matrix times the first axis of the tiles."""
    return (matrix @ tiles.flatten(1)).view(-1, *tiles.shape[1:])


def _multiplied(points: Tensor, factors: Tensor, by_map: bool) -> Tensor:
    """(points points, N, rows, columns, C) times (points points, groups, C / groups, C' / groups).

    Gives (points points, N, rows, columns, C'), or `by_map` (points points, C', N, rows, columns).
    """
    tiles = _in_groups(points, factors.shape[1])
    if by_map:
        sums = factors.transpose(-1, -2) @ tiles.transpose(-1, -2)  # (points points, groups, C' / groups, tiles)
        return torch.unflatten(sums.flatten(1, 2), 2, points.shape[1:-1])
    sums = tiles @ factors  # (points points, groups, tiles, C' / groups)
    return sums.transpose(1, 2).reshape(*points.shape[:-1], -1)


def _in_groups(points: Tensor, groups: int) -> Tensor:
    """(points points, N, rows, columns, C) to (points points, groups, tiles, C / groups)."""
    return torch.unflatten(points.flatten(1, -2), 2, (groups, -1)).transpose(1, 2)


def _transformed_window(weight: Tensor, filters: tuple[Filter, Filter], groups: int) -> Tensor:
    """G w along both axes: (C', C / groups, k, k) to (points points, groups, C / groups, C' / groups)."""
    flat = weight.permute(2, 3, 1, 0).flatten(2).flatten(0, 1)  # (k k, C / groups C')
    made = _of_both_axes(filters, "of_weights", weight) @ flat
    return made.view(len(made), weight.shape[1], groups, -1).transpose(1, 2)


def _of_both_axes(filters: tuple[Filter, Filter], name: str, like: Tensor) -> Tensor:
    """One of the matrices for tiles of two axes: the Kronecker product of those of the axes."""
    high, wide = (torch.tensor(getattr(each, name), dtype=torch.float64) for each in filters)
    return torch.kron(high, wide).to(exact(like.new_empty(0)))
