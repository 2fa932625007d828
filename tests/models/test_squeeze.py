"""Squeeze and excitation is its paper's formula, in one dimension and two."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dlcat.layers.parts import choose
from dlcat.models import model
from dlcat.models.squeeze import SqueezeExcitation, squeeze_excitation


@pytest.mark.parametrize("shape", [(3, 8, 5), (3, 8, 4, 7)], ids=str)
def test_each_channel_is_scaled_by_what_the_means_of_all_decide(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    block = SqueezeExcitation(8, 4).double()
    inputs = torch.randn(shape, dtype=torch.float64)
    first, second = (layer for layer in block.factors if isinstance(layer, nn.Linear))
    for example, found in zip(inputs, block(inputs), strict=True):
        means = torch.stack([channel.sum() / channel.numel() for channel in example])
        hidden = (first.weight @ means + first.bias).clamp(min=0)
        factors = 1 / (1 + torch.exp(-(second.weight @ hidden + second.bias)))
        for channel, factor, scaled in zip(example, factors, found, strict=True):
            torch.testing.assert_close(scaled, channel * factor)


def test_gradients_are_exact() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(SqueezeExcitation(6, 2).double(), (inputs,))


@pytest.mark.parametrize(("channels", "reduction", "hidden"), [(64, 16, 4), (8, 16, 1), (20, 3, 6)])
def test_the_reduction_decides_the_hidden_numbers(channels: int, reduction: int, hidden: int) -> None:
    assert SqueezeExcitation(channels, reduction).factors[0].out_features == hidden


def test_the_memory_format_stays() -> None:
    inputs = torch.randn(2, 8, 4, 4).to(memory_format=torch.channels_last)
    assert SqueezeExcitation(8, 4)(inputs).is_contiguous(memory_format=torch.channels_last)


def test_a_reduction_of_0_leaves_it_out() -> None:
    assert isinstance(squeeze_excitation(8, 0), nn.Identity)


@pytest.mark.parametrize(
    ("name", "options", "blocks"),
    [
        ("resnet", {"depth": 8}, 3),
        ("resnext", {"depth": 11, "groups": 4}, 3),
        ("mobilenet", {"width": 0.25, "version": 1}, 13),
        ("mobilenet", {"width": 0.25, "version": 2}, 17),
    ],
    ids=str,
)
@pytest.mark.parametrize("dimensions", [1, 2])
def test_models_take_one_for_each_block(name: str, options: dict[str, Any], blocks: int, dimensions: int) -> None:
    parts = choose(dimensions=dimensions)
    shape = (1,) + (12,) * dimensions
    network = model[name](shape, 10, parts, squeeze=16, **options)
    assert sum(isinstance(module, SqueezeExcitation) for module in network.modules()) == blocks
    network(torch.randn(3, *shape)).sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())
