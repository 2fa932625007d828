"""A capsule network: vectors in the place of numbers, which agree on what they send where."""

from __future__ import annotations

from math import prod, sqrt
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.layers.pools import average_grid
from dlcat.models import model
from dlcat.models.sizes import Stem, Width, is_small, scaled

if TYPE_CHECKING:
    from collections.abc import Sequence

STEM_CHANNELS = 256
CAPSULES = 32
"""At each position."""
KERNEL = 9
LENGTH = 8
"""Numbers in a capsule of the first layer."""
CLASS_LENGTH = 16
"""Numbers in a capsule that stands for a class."""
POSITIONS = 8
"""Positions a side up to which each has capsules of its own."""
LEAST_POSITIONS = 4
"""Positions a side that must be left where windows stay inside the map."""
EPSILON = 1e-6


@model
def capsnet(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    width: Width = 1.0,
    iterations: Annotated[int, Ge(1)] = 3,
    stem: Stem = "auto",
) -> nn.Module:
    """Capsules that route what they say by agreement (Sabour et al. 2017, arXiv:1710.09829); the task is `margin`.

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. A 9 x 9 convolution to 256 channels, one with stride 2
    to 32 capsules of 8 numbers at each position, and a capsule of 16 numbers for each output, to which all others
    send their predictions, weighed by how well these agree over so many `iterations`. An output is the logit of its
    capsule's length, log(length / (1 - length)): its sigmoid is the length, the probability that the class is there,
    and cross entropy can be trained on it too. As in the paper, windows stay inside the map, if 4 positions a side are
    left; smaller maps get zeros around. Where more than 8 positions a side are left, capsules stand for the means over
    a grid of 8. `width` multiplies the channels and the capsules of a position, at multiples of 8. The `stem` has
    stride 4 for large images (imagenet), none for small ones (cifar); auto takes the latter up to 64 positions a side.
    The paper has no norm (`none`), and a decoder beside, whose reconstruction is part of its loss: it is not built.

    Raises:
        ValueError: the norm or the convolution does not fit the widths.
    """
    channels = scaled(STEM_CHANNELS, width)
    capsules = scaled(CAPSULES, width)
    first = parts.stem(input_shape[0], channels, KERNEL, stride=1 if is_small(stem, input_shape) else 4)
    second = parts.conv(channels, capsules * LENGTH, KERNEL, stride=2)
    left = _keep_inside([first[0], second], input_shape[1:])
    grid = tuple(min(size, POSITIONS) for size in left)
    network = nn.Sequential(
        first,
        second,
        parts.norm(capsules * LENGTH),
        average_grid(grid),
        Capsules(LENGTH),
        Routing(capsules * prod(grid), outputs, LENGTH, CLASS_LENGTH, iterations),
        LengthLogit(),
    )
    initialise_he(network)
    return network


class Capsules(nn.Module):
    """Groups of neighbouring channels as vectors, one at each position, squashed: none is longer than 1."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to (N, C / length * positions, length)."""
        examples, _, *positions = inputs.shape  # an exported graph leaves this N open, but not that of len()
        vectors = inputs.reshape(examples, -1, self.length, *positions)  # (N, C / length, length, ...)
        return squash(vectors.movedim(2, -1).flatten(1, -2))


class Routing(nn.Module):
    """Capsules that send their predictions to those capsules of the next layer with whose sum they agree.

    Capsule i predicts W_ij u_i for capsule j, and shares out its say over all j by the softmax of b_ij, which begin at
    0. In each iteration j sums up what it hears, and b_ij grows by how far the prediction points where the squashed sum
    does (Sabour et al. 2017, procedure 1). Gradients flow through all iterations.
    """

    def __init__(self, capsules_in: int, capsules_out: int, length_in: int, length_out: int, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        self.weight = nn.Parameter(torch.empty(capsules_in, length_in, capsules_out, length_out))
        # A sum of 1 / capsules_out of each prediction then begins about as long as the longest capsule.
        nn.init.normal_(self.weight, std=capsules_out / sqrt(capsules_in * length_out))

    def forward(self, capsules: Tensor) -> Tensor:
        """(N, capsules_in, length_in) to the sums, which are not squashed: (N, capsules_out, length_out)."""
        # In order in memory: every iteration reads all of it twice, and strided reads take twice as long.
        predictions = torch.einsum("nil,iljm->nijm", capsules, self.weight).contiguous()
        sums = predictions.sum(1) / predictions.shape[2]  # at first all shares are equal
        agreement = predictions.new_zeros(predictions.shape[:3])  # (N, capsules_in, capsules_out)
        for _ in range(self.iterations - 1):
            # Products and sums, not einsum: it would multiply a small matrix for each pair (n, j), a fifth slower.
            agreement = agreement + (predictions * squash(sums).unsqueeze(1)).sum(3)
            sums = (agreement.softmax(2).unsqueeze(3) * predictions).sum(1)
        return sums


class LengthLogit(nn.Module):
    """log(length / (1 - length)) of the squashed vector: with s the vector as it is, that is log(|s|^2)."""

    def forward(self, vectors: Tensor) -> Tensor:
        """(N, K, M) to (N, K)."""
        return (vectors.square().sum(-1) + EPSILON).log()


def squash(vectors: Tensor) -> Tensor:
    """The same directions, and lengths between 0 and 1: s |s| / (1 + |s|^2). (..., M) to the same shape."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors * (length / (1 + length.square()))


def _keep_inside(convolutions: Sequence[nn.Module], positions: tuple[int, ...]) -> tuple[int, ...]:
    """Take away the zeros around the maps, if that leaves enough of them; how many positions a side are left.

    What is none of torch's convolutions keeps its zeros, and is taken to keep the size: the grid copes with the others.
    """
    steps = [step for one in convolutions for step in one.modules() if isinstance(step, nn.Conv1d | nn.Conv2d)]
    inside = _left(steps, positions, [(0,) * len(positions)] * len(steps))
    if min(inside) < LEAST_POSITIONS:
        return _left(steps, positions, [step.padding for step in steps])
    for step in steps:
        step.padding = (0,) * len(positions)
    return inside


def _left(
    steps: Sequence[nn.Conv1d | nn.Conv2d], positions: tuple[int, ...], paddings: Sequence[Any]
) -> tuple[int, ...]:
    """Positions a side behind all the steps: of w, floor((w + 2 padding - dilation (kernel - 1) - 1) / stride) + 1."""
    for step, padding in zip(steps, paddings, strict=True):
        axes = zip(positions, padding, step.kernel_size, step.stride, step.dilation, strict=True)
        positions = tuple((w + 2 * p - d * (k - 1) - 1) // s + 1 for w, p, k, s, d in axes)
    return positions
