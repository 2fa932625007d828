"""ShakeDrop is its paper's formula, forward and backward, and rests in evaluation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dlcat.layers.parts import choose
from dlcat.models import model
from dlcat.models.shake_drop import ShakeDrop, shake_drops

RESIDUAL = {"resnet": {"depth": 8}, "preact_resnet": {"depth": 8}, "resnext": {"depth": 11, "groups": 4}}


def _factors(probability: float, seed: int, count: int = 20_000) -> tuple[Tensor, Tensor]:
    """What each number, and its gradient, is multiplied by in one forward and backward pass."""
    torch.manual_seed(seed)
    inputs = torch.full((count,), 3.0, requires_grad=True)
    outputs = ShakeDrop(probability)(inputs)
    outputs.sum().backward()
    return outputs.detach() / 3, inputs.grad


def test_shaken_batches_are_multiplied_by_even_noise_and_their_gradients_by_other_noise() -> None:
    forward, backward = _factors(0.999, 0)
    for factors, low, high in ((forward, -1, 1), (backward, 0, 1)):
        assert low <= factors.min() < low + 0.01
        assert high - 0.01 < factors.max() <= high + 1e-6
        assert factors.mean().item() == pytest.approx((low + high) / 2, abs=0.02)
        assert factors.var().item() == pytest.approx((high - low) ** 2 / 12, rel=0.05)
    assert abs(torch.corrcoef(torch.stack([forward, backward]))[0, 1]) < 0.03


def test_so_many_batches_are_shaken_and_the_others_are_as_they_were() -> None:
    shaken = 0
    for seed in range(400):
        forward, backward = _factors(0.3, seed, count=2)
        is_whole = bool((forward == 1).all())
        assert is_whole == bool((backward == 1).all())
        shaken += not is_whole
    assert shaken / 400 == pytest.approx(0.3, abs=0.07)


def test_in_evaluation_it_is_its_mean() -> None:
    inputs = torch.randn(50_000)
    shaking = ShakeDrop(0.4)
    assert torch.equal(shaking.eval()(inputs), inputs * 0.6)
    shaking.train()
    drawn = torch.stack([shaking(torch.ones(500)).mean() for _ in range(600)])
    assert drawn.mean().item() == pytest.approx(0.6, abs=0.06)


def test_blocks_are_shaken_the_more_the_deeper_they_are() -> None:
    probabilities = [each.probability for each in shake_drops(4, 0.5) if isinstance(each, ShakeDrop)]
    assert probabilities == [0.125, 0.25, 0.375, 0.5]
    assert all(isinstance(each, nn.Identity) for each in shake_drops(3, 0.0))


def test_noise_lies_in_memory_as_its_input_does_and_is_of_its_type() -> None:
    inputs = torch.randn(2, 4, 3, 3, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    outputs = ShakeDrop(0.9)(inputs)
    assert outputs.dtype == torch.bfloat16
    assert outputs.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", list(RESIDUAL))
def test_networks_without_it_have_the_weights_of_those_with_it_and_the_same_seed_shakes_alike(name: str) -> None:
    torch.manual_seed(0)
    shaken = model[name]((1, 8, 8), 3, choose(), **RESIDUAL[name], shake_drop=0.9)
    torch.manual_seed(0)
    plain = model[name]((1, 8, 8), 3, choose(), **RESIDUAL[name])
    assert sum(isinstance(module, ShakeDrop) for module in shaken.modules()) == 3
    assert not any(isinstance(module, ShakeDrop) for module in plain.modules())
    plain.load_state_dict(shaken.state_dict())
    images = torch.randn(4, 1, 8, 8)
    torch.manual_seed(7)
    first, second = shaken(images), shaken(images)
    assert not torch.equal(first, second)
    torch.manual_seed(7)
    assert torch.equal(shaken(images), first)


def test_second_derivatives_flow_through() -> None:
    """As line searches that go by curvature ask for them."""
    torch.manual_seed(0)
    weight = torch.tensor(2.0, requires_grad=True)
    outputs = ShakeDrop(0.5)(weight.square().expand(3, 2))
    (slope,) = torch.autograd.grad(outputs.square().sum(), weight, create_graph=True)
    assert torch.autograd.grad(slope, weight)[0].isfinite()
