"""Convolutions whose weights are standardized before they are used."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from dlcat.layers.convs import conv
from dlcat.layers.parts import Parts, choose, initialise_he
from dlcat.layers.standardized import StandardizedConvolution, standardized
from dlcat.registry import Choice

CHANNELS = 4  # in and out: what every type of convolution can do


def _parts(name: str = "weight_standardization", convolution: str = "standard", dimensions: int = 2) -> Parts:
    return choose(
        conv=Choice(name=convolution, options={"groups": 2} if "group" in convolution else {}),
        norm=Choice(name=name, options={"groups": 2} if name != "none" else {}),
        dimensions=dimensions,
    )


def _maps(dimensions: int = 2) -> Tensor:
    return torch.randn(2, CHANNELS, *(8,) * dimensions, generator=torch.Generator().manual_seed(0))


def _weights(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.dim() > 2]


def test_a_standardized_convolution_is_one_with_weights_of_mean_0_and_variance_1() -> None:
    module = StandardizedConvolution(nn.Conv2d(CHANNELS, 6, 3, padding=1)).double()
    raw = module.convolution.weight
    mean, variance = raw.mean((1, 2, 3), keepdim=True), raw.var((1, 2, 3), correction=0, keepdim=True)
    expected = (raw - mean) / (variance + 1e-5) ** 0.5
    inputs = _maps().double()
    outputs = functional.conv2d(inputs, expected, module.convolution.bias, padding=1)
    torch.testing.assert_close(module(inputs), outputs)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_has_its_output_channels_on_the_second_axis(groups: int) -> None:
    module = nn.ConvTranspose2d(CHANNELS, 6, 3, groups=groups).double()
    weight = standardized(module)
    assert weight.shape == module.weight.shape
    for each in weight.chunk(groups):  # (C / groups, C' / groups, k, k)
        torch.testing.assert_close(each.mean((0, 2, 3)), torch.zeros(6 // groups).double())
        assert (each.var((0, 2, 3), correction=0) > 0.99).all()


def test_a_channel_of_one_weight_keeps_it() -> None:
    for module in (nn.Conv2d(1, 6, 1), nn.Conv1d(CHANNELS, CHANNELS, 1, groups=CHANNELS)):
        assert torch.equal(standardized(module), module.weight)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("name", list(conv))
def test_every_convolution_forgets_the_size_and_the_mean_of_its_weights(name: str, dimensions: int) -> None:
    torch.manual_seed(0)
    module = _parts(convolution=name, dimensions=dimensions).conv(CHANNELS, CHANNELS, 3).double()
    inputs = _maps(dimensions).double()
    with torch.no_grad():
        for weight in _weights(module):
            weight.mul_(300)  # so that what is added to the variance does not count
    large = module(inputs)
    with torch.no_grad():
        for weight in _weights(module):
            if weight[0].numel() > 1:
                weight.mul_(5).add_(7)
    torch.testing.assert_close(module(inputs), large, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", list(conv))
def test_gradients_reach_the_raw_weights(name: str) -> None:
    torch.manual_seed(0)
    module = _parts(convolution=name).conv(CHANNELS, CHANNELS, 3)
    module(_maps()).pow(3).sum().backward()
    assert _weights(module)
    for weight in _weights(module):
        assert isinstance(weight, nn.Parameter)
        assert weight.grad is not None
        assert weight.grad.isfinite().all()
        assert weight.grad.any()


def test_parts_standardize_every_convolution_for_that_norm_and_none_for_others() -> None:
    def made(parts: Parts) -> list[nn.Module]:
        return [parts.conv(4, 4, 3), parts.pointwise(4, 4), parts.stem(4, 4, 3)[0], parts.block(4, 4, 3)[0]]

    assert all(isinstance(module, StandardizedConvolution) for module in made(_parts()))
    assert not any(isinstance(module, StandardizedConvolution) for module in made(_parts("group")))


def test_the_first_weights_are_drawn_through_the_wrapper() -> None:
    module = _parts().conv(256, CHANNELS, 3)
    initialise_he(module)
    (weight,) = _weights(module)
    assert weight.var().item() == pytest.approx(2 / (256 * 9), rel=0.1)


def test_the_state_and_the_memory_order_are_those_of_the_raw_weights() -> None:
    module = _parts().conv(CHANNELS, CHANNELS, 3)
    restored = _parts().conv(CHANNELS, CHANNELS, 3)
    restored.load_state_dict(module.state_dict())
    spread = _maps().contiguous(memory_format=torch.channels_last)
    restored.to(memory_format=torch.channels_last)
    found = restored(spread)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, module(_maps()), atol=1e-5, rtol=1e-5)


def test_bf16_under_autocast_comes_near() -> None:
    module = _parts().conv(CHANNELS, CHANNELS, 3)
    expected = module(_maps())
    with torch.autocast("cpu", torch.bfloat16):
        found = module(_maps())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.05 * expected.abs().max().item(), rtol=0.05)
