"""One layer of windows over words, and the largest answer of each: the first convolutional network for sentences."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import MinLen
from torch import Tensor, nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.layers.tokens import Embedding, max_over, real_positions
from dlcat.layers.windows import window
from dlcat.models import model
from dlcat.models.sizes import Count, Dropout

if TYPE_CHECKING:
    from collections.abc import Sequence

Windows = Annotated[tuple[Count, ...], MinLen(1)]
"""How many positions the windows of a layer look at, odd or even."""

draw_words = partial(nn.init.uniform_, a=-0.25, b=0.25)
"""The first vectors of words that word2vec does not know, which have its variance (Kim 2014, section 3.1)."""


@model(takes="tokens")
def text_cnn(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    embedding: Count = 300,
    windows: Windows = (3, 4, 5),
    channels: Count = 100,
    dropout: Dropout = 0.5,
) -> nn.Module:
    """Windows of several widths over words, and the largest value of each over the text (Kim 2014, arXiv:1408.5882).

    (N, T) tokens to (N, outputs), of any length. Vectors of `embedding` numbers, side by side a layer of `channels`
    for each of the `windows` (convolution, norm, activation), the largest value of each channel over the positions of
    the text, `dropout`, a dense layer. This is the paper's CNN-rand, with the norm `none`: its vectors begin at random.
    Where it cuts the dense layer's weights back to a norm of 3, weight decay has to do.

    Raises:
        ValueError: the norm or the convolution does not fit the widths.
    """
    network = TextCnn(
        Embedding(input_shape[0], embedding, draw_words),
        LargestAnswers(embedding, channels, windows, parts),
        nn.Dropout(dropout),
        nn.Linear(channels * len(windows), outputs),
    )
    initialise_he(network)
    return network


class TextCnn(nn.Module):
    """Vectors of tokens, the largest answers of windows over them, dropout, dense layer."""

    def __init__(self, embedding: nn.Module, answers: LargestAnswers, dropout: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.embedding, self.answers, self.dropout, self.head = embedding, answers, dropout, head

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T) to (N, outputs)."""
        answers = self.answers(self.embedding(tokens), real_positions(tokens))
        outputs: Tensor = self.head(self.dropout(answers))
        return outputs


class LargestAnswers(nn.Module):
    """For each width of window a block of convolution, norm and activation, and its largest value over a text."""

    def __init__(self, channels_in: int, channels: int, windows: Sequence[int], parts: Parts) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(window(channels_in, channels, width, parts), parts.norm(channels), parts.activation())
            for width in windows
        )

    def forward(self, maps: Tensor, real: Tensor) -> Tensor:
        """(N, C, T) and what of it is text (N, T) to (N, widths * channels)."""
        return torch.cat([max_over(block(maps), real) for block in self.blocks], dim=1)
