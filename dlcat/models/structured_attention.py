"""A text as trees that nobody drew: words hang on words, and passages on passages, as far as it helps."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlcat.layers.parts import Parts, initialise_he
from dlcat.layers.tokens import FILLING, Embedding, max_over, real_positions, silence
from dlcat.layers.trees import tree_marginals
from dlcat.models import model
from dlcat.models.sizes import Count, Dropout
from dlcat.models.text_cnn import draw_words


@model(takes="tokens")
def structured_attention(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    embedding: Count = 200,
    semantic: Count = 150,
    structure: Count = 50,
    window: Count = 16,
    kernel: Count = 3,
    dropout: Dropout = 0.5,
) -> nn.Module:
    """Attention along all trees over words, then over passages (Liu & Lapata 2018, arXiv:1705.09207).

    (N, T) tokens to (N, outputs), of any length. Vectors of `embedding` numbers, and a block of convolution, norm and
    activation to `semantic` channels that say something and `structure` channels that decide what hangs on what. Within a
    passage each word is joined with what it hangs on and what hangs on it, in the mean over all trees (the matrix-tree
    theorem); the largest value of each channel stands for the passage. Passages are treated in the same way, and the
    largest values over all of them go through `dropout` to a dense layer. A small form of the paper's: its passages are
    sentences, ours are windows of so many tokens, for tokens do not say where a sentence ends; and where it has
    recurrent layers, here are convolutions of `kernel` positions.

    Raises:
        ValueError: the kernel is even, or the norm or the convolution does not fit the widths.
    """
    both = semantic + structure
    network = StructuredAttention(
        Embedding(input_shape[0], embedding, draw_words),
        Structured(parts.block(embedding, both, kernel), semantic, structure, parts),
        Structured(parts.block(semantic, both, kernel), semantic, structure, parts),
        window,
        nn.Sequential(nn.Dropout(dropout), nn.Linear(semantic, outputs)),
    )
    initialise_he(network)
    return network


class StructuredAttention(nn.Module):
    """Vectors of tokens, trees over the words of each passage, trees over passages, head."""

    def __init__(
        self, embedding: nn.Module, words: Structured, passages: Structured, window: int, head: nn.Module
    ) -> None:
        super().__init__()
        self.embedding, self.words, self.passages, self.head = embedding, words, passages, head
        self.window = window

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T) to (N, outputs)."""
        tokens = functional.pad(tokens, (0, -tokens.shape[1] % self.window), value=FILLING)
        real = real_positions(tokens)
        words = self.words.encoded(self.embedding(tokens), real)  # (N, C, T)
        passages, are_real = self._passages(words, real)
        joined = self.passages(self.passages.encoded(passages, are_real), are_real)
        outputs: Tensor = self.head(max_over(joined, are_real))
        return outputs

    def _passages(self, words: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, T) and what of it is text (N, T) to (N, semantic, P) and which passages are text (N, P)."""
        examples, channels, length = words.shape
        grid = (length // self.window, self.window)
        within = words.reshape(examples, channels, *grid).movedim(2, 1).flatten(0, 1)  # (N P, C, window)
        real = real.reshape(examples, *grid)
        are_real = real[..., 0]
        # A passage of filling is taken for one word, so that it has a tree; it is silenced below.
        known = torch.cat([torch.ones_like(real[..., :1]), real[..., 1:]], dim=2).flatten(0, 1)
        said = max_over(self.words(within, known), known)  # (N P, semantic)
        return silence(said.reshape(examples, grid[0], -1).transpose(1, 2), are_real), are_real


class Structured(nn.Module):
    """Each position beside what it hangs on and what hangs on it, in the mean over all trees.

    Of the channels, e say something and d decide: the score of an edge from i to j is tanh(W_p d_i) . W_a tanh(W_c d_j),
    that of a root w_r . d_j. With the probabilities a_ij of edges and a_j of roots, what j hangs on is
    p_j = sum_i a_ij e_i + a_j e_root, what hangs on it c_j = sum_k a_jk e_k, and it becomes tanh(W [e_j, p_j, c_j]).
    """

    def __init__(self, block: nn.Module, semantic: int, structure: int, parts: Parts) -> None:
        super().__init__()
        plain = replace(parts, bias=True, standardized=False)  # no norm follows
        unbiased = replace(plain, bias=False)
        self.block = block
        self.parent, self.child = (plain.pointwise(structure, structure) for _ in range(2))
        self.edge = unbiased.pointwise(structure, structure)
        self.root = unbiased.pointwise(structure, 1)
        self.root_says = nn.Parameter(torch.zeros(semantic))
        self.join = plain.pointwise(3 * semantic, semantic)
        self.semantic = semantic

    def encoded(self, maps: Tensor, real: Tensor) -> Tensor:
        """(N, C, T) to (N, semantic + structure, T), of which what is not text is 0."""
        return silence(self.block(maps), real)

    def forward(self, maps: Tensor, real: Tensor) -> Tensor:
        """(N, semantic + structure, T) and what of it is text (N, T) to (N, semantic, T)."""
        says, decides = maps[:, : self.semantic], maps[:, self.semantic :]
        heads = self.parent(decides).tanh()
        edges = heads.mT @ self.edge(self.child(decides).tanh())  # (N, T, T)
        hangs, is_root = tree_marginals(edges, self.root(decides).squeeze(1), real)
        hangs, is_root = hangs.to(says.dtype), is_root.to(says.dtype)
        above = says @ hangs + self.root_says[:, None] * is_root[:, None]
        below = says @ hangs.mT
        joined: Tensor = self.join(torch.cat([says, above, below], dim=1))
        return joined.tanh()
