"""A convolution whose windows are wider than they look: each position reads the rest of the text by attention."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import Tensor, nn

from dlcat.layers.attention import Attention
from dlcat.layers.parts import Parts, initialise_he
from dlcat.layers.tokens import Embedding, max_over, real_positions, silence
from dlcat.models import model
from dlcat.models.concatenated import Concatenated
from dlcat.models.sizes import Count, Dropout
from dlcat.models.text_cnn import draw_words

Energy = Literal["dot", "bilinear"]
"""How well two positions agree: h_i . h_j, or h_i . W h_j."""


@model(takes="tokens")
def attentive_conv(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    form: Literal["light", "advanced"] = "light",
    energy: Energy = "dot",
    embedding: Count = 300,
    channels: Count = 300,
    kernel: Count = 3,
    dropout: Dropout = 0.5,
) -> nn.Module:
    """Windows that read the whole text by attention, too (Yin & Schuetze 2018, arXiv:1710.00519).

    (N, T) tokens to (N, outputs), of any length. The paper's form for one text, which is its own context: position i
    gives activation(norm(conv(h)_i + W c_i)), where c_i is the mean over the text weighed by the softmax of the
    `energy` between h_i and each h_j. Then the largest value of each of the `channels` over the text, `dropout`, and a
    dense layer. In the light form h are vectors of `embedding` numbers. In the advanced one they are refined by gated
    convolutions first, of one kind where windows look (the beneficiary), and of two, of kernel 1 and of `kernel`, side
    by side where it is decided what is read (source and focus). The paper has no norm, and tanh as its activation.

    Raises:
        ValueError: the kernel is even, or the norm or the convolution does not fit the widths.
    """
    convolved: nn.Module = nn.Identity()
    compared: nn.Module = nn.Identity()
    width = embedding
    plain = replace(parts, bias=True, standardized=False)  # where no norm follows
    if form == "advanced":
        convolved = GatedConvolution(embedding, kernel, plain)
        compared = Concatenated(GatedConvolution(embedding, 1, plain), GatedConvolution(embedding, kernel, plain))
        width = 2 * embedding
    network = AttentiveConv(
        Embedding(input_shape[0], embedding, draw_words),
        convolved,
        compared,
        _attention(width, channels, energy, plain),
        parts.conv(embedding, channels, kernel),
        nn.Sequential(parts.norm(channels), parts.activation()),
        nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, outputs)),
    )
    initialise_he(network)
    return network


def _attention(width: int, channels: int, energy: Energy, parts: Parts) -> Attention:
    """What each position reads from the whole text, as a part of `channels` sums: (N, width, T) to (N, channels, T)."""
    unbiased = replace(parts, bias=False)  # what it is added to has one
    query = nn.Identity() if energy == "dot" else unbiased.pointwise(width, width)
    return Attention(query, nn.Identity(), nn.Identity(), unbiased.pointwise(width, channels), scale=1.0)


class AttentiveConv(nn.Module):
    """Vectors of tokens, windows over them beside what attention reads, the largest values, head."""

    def __init__(
        self,
        embedding: nn.Module,
        convolved: nn.Module,
        compared: nn.Module,
        attention: Attention,
        convolution: nn.Module,
        ready: nn.Module,
        head: nn.Module,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.convolved, self.compared = convolved, compared
        self.attention, self.convolution = attention, convolution
        self.ready, self.head = ready, head

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T) to (N, outputs)."""
        real = real_positions(tokens)
        vectors = self.embedding(tokens)
        compared = self.compared(vectors)
        windows = self.convolution(silence(self.convolved(vectors), real))
        answers = self.ready(windows + self.attention(compared, compared, real))  # (N, C, T)
        outputs: Tensor = self.head(max_over(answers, real))
        return outputs


class GatedConvolution(nn.Module):
    """g x + (1 - g) tanh(conv(x)) with g = sigmoid(conv'(x)): every number kept, or renewed by its neighbours."""

    def __init__(self, channels: int, kernel: int, parts: Parts) -> None:
        super().__init__()
        self.new = parts.conv(channels, channels, kernel)
        self.gate = parts.conv(channels, channels, kernel)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, T) to the same shape."""
        kept: Tensor = self.gate(maps).sigmoid()
        new: Tensor = self.new(maps).tanh()
        return kept * maps + (1 - kept) * new
