"""GoogLeNet has the published weights, and its blocks look through four windows side by side."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dlcat.layers.parts import choose
from dlcat.models import model
from dlcat.models.concatenated import Concatenated
from dlcat.models.squeeze import SqueezeExcitation
from dlcat.registry import Choice

# The table of arXiv:1409.4842, from "inception (3a)" on: channels in; 1 x 1, 3 x 3 reduce, 3 x 3, 5 x 5 reduce, 5 x 5,
# pool projection.
TABLE = (
    (192, 64, 96, 128, 16, 32, 32),
    (256, 128, 128, 192, 32, 96, 64),
    (480, 192, 96, 208, 16, 48, 64),
    (512, 160, 112, 224, 24, 64, 64),
    (512, 128, 128, 256, 24, 64, 64),
    (512, 112, 144, 288, 32, 64, 64),
    (528, 256, 160, 320, 32, 128, 128),
    (832, 256, 160, 320, 32, 128, 128),
    (832, 384, 192, 384, 48, 128, 128),
)


def _build(
    shape: tuple[int, ...] = (3, 32, 32), outputs: int = 10, norm: str = "batch", conv: str = "standard", **options: Any
) -> Any:
    torch.manual_seed(0)
    parts = choose(conv=conv, norm=norm, dimensions=len(shape) - 1)
    return model["googlenet"](shape, outputs, parts, **options)


def _weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _by_formula(widest: int, per_channel: int) -> int:
    """Weights of the ImageNet form; behind each output channel of a convolution are 2 more of a norm, or 1 bias."""

    def convolution(channels_in: int, channels_out: int, kernel: int) -> int:
        return channels_out * (channels_in * kernel**2 + per_channel)

    total = convolution(3, 64, 7) + convolution(64, 64, 1) + convolution(64, 192, 3)
    for channels, alone, before_middle, middle, before_wide, wide, pooled in TABLE:
        total += convolution(channels, alone, 1)
        total += convolution(channels, before_middle, 1) + convolution(before_middle, middle, 3)
        total += convolution(channels, before_wide, 1) + convolution(before_wide, wide, widest)
        total += convolution(channels, pooled, 1)
    return total + 1024 * 1000 + 1000


@pytest.mark.parametrize(
    ("norm", "widest", "weights"),
    [
        ("batch", 3, 6_624_904),  # torchvision's documentation, `num_params` of googlenet, which leaves out auxiliaries
        ("none", 5, 6_998_552),  # Caffe's bvlc_googlenet as it is deployed, which has biases and no weights in norms
        ("batch", 5, 7_005_832),  # by the formula alone: 380,928 more than with 3
    ],
)
def test_the_imagenet_form_has_the_published_number_of_weights(norm: str, widest: int, weights: int) -> None:
    assert _by_formula(widest, per_channel=2 if norm == "batch" else 1) == weights
    with torch.device("meta"):
        assert _weights(_build((3, 224, 224), 1000, norm, widest=widest)) == weights


def test_the_channels_between_blocks_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        network = _build((3, 224, 224))
        blocks = [layer for layer in network if isinstance(layer, Concatenated)]
        assert [block.branches[0][0].in_channels for block in blocks] == [row[0] for row in TABLE]


@pytest.mark.parametrize(
    ("shape", "sizes"), [((3, 224, 224), (28, 14, 7)), ((3, 32, 32), (32, 16, 8)), ((1, 100), (13, 7, 4))]
)
def test_the_form_follows_the_size_of_the_input(shape: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    with torch.device("meta"):
        maps, found = torch.empty(2, *shape), []
        for layer in _build(shape, width=0.25):
            maps = layer(maps)
            if isinstance(layer, Concatenated):
                found.append(maps.shape[-1])
    assert tuple(dict.fromkeys(found)) == sizes
    assert [found.count(size) for size in sizes] == [2, 5, 2]


def test_the_stem_option_decides_where_auto_would_decide_otherwise() -> None:
    with torch.device("meta"):
        for stem, first in (("cifar", 32), ("imagenet", 16)):
            assert _build(stem=stem)[0](torch.empty(2, 3, 32, 32)).shape[-1] == first


def _block(norm: str) -> tuple[Concatenated, torch.Tensor]:
    block = next(layer for layer in _build((1, 9, 9), norm=norm, width=0.125).eval() if isinstance(layer, Concatenated))
    return block, torch.randn(2, block.branches[0][0].in_channels, 9, 9)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_block_puts_what_its_branches_give_behind_one_another_and_leaves_its_input_alone(norm: str) -> None:
    block, inputs = _block(norm)
    before = inputs.clone()
    outputs = block(inputs)
    assert torch.equal(inputs, before)
    torch.testing.assert_close(outputs, torch.cat([branch(before) for branch in block.branches], dim=1))


def test_branches_see_windows_of_one_three_five_and_three_positions() -> None:
    block, inputs = _block("none")
    for branch, reach in zip(block.branches, (0, 1, 2, 1), strict=True):
        moved = inputs.clone().requires_grad_()
        branch(moved)[:, :, 4, 4].sum().backward()
        rows = moved.grad.abs().sum((0, 1, 3)).nonzero().flatten() - 4
        assert rows.abs().max() <= reach
        if branch is not block.branches[3]:  # which row of a window is the largest is not for us to say
            assert rows.abs().max() == reach


def test_gradients_of_a_block_are_exact() -> None:
    block, _ = _block("none")
    one = _build((1, 7), norm="none", width=0.125)
    block = next(layer for layer in one if isinstance(layer, Concatenated)).double()
    inputs = torch.randn(1, block.branches[0][0].in_channels, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (inputs,))


@pytest.mark.parametrize("options", [{"widest": 3}, {"squeeze": 4}, {"stem": "imagenet"}], ids=str)
@pytest.mark.parametrize("shape", [(2, 17), (1, 9, 12)], ids=str)
def test_gradients_reach_every_weight(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    network = _build(shape, width=0.25, **options)
    network(torch.randn(4, *shape)).logsumexp(1).sum().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_squeeze_and_excitation_ends_every_block() -> None:
    network = _build(width=0.25, squeeze=4)
    kinds = [type(layer) for layer in network]
    assert kinds.count(SqueezeExcitation) == len(TABLE)
    assert all(kinds[place - 1] is Concatenated for place, kind in enumerate(kinds) if kind is SqueezeExcitation)


def test_dropout_stands_before_the_last_layer_alone() -> None:
    network = _build((1, 8, 8), width=0.125, norm="none", dropout=0.5)
    images = torch.randn(2, 1, 8, 8)
    assert not torch.equal(network(images), network(images))
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.5]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"norm": "group"}, "32 groups do not divide"),
        ({"conv": "depthwise"}, "as many outputs for each channel"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_the_reason(options: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason), torch.device("meta"):
        _build(**options)


@pytest.mark.parametrize(("option", "value"), [("widest", 4), ("width", 0), ("squeeze", -1), ("dropout", 1.0)])
def test_options_out_of_bounds_are_refused(option: str, value: object) -> None:
    assert [where for where, _ in model.check(Choice(name="googlenet", options={option: value}))[1]] == [option]
