"""The shape of one convolution: all that an algorithm must know besides the numbers."""

from __future__ import annotations

from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Geometry:
    """A convolution of two dimensions, zero padded; one of one dimension has height 1."""

    size: Pair
    """(H, W) of the inputs."""
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    """Zeros on each side."""
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def reach(self) -> Pair:
        """Positions from the first to the last that one window looks at."""
        height, width = (
            dilation * (kernel - 1) + 1 for kernel, dilation in zip(self.kernel, self.dilation, strict=True)
        )
        return height, width

    @property
    def outputs(self) -> Pair:
        """(H', W') of the outputs: floor((size + 2 padding - reach) / stride) + 1."""
        height, width = (
            (size + 2 * padding - reach) // stride + 1
            for size, padding, reach, stride in zip(self.size, self.padding, self.reach, self.stride, strict=True)
        )
        return height, width
