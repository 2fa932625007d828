"""The convolution theorem: maps and windows as sums of waves, which a product multiplies one by one.

The circle of positions that a discrete transform means is as long as the maps and their padding, so that nothing that
comes round it meets what is kept. The maps are transformed by the fast transform; a window, which has few positions, by
the product with the matrix of its waves, which writes the frequencies where the product of matrices wants them.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch

from dlcat.layers.algorithms import algorithm
from dlcat.layers.algorithms.computed import Products, computed, empty_maps, exact

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dlcat.layers.algorithms.computed import Convolution
    from dlcat.layers.algorithms.geometry import Geometry, Pair


@algorithm
def fft(convolution: Convolution) -> nn.Module:
    """Products of frequencies in the place of windows, by the fast Fourier transform (Mathieu et al. 2013, arXiv:1312.5851).

    Any window, stride, dilation and groups. The time hardly depends on the size of the window, so it is for large ones. At
    a stride, what lies between is computed and left out. The weights take as much memory as if their windows
    were as large as the maps. bf16 is transformed and multiplied in float32.
    """
    return computed(convolution, PRODUCTS)


def fast_length(least: int) -> int:
    """The smallest number from `least` on without prime factors above 5: lengths that transforms are fast for."""
    length = least
    while not _is_smooth(length):
        length += 1
    return length


def _outputs(inputs: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    circle = _circle(geometry)
    waves = _of_maps(inputs, circle, geometry.groups) @ _of_window(exact(weight), circle, geometry)
    full = _maps(waves, circle)  # (N, C', H, W) of the circle, as if the stride were 1
    result = empty_maps(inputs, len(weight), geometry.outputs)
    return result.copy_(full[_strided(geometry)])


def _of_inputs(slopes: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    circle = _circle(geometry)
    window = _of_window(exact(weight), circle, geometry).conj().transpose(-1, -2)
    full = _maps(_of_maps(_spread(slopes, circle, geometry), circle, geometry.groups) @ window, circle)
    result = empty_maps(slopes, weight.shape[1] * geometry.groups, geometry.size)
    return result.copy_(full[..., : geometry.size[0], : geometry.size[1]])


def _of_weights(inputs: Tensor, slopes: Tensor, geometry: Geometry) -> Tensor:
    circle = _circle(geometry)
    tops = _of_maps(_spread(slopes, circle, geometry), circle, geometry.groups)
    waves = _of_maps(inputs, circle, geometry.groups).transpose(-1, -2) @ tops.conj()
    return _window(waves, circle, geometry).to(inputs.dtype)


PRODUCTS = Products("fft", _outputs, _of_inputs, _of_weights)


def _is_smooth(number: int) -> bool:
    for factor in (2, 3, 5):
        while number % factor == 0:
            number //= factor
    return number == 1


def _circle(geometry: Geometry) -> Pair:
    """Positions of the circle along each axis; the zeros before and behind the maps may be the same."""
    high, wide = (
        fast_length(size + max(padding, 2 * padding - reach + 1))
        for size, padding, reach in zip(geometry.size, geometry.padding, geometry.reach, strict=True)
    )
    return high, wide


def _strided(geometry: Geometry) -> tuple[Any, ...]:
    """Where the outputs stand among those of stride 1."""
    places = zip(geometry.outputs, geometry.stride, strict=True)
    return (..., *(slice(0, (count - 1) * stride + 1, stride) for count, stride in places))


def _spread(slopes: Tensor, circle: Pair, geometry: Geometry) -> Tensor:
    """The slopes at their places among those of stride 1, zeros between."""
    if geometry.stride == (1, 1):
        return slopes
    full = slopes.new_zeros((*slopes.shape[:2], *circle))
    full[_strided(geometry)] = slopes
    return full


def _of_maps(maps: Tensor, circle: Pair, groups: int) -> Tensor:
    """The frequencies of maps: (N, C, H, W) to (frequencies, groups, N, C / groups)."""
    waves = torch.fft.rfft2(exact(maps).contiguous(), s=circle).flatten(2)  # (N, C, frequencies)
    return torch.unflatten(waves, 1, (groups, -1)).permute(3, 1, 0, 2).contiguous()


def _maps(waves: Tensor, circle: Pair) -> Tensor:
    """(frequencies, groups, N, C / groups) to (N, C, H, W) of the circle."""
    waves = waves.permute(2, 1, 3, 0).flatten(1, 2).contiguous()  # (N, C, frequencies)
    maps: Tensor = torch.fft.irfft2(torch.unflatten(waves, 2, (circle[0], -1)), s=circle)
    return maps


def _of_window(weight: Tensor, circle: Pair, geometry: Geometry) -> Tensor:
    """The conjugate frequencies of windows: (C', C / groups, k, k) to (frequencies, groups, C / groups, C' / groups)."""
    down, along = _waves(weight, circle, geometry)
    grouped = torch.unflatten(weight, 0, (geometry.groups, -1))  # (groups, C' / groups, C / groups, k, k)
    rows = grouped.permute(3, 4, 0, 2, 1)  # (k, k, groups, C / groups, C' / groups)
    flat = rows.flatten(1)  # real, so real products are enough
    half = torch.complex(down.real @ flat, down.imag @ flat).view(len(down), geometry.kernel[1], -1)
    return (along @ half).flatten(0, 1).view(-1, *rows.shape[2:])


def _window(waves: Tensor, circle: Pair, geometry: Geometry) -> Tensor:
    """(frequencies, groups, C / groups, C' / groups) to the windows (C', C / groups, k, k) that have them."""
    down, along = _waves(waves.real, circle, geometry)
    # Of a real map's frequencies only half are kept; each but the first, and the last of an even circle, stands for two.
    twice = torch.full((len(along), 1), 2.0, dtype=waves.real.dtype, device=waves.device)
    twice[0] = 1
    if circle[1] % 2 == 0:
        twice[-1] = 1
    half = (along * twice).t() @ torch.unflatten(waves, 0, (circle[0], -1)).flatten(2)  # (H, k, groups C C')
    half = half.flatten(1)
    flat = (down.real.t() @ half.real - down.imag.t() @ half.imag) / prod(circle)
    return flat.view(*geometry.kernel, *waves.shape[1:]).permute(2, 4, 3, 0, 1).flatten(0, 1)


def _waves(like: Tensor, circle: Pair, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """exp(2 pi i frequency position / circle) for the positions of the window, (frequencies, k) along each axis."""
    found = []
    for axis, frequencies in enumerate((circle[0], circle[1] // 2 + 1)):
        positions = torch.arange(geometry.kernel[axis]) * geometry.dilation[axis] - geometry.padding[axis]
        turns = torch.arange(frequencies)[:, None] * positions % circle[axis]  # whole numbers: nothing is rounded yet
        angle = 2 * torch.pi * turns.double() / circle[axis]
        wave = torch.polar(torch.ones_like(angle), angle)
        found.append(wave.to(like.device, like.dtype.to_complex()))
    return found[0], found[1]
