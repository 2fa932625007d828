"""A recurrent network: a text is read word by word, from the front and from the back."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from dlcat.layers.parts import Parts
from dlcat.layers.per_position import PerPosition
from dlcat.layers.tokens import Embedding, max_over, mean_over, real_positions
from dlcat.models import model
from dlcat.models.sizes import Count, Dropout
from dlcat.models.text_cnn import draw_words

Summary = Literal["ends", "mean", "max"]
"""What is told of a text: the last state of each direction, or the mean or the largest of all states."""


@model(takes="tokens", uses=("norm",))
def gru(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    embedding: Count = 300,
    hidden: Count = 128,
    layers: Count = 1,
    summary: Summary = "ends",
    dropout: Dropout = 0.5,
) -> nn.Module:
    """Gated recurrent units that read a text in both directions (Cho et al. 2014, arXiv:1406.1078).

    (N, T) tokens to (N, outputs), of any length. Vectors of `embedding` numbers, and `layers` of `hidden` units for each
    direction (Schuster & Paliwal 1997), the later reading the states of both directions of the one before; of the last
    layer's states the `summary`: the last of each direction (ends), or the mean or the largest over the text. Then the
    norm, `dropout`, and a dense layer. Each direction begins at its own end of the text, not of the filling. There is no
    place for a convolution or an activation.

    Raises:
        ValueError: the norm does not fit the hidden units, or would leave nothing of them.
    """
    widths = [embedding] + [2 * hidden] * (layers - 1)
    return Gru(
        Embedding(input_shape[0], embedding, draw_words),
        nn.ModuleList(BothDirections(width, hidden) for width in widths),
        summary,
        nn.Sequential(PerPosition(parts.norm(2 * hidden)), nn.Dropout(dropout), nn.Linear(2 * hidden, outputs)),
    )


class Gru(nn.Module):
    """Vectors of tokens, recurrent layers, what is told of their states, head."""

    def __init__(self, embedding: nn.Module, layers: nn.ModuleList, summary: Summary, head: nn.Module) -> None:
        super().__init__()
        self.embedding, self.layers, self.head = embedding, layers, head
        self.summary = summary

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T) to (N, outputs)."""
        real = real_positions(tokens)
        states = self.embedding(tokens)  # (N, C, T)
        for layer in self.layers:
            states = layer(states, real)
        outputs: Tensor = self.head(self._told(states, real))
        return outputs

    def _told(self, states: Tensor, real: Tensor) -> Tensor:
        """(N, 2 hidden, T) to (N, 2 hidden)."""
        if self.summary == "mean":
            return mean_over(states, real)
        if self.summary == "max":
            return max_over(states, real)
        forwards, backwards = states.chunk(2, dim=1)
        last = real.sum(1)[:, None, None] - 1  # (N, 1, 1)
        end = forwards.gather(2, last.expand(-1, forwards.shape[1], 1)).squeeze(2)
        return torch.cat([end, backwards[..., 0]], dim=1)


class BothDirections(nn.Module):
    """Two recurrent layers of which one reads each text from its last position that is text to its first."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.forwards, self.backwards = (nn.GRU(channels, hidden, batch_first=True) for _ in range(2))

    def forward(self, maps: Tensor, real: Tensor) -> Tensor:
        """(N, C, T) and what of it is text (N, T) to (N, 2 hidden, T)."""
        read = maps.transpose(1, 2)  # (N, T, C)
        ahead, _ = self.forwards(read)
        back, _ = self.backwards(turned(read, real))
        return torch.cat([ahead, turned(back, real)], dim=2).transpose(1, 2)


def turned(sequence: Tensor, real: Tensor) -> Tensor:
    """Each text from its end to its start, with the filling left where it is: (N, T, C) and (N, T) to (N, T, C)."""
    places = torch.arange(real.shape[1], device=real.device)
    order = torch.where(real, real.sum(1, keepdim=True) - 1 - places, places)  # (N, T)
    return sequence.gather(1, order[..., None].expand_as(sequence))
