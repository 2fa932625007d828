"""The one full convolution that does what a module does: its kernel, read off by impulses that are sent back through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from dlcat.errors import UsageError
from dlcat.explain.part import noise

if TYPE_CHECKING:
    from torch import Tensor, nn

PROBES = (16, 32, 64, 128, 256)
"""Sizes of the maps in which the window of an output is looked for, until it lies inside."""
NEGLIGIBLE = 1e-9
"""Up to this share of the greatest weight a weight counts as 0: transforms (FFT, Winograd) leave rounding there."""
NUMBERS = 2**21
"""How many numbers of the input are sent back at a time, 16 MiB."""


@dataclass(frozen=True, slots=True)
class Dense:
    """A full convolution; output position p reads the window that begins at stride · p + first along each axis."""

    kernel: Tensor
    """(C', C, ...), float64."""
    first: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def window(self) -> tuple[int, ...]:
        """The kernel's size along each axis."""
        return tuple(self.kernel.shape[2:])

    def __call__(self, inputs: Tensor, size: tuple[int, ...]) -> Tensor:
        """(N, C, ...) to (N, C', *size); what lies outside of the input counts as 0."""
        pads: list[int] = []
        for axis in reversed(range(len(size))):  # torch wants the last axis first
            last = self.stride[axis] * (size[axis] - 1) + self.first[axis] + self.window[axis] - 1
            pads += [-self.first[axis], last - (inputs.shape[2 + axis] - 1)]
        convolve = {1: functional.conv1d, 2: functional.conv2d}[len(size)]
        return convolve(functional.pad(inputs, pads), self.kernel, stride=self.stride)


def dense(module: nn.Module, channels: int, dimensions: int) -> Dense | None:
    """What the module does to (N, channels, ...), as one full convolution; None where no window of `PROBES` is enough.

    The module computes in float64 and is taken to be linear. The slope of one output with respect to all inputs is then a
    row of its kernel, to the last bit but for rounding. Whether it is linear, and does the same at every position and at
    the border, is for the caller to see, by running both.

    Raises:
        UsageError: its outputs are so far apart that no two lie side by side in a map of `PROBES`.
    """
    found = _window(module, channels, dimensions)
    if found is None:
        return None
    first, last, stride = found
    return Dense(_kernel(module, channels, first, last, stride), first, stride)


def _window(
    module: nn.Module, channels: int, dimensions: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
    """From where to where an output reads, as seen from stride · its position, and the stride, along each axis."""
    fits = False
    for size in PROBES:
        maps = torch.zeros(1, channels, *(size,) * dimensions, dtype=torch.float64, requires_grad=True)
        outputs = module(maps)  # (1, C', ...)
        place = [count // 2 for count in outputs.shape[2:]]
        if any(position + 1 >= count for position, count in zip(place, outputs.shape[2:], strict=True)):
            continue  # no output beside this one to tell the stride by
        fits = True
        here = _read(outputs, maps, place)
        there = _read(outputs, maps, [position + 1 for position in place])
        if here is None or there is None:
            return None
        if all(low > 0 and high < size - 1 for low, high in here):
            stride = tuple(max(1, after[0] - before[0]) for before, after in zip(here, there, strict=True))
            origins = [step * position for step, position in zip(stride, place, strict=True)]
            first = tuple(low - origin for (low, _), origin in zip(here, origins, strict=True))
            last = tuple(high - origin for (_, high), origin in zip(here, origins, strict=True))
            return first, last, stride
    if not fits:
        raise UsageError(
            f"expected two outputs side by side in a map {PROBES[-1]} wide, to tell the stride by; found fewer",
            hint="a smaller --stride brings them nearer",
        )
    return None


def _read(outputs: Tensor, maps: Tensor, place: list[int]) -> list[tuple[int, int]] | None:
    """The first and the last position that the outputs at a place read, along each axis; None if they read nothing."""
    impulse = torch.zeros_like(outputs)
    # All channels at once, in random shares, so that nothing cancels.
    channels: tuple[Any, ...] = (0, slice(None), *place)
    impulse[channels] = noise(torch.Generator().manual_seed(0), outputs.shape[1])
    (slopes,) = torch.autograd.grad(outputs, maps, impulse, retain_graph=True)
    size = slopes[0].abs().amax(0)  # (...)
    if not size.any():
        return None
    positions = (size > NEGLIGIBLE * size.max()).nonzero()  # (found, axes)
    return list(zip(positions.amin(0).tolist(), positions.amax(0).tolist(), strict=True))


def _kernel(
    module: nn.Module, channels: int, first: tuple[int, ...], last: tuple[int, ...], stride: tuple[int, ...]
) -> Tensor:
    """The kernel (C', C, ...): from every output channel one impulse back, at a place whose window fits the map."""
    axes = range(len(stride))
    place = [max(0, -(first[axis] // stride[axis])) for axis in axes]
    size = [stride[axis] * place[axis] + max(0, last[axis]) + 1 for axis in axes]
    corner = [stride[axis] * place[axis] + first[axis] for axis in axes]
    sizes = [last[axis] - first[axis] + 1 for axis in axes]
    window: tuple[Any, ...] = (..., *(slice(begin, begin + size) for begin, size in zip(corner, sizes, strict=True)))
    with torch.no_grad():
        channels_out = module(torch.zeros(1, channels, *size, dtype=torch.float64)).shape[1]
    rows = []
    portion = max(1, NUMBERS // (channels * torch.Size(size).numel()))
    for start in range(0, channels_out, portion):
        chunk = torch.arange(start, min(start + portion, channels_out))
        maps = torch.zeros(len(chunk), channels, *size, dtype=torch.float64, requires_grad=True)
        outputs = module(maps)
        impulses = torch.zeros_like(outputs)
        targets: tuple[Any, ...] = (torch.arange(len(chunk)), chunk, *place)
        impulses[targets] = 1
        (slopes,) = torch.autograd.grad(outputs, maps, impulses)
        rows.append(slopes[window])
    return torch.cat(rows)
