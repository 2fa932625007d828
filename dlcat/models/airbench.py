"""A small network for fast training on CIFAR-10, after airbench."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.layers.standardized import StandardizedConvolution
from dlcat.layers.whitening import KERNEL, Whitening
from dlcat.models import model
from dlcat.models.residual import large_stem, small_stem
from dlcat.models.sizes import Stem, Width, is_small, scaled

STEM_CHANNELS = 24
WIDTHS = (64, 256, 256)
HEAD_SCALE = 1 / 9


@model
def airbench(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    width: Width = 1.0,
    blocks: Annotated[int, Ge(1)] = 2,
    identity: bool = False,
    whiten: bool = False,
    stem: Stem = "auto",
) -> nn.Module:
    """Three stages of two convolutions for fast training on CIFAR-10 (after Jordan 2024, arXiv:2404.00498).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. A stem of 24 channels; stages of 64, 256 and 256
    channels times `width`, each of `blocks` 3 x 3 convolutions with a max pool of 2 behind the first of them, before
    its norm; the largest value over all positions; a dense layer without a bias, whose outputs are divided by 9.
    `identity` starts the first outputs of each 3 x 3 convolution as its inputs, as in the paper. `whiten` makes the stem
    the paper's: fixed 2 x 2 windows that whiten the patches of training images, which give 8 channels for one that they
    read, 24 for colours. Without it the stem is a 3 x 3 convolution that learns, or that of `resnet` for large images
    (`stem`: cifar, imagenet, auto).
    The paper's activation is gelu, and its batch norm has a momentum of 0.4; both are a recipe's to choose. Scales that
    stay at 1, a rate for biases of their own, lookahead and mirror images by turns are not built.

    Raises:
        ValueError: the norm or the convolution does not fit the widths, or `identity` where the convolution is not
            full or its weights are standardized, or `whiten` where the inputs are no images.
    """
    if whiten:
        layers, channels = _white_stem(input_shape, parts)
    else:
        channels = scaled(STEM_CHANNELS, width)
        make_stem = small_stem if is_small(stem, input_shape) else large_stem
        layers = [make_stem(input_shape[0], channels, parts)]
    convolutions = []
    for planned in WIDTHS:
        given = scaled(planned, width)
        for index in range(blocks):
            convolution, norm, activation = parts.block(channels, given, 3)
            convolutions.append(convolution)
            layers += [convolution, *([parts.max_pool()] if index == 0 else []), norm, activation]
            channels = given
    largest = {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d}[parts.dimensions]
    layers += [largest(1), nn.Flatten(), nn.Linear(channels, outputs, bias=False), Scaled(HEAD_SCALE)]
    network = nn.Sequential(*layers)
    initialise_he(network)
    if identity:
        for convolution in convolutions:
            _start_as_identity(convolution)
    return network


def _white_stem(input_shape: tuple[int, ...], parts: Parts) -> tuple[list[nn.Module], int]:
    """Layers, and the channels that they give."""
    if parts.dimensions != 2 or min(input_shape[1:]) < KERNEL:
        raise ValueError(
            f"whiten looks at {KERNEL} x {KERNEL} patches of images; expected false for inputs {input_shape}"
        )
    whitening = Whitening(input_shape[0])
    return [whitening, parts.activation()], whitening.out_channels


class Scaled(nn.Module):
    """Numbers times a factor that is not learned."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, inputs: Tensor) -> Tensor:
        """Any shape to the same."""
        return inputs * self.factor

    def extra_repr(self) -> str:
        return f"{self.factor:g}"


def _start_as_identity(convolution: nn.Module) -> None:
    """Let the first outputs be the inputs: a single 1 in the middle of each window."""
    if isinstance(convolution, StandardizedConvolution):
        raise ValueError(
            "identity starts convolutions as what they read, and standardized weights cannot be that; "
            "expected another norm, or identity: false"
        )
    if not isinstance(convolution, nn.Conv1d | nn.Conv2d) or convolution.groups > 1:
        raise ValueError(
            "identity starts full convolutions as what they read, and the chosen one is none; "
            "expected standard, dilated or pointwise, or identity: false"
        )
    with torch.no_grad():
        nn.init.dirac_(convolution.weight[: convolution.in_channels])
