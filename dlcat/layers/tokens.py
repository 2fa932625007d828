"""What networks for tokens share: vectors for tokens, where a text ends, and what is taken over its positions alone.

Tokens are (N, T) int64; 0 is the filling behind a text. Maps are (N, C, T), as everywhere.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

FILLING = 0
"""The token behind the end of a text; its vector is 0 and learns nothing."""


class Embedding(nn.Embedding):
    """A learned vector for each token, and zeros for the filling: (N, T) to (N, width, T).

    Args:
        vocabulary: how many tokens there are, the filling among them.
        width: numbers in a vector.
        draw: fills a tensor with the first vectors, as those of `torch.nn.init` do.
    """

    def __init__(self, vocabulary: int, width: int, draw: Callable[[Tensor], object]) -> None:
        super().__init__(vocabulary, width, padding_idx=FILLING, _weight=torch.empty(vocabulary, width))
        if not self.weight.is_meta:
            draw(self.weight)
            _silence_filling(self.weight)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name is torch's
        """(N, T) to (N, width, T)."""
        return super().forward(input).transpose(1, 2)


class FixedEmbedding(nn.Module):
    """Vectors that stay as they were drawn, zeros for the filling: (N, T) to (N, width, T). See `Embedding`."""

    vectors: Tensor

    def __init__(self, vocabulary: int, width: int, draw: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.empty(vocabulary, width))
        if not self.vectors.is_meta:
            draw(self.vectors)
            _silence_filling(self.vectors)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T) to (N, width, T)."""
        return functional.embedding(tokens, self.vectors).transpose(1, 2)


class OneHot(nn.Module):
    """A channel for each token but the filling: 1 where that token stands, else 0. (N, T) to (N, vocabulary - 1, T)."""

    rows: Tensor

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        rows = functional.pad(torch.eye(vocabulary - 1), (0, 0, 1, 0))
        self.register_buffer("rows", rows, persistent=False)  # nothing was learned or drawn

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T) to (N, vocabulary - 1, T)."""
        return functional.embedding(tokens, self.rows).transpose(1, 2)


def real_positions(tokens: Tensor) -> Tensor:
    """Which positions belong to the text, and not to the filling behind it: (N, T) to (N, T) bool.

    The first always does: an empty text is one position of zeros, so that there is a mean and a largest value of it.
    """
    places = torch.arange(tokens.shape[1], device=tokens.device)
    last = (places * tokens.ne(FILLING)).amax(1, keepdim=True)  # (N, 1)
    return places <= last


def silence(maps: Tensor, real: Tensor) -> Tensor:
    """Zeros in the place of the filling, as they are behind the border: (N, C, T) and (N, T) to (N, C, T)."""
    return maps.masked_fill(~real[:, None], 0)


def mean_over(maps: Tensor, real: Tensor) -> Tensor:
    """The mean over the positions of the text: (N, C, T) and (N, T) to (N, C)."""
    return silence(maps, real).sum(2) / real.sum(1, keepdim=True)


def max_over(maps: Tensor, real: Tensor) -> Tensor:
    """The largest value over the positions of the text: (N, C, T) and (N, T) to (N, C)."""
    return maps.masked_fill(~real[:, None], -inf).amax(2)


def k_max_over(maps: Tensor, real: Tensor, k: int) -> Tensor:
    """The k largest values over the positions of the text, in the order in which they stand there.

    (N, C, T) and (N, T) to (N, C, k); zeros behind, where the text has fewer positions. Of equal values the first are
    taken, so that the same are taken whatever stands behind the text (Kalchbrenner et al. 2014, arXiv:1404.2188).
    """
    lacking = max(0, k - maps.shape[2])
    hidden = functional.pad(maps.masked_fill(~real[:, None], -inf), (0, lacking), value=-inf)
    places = hidden.sort(dim=2, descending=True, stable=True).indices[..., :k]
    kept = hidden.gather(2, places.sort(dim=2).values)
    return kept.masked_fill(kept.isneginf(), 0)


def _silence_filling(vectors: Tensor) -> None:
    with torch.no_grad():
        vectors[FILLING].zero_()
