"""A network that reads a text letter by letter, of a fixed length, as one reads an image."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn
from torch.nn import functional

from dlcat.layers.parts import Parts, initialise_he
from dlcat.layers.tokens import Embedding, OneHot
from dlcat.models import model
from dlcat.models.dense import hidden_layers
from dlcat.models.sizes import Count, Dropout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KERNELS = (7, 7, 3, 3, 3, 3)
POOLED = (True, True, False, False, False, True)
POOL = 3
FEATURES = {"large": 1024, "small": 256}
HIDDEN = {"large": 2048, "small": 1024}
MANY = 1024
"""Tokens from which on one-hot codes are refused: they are meant for characters."""

draw_characters = partial(nn.init.normal_, std=0.05)


@model(takes="tokens")
def char_cnn(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    size: Literal["large", "small"] = "small",
    features: Count | None = None,
    hidden: Count | None = None,
    characters: Literal["one_hot", "learned"] = "one_hot",
    embedding: Count = 16,
    dropout: Dropout = 0.5,
) -> nn.Module:
    """Six convolutions over characters and three dense layers (Zhang et al. 2015, arXiv:1509.01626).

    (N, T) tokens to (N, outputs), where T is the length that the network was built for, or less. Convolutions of 7, 7,
    3, 3, 3 and 3 positions with norm and activation, the largest of every 3 positions behind the first two and the
    last, and dense layers with `dropout` over all positions that are left. The `size` is the paper's: 256 `features`
    and 1024 `hidden` numbers (small), or 1024 and 2048 (large). `characters` are one channel each (one_hot), or learned
    vectors of `embedding` numbers. As in the paper, which has no norm (`none`), windows stay inside the text where that
    leaves a position; else zeros are put around.

    Filling is let in, as the paper does it: a blank is a position of zeros, and the dense layers know each position by
    its place. A shorter batch is filled up to the length that the network was built for, so that it does not matter how
    much of the filling was there before.

    Raises:
        ValueError: the norm or the convolution does not fit the widths, or there are too many tokens for one channel each.
    """
    vocabulary, length = input_shape
    features, hidden = features or FEATURES[size], hidden or HIDDEN[size]
    code, width = _code(vocabulary, characters, embedding)
    maps = _convolutions(width, features, length, parts)
    network = CharCnn(
        code, maps, hidden_layers(features * _left(maps, length), hidden, outputs, dropout, parts), length
    )
    initialise_he(network)
    return network


class CharCnn(nn.Module):
    """Codes of characters, filled up to one length; layers over them; dense layers over all that is left."""

    def __init__(self, characters: nn.Module, maps: nn.Sequential, dense: nn.Sequential, length: int) -> None:
        super().__init__()
        self.characters, self.maps, self.dense = characters, maps, dense
        self.length = length

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T) to (N, outputs)."""
        codes = self.characters(functional.pad(tokens, (0, self.length - tokens.shape[1])))
        outputs: Tensor = self.dense(self.maps(codes).flatten(1))
        return outputs


def _code(vocabulary: int, characters: Literal["one_hot", "learned"], embedding: int) -> tuple[nn.Module, int]:
    """What makes maps of tokens, and their channels."""
    if characters == "learned":
        return Embedding(vocabulary, embedding, draw_characters), embedding
    if vocabulary > MANY:
        raise ValueError(
            f"one_hot is a channel for each of {vocabulary} tokens: expected characters, {MANY} at most; "
            "`characters: learned` gives any number of tokens vectors"
        )
    return OneHot(vocabulary), vocabulary - 1


def _convolutions(channels: int, features: int, length: int, parts: Parts) -> nn.Sequential:
    """The paper's, without zeros around the text; with them where nothing would be left without."""
    blocks = [parts.stem(channels, features, KERNELS[0])]
    blocks += [parts.block(features, features, kernel) for kernel in KERNELS[1:]]
    inside = _with_pools(blocks, partial(nn.MaxPool1d, POOL))
    if _left(inside, length, is_padded=False) < 1:
        return _with_pools(blocks, partial(nn.MaxPool1d, POOL, padding=1))
    for step in inside.modules():
        if isinstance(step, nn.Conv1d):
            step.padding = (0,)
    return inside


def _with_pools(blocks: Sequence[nn.Module], make_pool: Callable[[], nn.Module]) -> nn.Sequential:
    pairs = zip(blocks, POOLED, strict=True)
    return nn.Sequential(*(nn.Sequential(block, make_pool()) if is_pooled else block for block, is_pooled in pairs))


def _left(maps: nn.Sequential, positions: int, *, is_padded: bool = True) -> int:
    """Positions behind the layers: of t, floor((t + 2 padding - dilation (kernel - 1) - 1) / stride) + 1 each."""
    for step in maps.modules():
        if isinstance(step, nn.Conv1d | nn.MaxPool1d):
            settings = (step.padding, step.dilation, step.kernel_size, step.stride)
            padding, dilation, kernel, stride = (each[0] if isinstance(each, tuple) else int(each) for each in settings)
            positions = (positions + 2 * padding * is_padded - dilation * (kernel - 1) - 1) // stride + 1
    return positions
