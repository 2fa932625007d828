"""Two ways to write characters as vectors, read side by side, to tell authors by their characters."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import MinLen
from torch import Tensor, nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.layers.tokens import Embedding, FixedEmbedding, real_positions
from dlcat.models import model
from dlcat.models.sizes import Count, Dropout
from dlcat.models.text_cnn import LargestAnswers, Windows, draw_words

Channels = Annotated[tuple[Literal["static", "nonstatic"], ...], MinLen(1)]
"""Vectors that stay as they were drawn, and vectors that are learned."""


@model(takes="tokens")
def multichannel_char_cnn(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    vectors: Channels = ("nonstatic", "static"),
    embedding: Count = 300,
    windows: Windows = (6, 7, 8),
    channels: Count = 100,
    dropout: Dropout = 0.5,
) -> nn.Module:
    """Several vectors for each character, each read by windows of its own (Ruder et al. 2016, arXiv:1609.06686).

    (N, T) tokens to (N, outputs), of any length. For each of the `vectors` an embedding, layers of `channels` for each
    of the `windows` (convolution, norm, activation), and the largest value of each channel over the text; all answers
    side by side, `dropout`, a dense layer. nonstatic vectors are learned (alone they are the paper's CNN-char), static
    ones stay as they are. The paper fills its static channel, and channels for words, from vectors of words that were
    learned elsewhere; here one stream of tokens is all there is, so the static vectors are random ones, in which each
    character keeps a code of its own that training cannot draw towards that of another.

    Raises:
        ValueError: the norm or the convolution does not fit the widths.
    """
    kinds = {"nonstatic": Embedding, "static": FixedEmbedding}
    network = MultichannelCharCnn(
        nn.ModuleList(kinds[kind](input_shape[0], embedding, draw_words) for kind in vectors),
        nn.ModuleList(LargestAnswers(embedding, channels, windows, parts) for _ in vectors),
        nn.Dropout(dropout),
        nn.Linear(len(vectors) * len(windows) * channels, outputs),
    )
    initialise_he(network)
    return network


class MultichannelCharCnn(nn.Module):
    """For each way to write tokens its own windows; their answers side by side, dropout, dense layer."""

    def __init__(self, embeddings: nn.ModuleList, answers: nn.ModuleList, dropout: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.embeddings, self.answers, self.dropout, self.head = embeddings, answers, dropout, head

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T) to (N, outputs)."""
        real = real_positions(tokens)
        pairs = zip(self.embeddings, self.answers, strict=True)
        answers = torch.cat([answer(embedding(tokens), real) for embedding, answer in pairs], dim=1)
        outputs: Tensor = self.head(self.dropout(answers))
        return outputs
