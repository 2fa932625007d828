"""A transformer's encoder: layers in which every word reads all others, normalized before each step."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dlcat.layers.attention import Attention
from dlcat.layers.parts import Parts, initialise_he
from dlcat.layers.per_position import PerPosition
from dlcat.layers.tokens import Embedding, mean_over, real_positions, silence
from dlcat.models import model
from dlcat.models.sizes import Count, Dropout

if TYPE_CHECKING:
    from collections.abc import Sequence

draw = partial(nn.init.normal_, std=0.02)
"""The first vectors of words and of positions (Devlin et al. 2018, arXiv:1810.04805)."""


@model(takes="tokens")
def text_transformer(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    width: Count = 128,
    depth: Count = 4,
    heads: Count = 4,
    expansion: Count = 4,
    kernel: Count = 1,
    dropout: Dropout = 0.1,
) -> nn.Module:
    """Layers of attention and of dense layers at each word, each added to what it reads (Vaswani et al. 2017, arXiv:1706.03762).

    (N, T) tokens to (N, outputs), where T is the length that the network was built for, or less. A vector of `width`
    numbers for each token, and one for each position, are added; then `depth` times attention with `heads`, and two
    convolutions of `kernel` positions with the activation between, the inner `expansion` times as wide. The kernel is 1
    as in the paper, which makes dense layers at each position of them. The norm stands before each of the two, over the
    channels of single positions, and behind the last (Xiong et al. 2020, arXiv:2002.04745); `layer` is the usual one.
    What is added has `dropout`. The mean over the text goes to a dense layer.

    Raises:
        ValueError: the heads do not divide the width, the kernel is even, the norm does not fit the width or would leave
            nothing of single positions, or the convolution does not fit the widths.
    """
    if width % heads:
        raise ValueError(f"{heads} heads do not divide a width of {width}")
    vocabulary, length = input_shape
    layers = [_layer(width, heads, expansion * width, kernel, dropout, parts) for _ in range(depth)]
    network = TextTransformer(
        Embedding(vocabulary, width, draw),
        Positions(width, length),
        layers,
        PerPosition(parts.norm(width)),
        nn.Dropout(dropout),
        nn.Linear(width, outputs),
    )
    initialise_he(network)
    return network


def _layer(width: int, heads: int, inner: int, kernel: int, dropout: float, parts: Parts) -> TransformerLayer:
    plain = replace(parts, bias=True, standardized=False)  # norms stand before, and none behind
    query, value, output = (plain.pointwise(width, width) for _ in range(3))
    key = replace(plain, bias=False).pointwise(width, width)  # a bias would add as much to each product of a query
    return TransformerLayer(
        PerPosition(parts.norm(width)),
        Attention(query, key, value, output, heads=heads),
        PerPosition(parts.norm(width)),
        nn.Sequential(plain.conv(width, inner, kernel), plain.activation()),
        plain.conv(inner, width, kernel),
        nn.Dropout(dropout),
    )


class TextTransformer(nn.Module):
    """Vectors of tokens and positions, layers, norm, mean over the text, dense layer."""

    def __init__(
        self,
        embedding: nn.Module,
        positions: nn.Module,
        layers: Sequence[nn.Module],
        norm: nn.Module,
        dropout: nn.Module,
        head: nn.Module,
    ) -> None:
        super().__init__()
        self.embedding, self.positions = embedding, positions
        self.layers = nn.ModuleList(layers)
        self.norm, self.dropout, self.head = norm, dropout, head

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T) to (N, outputs)."""
        real = real_positions(tokens)
        maps = self.dropout(self.positions(self.embedding(tokens)))
        for layer in self.layers:
            maps = layer(maps, real)
        outputs: Tensor = self.head(mean_over(self.norm(maps), real))
        return outputs


class Positions(nn.Module):
    """Adds a learned vector for each position, of texts up to one length."""

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.empty(channels, length))
        if not self.vectors.is_meta:
            draw(self.vectors)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, T) to the same shape."""
        return maps + self.vectors[:, : maps.shape[2]]


class TransformerLayer(nn.Module):
    """x + attention(norm(x)), and to that what two convolutions make of its own norm."""

    def __init__(
        self,
        attention_norm: nn.Module,
        attention: Attention,
        norm: nn.Module,
        widened: nn.Module,
        narrowed: nn.Module,
        dropout: nn.Module,
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.norm, self.widened, self.narrowed = norm, widened, narrowed
        self.dropout = dropout

    def forward(self, maps: Tensor, real: Tensor) -> Tensor:
        """(N, C, T) and what of it is text (N, T) to (N, C, T)."""
        ready = self.attention_norm(maps)
        maps = maps + self.dropout(self.attention(ready, ready, real))
        inner = silence(self.widened(silence(self.norm(maps), real)), real)
        outputs: Tensor = maps + self.dropout(self.narrowed(inner))
        return outputs
