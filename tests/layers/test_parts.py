"""What models are handed: the chosen parts, put together so that they fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcat.errors import InvalidError
from dlcat.layers.convs import Chain
from dlcat.layers.parts import Parts, choose, initialise_he


def _parts(conv: str = "standard", norm: str = "batch", dimensions: int = 2) -> Parts:
    return choose(conv=conv, norm=norm, dimensions=dimensions)


@pytest.mark.parametrize(
    ("norm", "bias"), [("batch", False), ("layer", False), ("local_response", True), ("none", True)]
)
def test_convolutions_have_a_bias_only_where_the_norm_adds_none(norm: str, bias: bool) -> None:
    parts = _parts(norm=norm)
    for module in (parts.conv(3, 4, 3), parts.pointwise(3, 4), parts.stem(3, 4, 3)[0]):
        assert (module.bias is not None) == bias


def test_a_block_is_convolution_norm_activation() -> None:
    convolution, norm, activation = _parts().block(3, 4, 5, stride=2)
    assert isinstance(convolution, nn.Conv2d)
    assert (convolution.kernel_size, convolution.stride) == ((5, 5), (2, 2))
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(activation, nn.ReLU)


def test_the_stem_is_a_full_convolution_whatever_was_chosen() -> None:
    parts = _parts(conv="depthwise_separable")
    assert isinstance(parts.stem(1, 8, 3)[0], nn.Conv2d)
    assert isinstance(parts.block(1, 8, 3)[0], nn.Sequential)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_a_pool_halves_the_size_and_rounds_up(size: int, kernel: int, dimensions: int) -> None:
    maps = torch.randn(2, 3, *(size,) * dimensions)
    pooled = _parts(dimensions=dimensions).max_pool(kernel, 2)(maps)
    assert pooled.shape == (2, 3, *(-(-size // 2),) * dimensions)
    assert pooled.max() == maps.max()


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 9, 11, 12])
def test_windows_of_a_pool_as_long_as_its_stride_lie_side_by_side(size: int, kernel: int, dimensions: int) -> None:
    maps = torch.randn(2, 3, *(size,) * dimensions)
    pooled = _parts(dimensions=dimensions).max_pool(kernel, kernel)(maps)
    left = -(-size // kernel)
    assert pooled.shape == (2, 3, *(left,) * dimensions)
    for place in range(left):
        window = (slice(kernel * place, kernel * (place + 1)),) * dimensions
        expected = maps[(slice(None), slice(None), *window)].flatten(2).amax(2)
        assert torch.equal(pooled[(slice(None), slice(None)) + (place,) * dimensions], expected)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_global_average_leaves_one_number_per_channel(dimensions: int) -> None:
    maps = torch.randn(2, 3, *(5,) * dimensions)
    torch.testing.assert_close(_parts(dimensions=dimensions).global_average()(maps), maps.flatten(2).mean(2))


def test_every_call_makes_new_weights() -> None:
    parts = _parts()
    assert parts.conv(3, 4, 3) is not parts.conv(3, 4, 3)


def test_an_unknown_part_is_refused_with_its_neighbour() -> None:
    with pytest.raises(InvalidError, match="did you mean 'batch'"):
        _parts(norm="bacth")


def test_initialisation_keeps_the_size_of_rectified_signals() -> None:
    torch.manual_seed(0)
    deep = nn.Sequential(*(nn.Sequential(nn.Conv1d(256, 256, 1), nn.ReLU()) for _ in range(8)))
    initialise_he(deep)
    inputs = torch.randn(64, 256, 1)
    assert 0.5 < deep(inputs).square().mean() / inputs.relu().square().mean() < 2


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_plain_convolution_begins_with_the_very_weights_of_torchs_kaiming_normal(dimensions: int) -> None:
    convolution = _parts(norm="none", dimensions=dimensions).conv(8, 16, 3)
    torch.manual_seed(3)
    initialise_he(nn.Sequential(convolution))
    torch.manual_seed(3)
    expected = nn.init.kaiming_normal_(torch.empty_like(convolution.weight), nonlinearity="relu")
    assert torch.equal(convolution.weight, expected)
    assert not convolution.bias.any()


def test_of_a_chain_the_last_convolution_alone_makes_up_for_the_rectifier() -> None:
    torch.manual_seed(0)
    chain = Chain(nn.Conv1d(64, 128, 3), nn.AvgPool1d(1, 2), nn.Conv1d(128, 96, 3), nn.AvgPool1d(1, 2))
    initialise_he(nn.Sequential(chain))
    for convolution, gain in ((chain[0], 1), (chain[2], 2)):
        assert convolution.weight.var().item() == pytest.approx(gain / convolution.weight[0].numel(), rel=0.05)
