"""Residual networks are the published ones, to the last weight."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dlcat.layers.parts import choose
from dlcat.models.residual import Residual
from dlcat.models.resnet import resnet


def _build(outputs: int = 10, norm: str = "batch", **options: Any) -> nn.Module:
    parts = choose(norm=norm)
    return resnet((3, 32, 32), outputs, parts, **options)


def _weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("depth", "weights"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)]
)
def test_the_cifar_form_has_the_weights_of_the_paper(depth: int, weights: int) -> None:
    with torch.device("meta"):
        assert _weights(_build(depth=depth, shortcut="pad")) == weights


@pytest.mark.parametrize(
    ("depth", "weights"),
    [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],
)
def test_the_imagenet_form_has_the_published_number_of_weights(depth: int, weights: int) -> None:
    with torch.device("meta"):
        assert _weights(_build(1000, depth=depth)) == weights


def test_projections_add_their_weights() -> None:
    assert _weights(_build(depth=20)) == 272_474


@pytest.mark.parametrize("depth", [8, 20, 18, 50, 152])
def test_the_depth_counts_the_layers_with_weights(depth: int) -> None:
    with torch.device("meta"):
        network = _build(depth=depth, shortcut="pad")
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in network.modules()) == depth


@pytest.mark.parametrize("depth", [10, 19, 36])
def test_a_depth_of_neither_form_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=f"no residual network is {depth} deep: expected 6n"):
        _build(depth=depth)


@pytest.mark.parametrize(("depth", "stem", "size"), [(20, "imagenet", 8), (18, "cifar", 32), (18, "auto", 8)])
def test_the_stem_decides_the_size_of_the_first_stage(depth: int, stem: str, size: int) -> None:
    network = _build(depth=depth, stem=stem)
    assert network.stem(torch.randn(1, 3, 32, 32)).shape[-2:] == (size, size)


def test_the_inner_width_multiplies_channels_inside_the_blocks_alone() -> None:
    block = _build(depth=50, inner_width=2).stage1[0]
    convolutions = [layer for layer in block.branch if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [128, 128, 256]


def test_the_width_multiplies_all_channels() -> None:
    wide = _build(depth=20, width=2)
    assert wide.head.in_features == 128
    assert wide.stem[0].out_channels == 32


@pytest.mark.parametrize("depth", [20, 50])
def test_blocks_begin_as_their_shortcut_where_the_last_scale_is_zero(depth: int) -> None:
    network = _build(depth=depth, zero_last=True)
    block = next(module for module in network.modules() if isinstance(module, Residual))
    inputs = torch.randn(2, 16 if depth == 20 else 64, 8, 8)
    torch.testing.assert_close(block(inputs), block.shortcut(inputs).relu())


def test_zero_last_is_refused_where_the_norm_has_no_scale() -> None:
    with pytest.raises(ValueError, match="this norm has no scale"):
        _build(norm="none", zero_last=True)


def test_blocks_begin_as_their_shortcut_with_squeeze_and_excitation_too() -> None:
    network = _build(depth=8, squeeze=4, zero_last=True)
    inputs = torch.randn(2, 16, 8, 8)
    torch.testing.assert_close(network.stage1[0](inputs), inputs.relu())


def test_a_padded_shortcut_drops_positions_and_adds_channels_of_zeros() -> None:
    network = _build(depth=8, shortcut="pad")
    inputs = torch.randn(2, 16, 7, 7)
    outputs = network.stage2[0].shortcut(inputs)
    assert outputs.shape == (2, 32, 4, 4)
    assert torch.equal(outputs[:, :16], inputs[:, :, ::2, ::2])
    assert not outputs[:, 16:].any()


def test_a_shortcut_has_weights_only_where_the_shape_changes() -> None:
    shortcuts = [module.shortcut for module in _build(depth=20).modules() if isinstance(module, Residual)]
    assert [index for index, shortcut in enumerate(shortcuts) if list(shortcut.parameters())] == [3, 6]
