"""Laws of every model: it builds from every part, takes every size, and learns with all its weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dlcat.layers.activations import activation
from dlcat.layers.convs import conv
from dlcat.layers.norms import norm
from dlcat.layers.parts import Parts, choose
from dlcat.models import model
from dlcat.registry import Choice

OUTPUTS = 10
FITTING: dict[str, dict[str, Any]] = {"group": {"groups": 4}}  # 32 groups do not divide the 16 channels of a ResNet
SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar": (3, 32, 32)}


def _parts(conv_name: str = "standard", norm_name: str = "batch", act: str = "relu", dimensions: int = 2) -> Parts:
    return choose(
        conv_choice=Choice(name=conv_name),
        norm_choice=Choice(name=norm_name, options=FITTING.get(norm_name, {})),
        activation_choice=Choice(name=act),
        dimensions=dimensions,
    )


def _learns(network: nn.Module, shape: tuple[int, ...]) -> None:
    inputs = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    outputs = network(inputs)
    assert outputs.shape == (3, OUTPUTS)
    nn.functional.cross_entropy(outputs, torch.arange(3)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("shape", list(SHAPES.values()), ids=list(SHAPES))
@pytest.mark.parametrize("norm_name", list(norm))
@pytest.mark.parametrize("conv_name", list(conv))
@pytest.mark.parametrize("name", list(model))
def test_every_model_learns_with_every_convolution_and_norm(
    name: str, conv_name: str, norm_name: str, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    _learns(model[name](shape, OUTPUTS, _parts(conv_name, norm_name)), shape)


@pytest.mark.parametrize("act", list(activation))
@pytest.mark.parametrize("name", list(model))
def test_every_model_learns_with_every_activation(name: str, act: str) -> None:
    _learns(model[name]((1, 8, 8), OUTPUTS, _parts(act=act)), (1, 8, 8))


@pytest.mark.parametrize("shape", [(1, 40), (5, 97)], ids=str)
@pytest.mark.parametrize("name", list(model))
def test_every_model_takes_one_dimension(name: str, shape: tuple[int, ...]) -> None:
    _learns(model[name](shape, OUTPUTS, _parts(dimensions=1)), shape)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 5), (4, 9, 31)], ids=str)
@pytest.mark.parametrize("name", list(model))
def test_every_model_takes_odd_sizes(name: str, shape: tuple[int, ...]) -> None:
    _learns(model[name](shape, OUTPUTS, _parts()), shape)


@pytest.mark.parametrize("name", list(model))
def test_in_evaluation_an_example_does_not_depend_on_its_batch(name: str) -> None:
    network = model[name]((1, 8, 8), OUTPUTS, _parts())
    images = torch.randn(4, 1, 8, 8)
    network(images)
    network.eval()
    torch.testing.assert_close(network(images)[:1], network(images[:1]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", list(model))
def test_memory_format_does_not_change_the_answer(name: str) -> None:
    network = model[name]((3, 16, 16), OUTPUTS, _parts()).eval()
    images = torch.randn(2, 3, 16, 16)
    contiguous = network(images)
    channels_last = network.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(channels_last, contiguous, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", list(model))
def test_the_seed_decides_the_first_weights(name: str) -> None:
    def first() -> torch.Tensor:
        torch.manual_seed(7)
        return nn.utils.parameters_to_vector(model[name]((1, 8, 8), OUTPUTS, _parts()).parameters())

    assert torch.equal(first(), first())


@pytest.mark.parametrize("name", list(model))
def test_a_model_overfits_four_images(name: str) -> None:
    torch.manual_seed(0)
    network = model[name]((1, 8, 8), OUTPUTS, _parts())
    images, targets = torch.randn(4, 1, 8, 8), torch.arange(4)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), targets)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_a_convnet_shrinks_by_pool_or_stride_with_the_same_weights() -> None:
    pool, stride = (model["convnet"]((1, 28, 28), OUTPUTS, _parts(), downsample=how) for how in ("pool", "stride"))
    assert [p.shape for p in pool.parameters()] == [p.shape for p in stride.parameters()]
    assert any(isinstance(module, nn.MaxPool2d) for module in pool.modules())
    strides = [module.stride for module in stride.modules() if isinstance(module, nn.Conv2d)]
    assert strides.count((2, 2)) == 2


def test_a_convnet_has_as_many_blocks_as_it_is_told() -> None:
    network = model["convnet"]((1, 28, 28), OUTPUTS, _parts(), widths=(8, 16), blocks=3)
    widths = [module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert widths == [8, 8, 8, 16, 16, 16]


def test_lenet_takes_its_widths_and_dropout() -> None:
    network = model["lenet"]((1, 28, 28), OUTPUTS, _parts(), widths=(6, 16), hidden=84, dropout=0.5)
    dense = [module.weight.shape for module in network.modules() if isinstance(module, nn.Linear)]
    assert dense == [(84, 16 * 7 * 7), (10, 84)]
    images = torch.randn(8, 1, 28, 28)
    assert not torch.equal(network(images), network(images))
