"""Very deep convolutions over characters: small windows, halved and widened as for images."""

from __future__ import annotations

from math import inf
from typing import Literal

from torch import Tensor, nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.layers.tokens import Embedding, k_max_over, real_positions, silence
from dlcat.models import model
from dlcat.models.dense import hidden_layers
from dlcat.models.residual import projection
from dlcat.models.sizes import Count, Dropout, Width, scaled

WIDTHS = (64, 128, 256, 512)
BLOCKS = {9: (1, 1, 1, 1), 17: (2, 2, 2, 2), 29: (5, 5, 2, 2), 49: (8, 8, 5, 3)}
HIDDEN = 2048


@model(takes="tokens")
def vdcnn(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    depth: Literal[9, 17, 29, 49] = 29,
    width: Width = 1.0,
    embedding: Count = 16,
    halve: Literal["pool", "stride"] = "pool",
    shortcut: bool = False,
    k: Count = 8,
    hidden: Count = HIDDEN,
    dropout: Dropout = 0.0,
) -> nn.Module:
    """Up to 49 layers of windows of 3 characters, and the 8 largest values (Conneau et al. 2017, arXiv:1606.01781).

    (N, T) tokens to (N, outputs), of any length. Vectors of `embedding` numbers, a convolution of 3 to 64 channels, four
    stages of 64 to 512 channels, the `k` largest values of each channel in the order in which they stand, and three
    dense layers of `hidden` numbers. A block is twice convolution of 3, norm and activation; stages have as many as the
    `depth` in convolutions asks for. Between two stages the positions are halved by a max pool of 3 (pool), or by the next
    convolution (stride). `shortcut` adds to each block what it reads, as in a residual network. `width` multiplies the
    channels, at multiples of 8. `dropout` stands behind the hidden dense layers; the paper has none.

    Behind every block the filling is set back to zeros, which are what is behind the border. The paper lets it in: there
    the norm's shift and the windows carry something into the filling, and the largest values may be taken from it.

    Raises:
        ValueError: the norm or the convolution does not fit the widths.
    """
    channels = scaled(WIDTHS[0], width)
    stem = parts.stem(embedding, channels, 3)
    steps = nn.ModuleList()
    for number, (planned, blocks) in enumerate(zip(WIDTHS, BLOCKS[depth], strict=True)):
        if number and halve == "pool":
            steps.append(TextPool(parts))
        for index in range(blocks):
            stride = 2 if halve == "stride" and number and not index else 1
            steps.append(TextBlock(channels, scaled(planned, width), stride, shortcut, parts))
            channels = scaled(planned, width)
    network = Vdcnn(
        Embedding(input_shape[0], embedding, nn.init.normal_),
        stem,
        steps,
        k,
        hidden_layers(channels * k, hidden, outputs, dropout, parts),
    )
    initialise_he(network)
    return network


class Vdcnn(nn.Module):
    """Vectors of characters, stem, blocks with pools between, the largest values, dense layers."""

    def __init__(self, embedding: nn.Module, stem: nn.Module, steps: nn.ModuleList, k: int, dense: nn.Module) -> None:
        super().__init__()
        self.embedding, self.stem, self.steps, self.dense = embedding, stem, steps, dense
        self.k = k

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T) to (N, outputs)."""
        real = real_positions(tokens)
        maps = silence(self.stem(self.embedding(tokens)), real)
        for step in self.steps:
            maps, real = step(maps, real)
        outputs: Tensor = self.dense(k_max_over(maps, real, self.k).flatten(1))
        return outputs


class TextBlock(nn.Module):
    """Twice convolution of 3, norm and activation, with or without a way past them; filling stays zeros."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, shortcut: bool, parts: Parts) -> None:
        super().__init__()
        self.first = parts.block(channels_in, channels_out, 3, stride)
        self.second = parts.block(channels_out, channels_out, 3)
        self.stride = stride
        self.past: nn.Module | None = None
        if shortcut:
            keeps = stride == 1 and channels_in == channels_out
            self.past = nn.Identity() if keeps else projection(channels_in, channels_out, stride, parts)

    def forward(self, maps: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, T) and what of it is text (N, T) to the same of ceil(T / stride) positions."""
        left = real[:, :: self.stride]
        outputs = self.second(silence(self.first(maps), left))
        if self.past is not None:
            outputs = outputs + self.past(maps)
        return silence(outputs, left), left


class TextPool(nn.Module):
    """The largest of every second position and its neighbours, as far as they are text."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.pool = parts.max_pool(3, 2)

    def forward(self, maps: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, T) and what of it is text (N, T) to the same of ceil(T / 2) positions."""
        left = real[:, ::2]
        return silence(self.pool(maps.masked_fill(~real[:, None], -inf)), left), left
