"""A multilayer perceptron is dense layers as wide as it is told, on any signal."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import nn

from dlcat.layers.parts import choose
from dlcat.models import model


@pytest.mark.parametrize("shape", [(90,), (90, 1), (3, 30), (1, 9, 10)], ids=str)
def test_it_sees_all_numbers_of_a_signal_at_once(shape: tuple[int, ...]) -> None:
    network = model["mlp"](shape, 3, choose(), widths=(8, 6), dropout=0.5)
    dense = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert [module.weight.shape for module in dense] == [(8, 90), (6, 8), (3, 6)]
    assert network(torch.randn(4, *shape)).shape == (4, 3)


def test_hidden_layers_begin_with_the_variance_that_suits_rectifiers() -> None:
    torch.manual_seed(0)
    network = model["mlp"]((400,), 3, choose(norm="none"), widths=(300,))
    hidden = network[1]
    assert hidden.weight.std().item() == pytest.approx(sqrt(2 / 400), rel=0.05)


@pytest.mark.parametrize(("norm", "has_bias"), [("batch", False), ("none", True)])
def test_layers_have_a_bias_where_the_norm_adds_none(norm: str, has_bias: bool) -> None:
    network = model["mlp"]((5,), 3, choose(norm=norm), widths=(4,))
    assert (network[1].bias is not None) == has_bias
    assert network[-1].bias is not None
