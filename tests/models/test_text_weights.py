"""Networks for tokens have as many weights as their papers' layers, summed by hand, and positions where papers count them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dlcat.layers.parts import choose
from dlcat.models import model

WORDS, LENGTH, CLASSES = 18_766, 64, 2
CHARACTERS = 71
"""The 70 of Zhang et al., and the filling."""


def _built(name: str, shape: tuple[int, int], norm: str = "none", **options: Any) -> nn.Module:
    with torch.device("meta"):
        network: nn.Module = model[name](shape, CLASSES, choose(norm=norm, dimensions=1), **options)
    return network


def _weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _char_cnn(features: int, hidden: int) -> int:
    convolutions = features * (CHARACTERS - 1) * 7 + features**2 * (7 + 4 * 3) + 6 * features
    dense = 34 * features * hidden + hidden**2 + hidden * CLASSES + 2 * hidden + CLASSES
    return convolutions + dense


VECTORS = WORDS * 300
# Kim 2014, section 3.1; Zhang et al. 2015, tables 1 and 2; Yin & Schuetze 2018, equations 1 to 4 and 7 to 10; Cho et al.
# 2014; Vaswani et al. 2017, with learned positions; Liu & Lapata 2018, equations 8 to 22, convolutions in the place of LSTMs.
BY_HAND: list[tuple[str, dict[str, Any], int]] = [
    ("text_cnn", {}, VECTORS + 100 * 300 * (3 + 4 + 5) + 300 + 300 * CLASSES + CLASSES),
    ("attentive_conv", {}, VECTORS + 300 * 300 * 3 + 300 + 300 * 300 + 300 * CLASSES + CLASSES),
    (
        "attentive_conv",
        {"form": "advanced", "energy": "bilinear"},
        # Two gated convolutions of 3, one of 1; a bilinear form and a sum over both grains; the windows; the last layer.
        VECTORS
        + 2 * 2 * (300**2 * 3 + 300)
        + 2 * (300**2 + 300)
        + 600**2
        + 600 * 300
        + (300**2 * 3 + 300)
        + 300 * CLASSES
        + CLASSES,
    ),
    ("multichannel_char_cnn", {}, VECTORS + 2 * (100 * 300 * (6 + 7 + 8) + 300) + 600 * CLASSES + CLASSES),
    (
        "gru",
        {"hidden": 128, "layers": 2},
        VECTORS + 2 * 3 * 128 * (300 + 128 + 2) + 2 * 3 * 128 * (256 + 128 + 2) + 256 * CLASSES + CLASSES,
    ),
    (
        "text_transformer",
        {"width": 128, "depth": 4},
        # Norm none: biases of three projections, not of the key, and of two dense layers, 8 d; the weights are 12 d^2.
        WORDS * 128 + LENGTH * 128 + 4 * (12 * 128**2 + 8 * 128) + 128 * CLASSES + CLASSES,
    ),
    (
        "structured_attention",
        {"embedding": 200},
        WORDS * 200
        + (200 * 3 + 1) * 200
        + (150 * 3 + 1) * 200
        + 2 * (3 * 50**2 + 2 * 50 + 50 + 150 + 3 * 150**2 + 150)
        + 150 * CLASSES
        + CLASSES,
    ),
]


@pytest.mark.parametrize(("name", "options", "weights"), BY_HAND, ids=str)
def test_a_network_for_words_has_the_weights_of_its_papers_layers(
    name: str, options: dict[str, Any], weights: int
) -> None:
    assert _weights(_built(name, (WORDS, LENGTH), **options)) == weights


@pytest.mark.parametrize(("size", "features", "hidden"), [("small", 256, 1024), ("large", 1024, 2048)])
def test_char_cnn_has_the_features_the_dense_layers_and_the_34_positions_of_its_paper(
    size: str, features: int, hidden: int
) -> None:
    network = _built("char_cnn", (CHARACTERS, 1014), size=size)
    assert _weights(network) == _char_cnn(features, hidden)
    dense = [layer.weight.shape for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert dense == [(hidden, (1014 - 96) // 27 * features), (hidden, hidden), (CLASSES, hidden)]


@pytest.mark.parametrize("length", [1, 2, 50, 122, 123, 200])
@pytest.mark.parametrize("conv", ["standard", "transposed", "dilated", "depthwise_separable"])
def test_char_cnn_foresees_how_many_positions_are_left(conv: str, length: int) -> None:
    with torch.device("meta"):
        parts = choose(conv=conv, dimensions=1)
        network: Any = model["char_cnn"]((9, length), CLASSES, parts, features=8, hidden=8)
        network.eval()(torch.zeros(2, length, dtype=torch.int64))


# arXiv:1606.01781, table 2: millions of weights, to one digit.
VDCNN = {9: 2.2, 17: 4.3, 29: 4.6, 49: 7.8}


def _convolutions(depth: int) -> list[nn.Conv1d]:
    network = _built("vdcnn", (CHARACTERS, 1024), norm="batch", depth=depth)
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv1d)]


@pytest.mark.parametrize("depth", list(VDCNN))
def test_vdcnn_has_as_many_layers_as_its_depth_says(depth: int) -> None:
    layers = _convolutions(depth)
    assert len(layers) == depth
    blocks = {9: (2, 2, 2, 2), 17: (4, 4, 4, 4), 29: (10, 10, 4, 4), 49: (16, 16, 10, 6)}[depth]
    assert [layer.out_channels for layer in layers[1:]] == [
        width for width, count in zip((64, 128, 256, 512), blocks, strict=True) for _ in range(count)
    ]
    assert all(layer.kernel_size == (3,) for layer in layers)


@pytest.mark.parametrize(("shallow", "deep"), [(9, 17), (17, 29), (29, 49)])
def test_a_deeper_vdcnn_has_as_many_weights_more_as_its_papers_table_says(shallow: int, deep: int) -> None:
    first, second = (sum(layer.weight.numel() for layer in _convolutions(depth)) for depth in (shallow, deep))
    assert (second - first) / 1e6 == pytest.approx(VDCNN[deep] - VDCNN[shallow], abs=0.1)


def test_the_dense_layers_of_vdcnn_are_those_of_its_paper() -> None:
    network = _built("vdcnn", (CHARACTERS, 1024))
    dense = [tuple(layer.weight.shape) for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert dense == [(2048, 4096), (2048, 2048), (CLASSES, 2048)]
