"""Laws of every convolution, and what each type promises."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcat.layers.convs import conv

SIZES = [1, 7, 8]


def _maps(size: int, dimensions: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, *(size,) * dimensions, generator=torch.Generator().manual_seed(0))


def _weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("name", list(conv))
def test_the_size_is_divided_by_the_stride_and_rounded_up(name: str, kernel: int, stride: int, dimensions: int) -> None:
    module = conv[name](3, 4, kernel, stride, dimensions, True)
    for size in SIZES:
        assert module(_maps(size, dimensions)).shape == (2, 4, *(-(-size // stride),) * dimensions)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("name", list(conv))
def test_gradients_reach_the_input_and_every_weight(name: str, dimensions: int) -> None:
    module = conv[name](3, 4, 3, 1, dimensions, True)
    inputs = _maps(8, dimensions).requires_grad_()
    module(inputs).square().mean().backward()
    for tensor in (inputs, *module.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
        assert tensor.grad.any()


@pytest.mark.parametrize("name", list(conv))
def test_a_convolution_without_bias_maps_zero_to_zero(name: str) -> None:
    inputs = torch.zeros(1, 3, 8, 8)
    assert not conv[name](3, 4, 3, 1, 2, False)(inputs).any()
    assert conv[name](3, 4, 3, 1, 2, True)(inputs).any()


@pytest.mark.parametrize("name", list(conv))
def test_a_convolution_is_linear_and_moves_with_its_input(name: str) -> None:
    module = conv[name](3, 4, 3, 1, 2, False)
    inside = torch.zeros(1, 3, 16, 16)
    inside[:, :, 5:9, 5:9] = _maps(4, 2)[:1]
    torch.testing.assert_close(module(2 * inside), 2 * module(inside))
    moved = module(inside.roll((2, 3), (2, 3)))
    torch.testing.assert_close(moved, module(inside).roll((2, 3), (2, 3)))


@pytest.mark.parametrize("name", list(conv))
def test_an_even_kernel_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="kernel of 4 has no centre"):
        conv[name](3, 4, 4, 1, 2, True)


def test_a_dilated_convolution_is_one_with_a_larger_kernel_of_holes() -> None:
    dilated = conv["standard"](3, 4, 3, 2, 2, False, dilation=2)
    large = conv["standard"](3, 4, 5, 2, 2, False)
    with torch.no_grad():
        large.weight.zero_()
        large.weight[:, :, ::2, ::2] = dilated.weight
    torch.testing.assert_close(dilated(_maps(9, 2)), large(_maps(9, 2)))


def test_a_separable_convolution_is_a_full_one_whose_kernel_is_a_product() -> None:
    separable = conv["depthwise_separable"](3, 4, 3, 2, 2, True)
    across_positions, across_channels = separable
    full = conv["standard"](3, 4, 3, 2, 2, True)
    with torch.no_grad():
        full.weight.copy_(across_channels.weight * across_positions.weight.transpose(0, 1))
        full.bias.copy_(across_channels.bias)
    torch.testing.assert_close(separable(_maps(9, 2)), full(_maps(9, 2)))


@pytest.mark.parametrize("multiplier", [1, 2])
def test_a_separable_convolution_costs_one_over_channels_plus_one_over_window(multiplier: int) -> None:
    full = conv["standard"](32, 64, 3, 1, 2, False)
    separable = conv["depthwise_separable"](32, 64, 3, 1, 2, False, multiplier=multiplier)
    assert _weights(separable) / _weights(full) == pytest.approx(multiplier * (1 / 64 + 1 / 9))
