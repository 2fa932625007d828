"""Laws of every convolution, and what each type promises."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import pad

from dlcat.layers.convs import Chain, conv
from dlcat.layers.convs.pointwise_group import Shuffle
from dlcat.layers.parts import initialise_he

SIZES = [1, 7, 8]
CHANNELS_IN, CHANNELS_OUT = 4, 8  # every type takes these: two and four groups divide both, and eight is twice four
STRIDES = [1, 2, 3]
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("bottleneck", {"reduction": 1}),
    ("bottleneck", {"reduction": 3}),
    ("depthwise_separable", {"multiplier": 2}),
    ("dilated", {"dilation": 3}),
    ("group", {"groups": 4}),
    ("pointwise_group", {"groups": 2}),
    ("standard", {"dilation": 2}),
]
CASES = [*((name, {}) for name in conv), *OPTIONS]


def _make(
    name: str, kernel: int = 3, stride: int = 1, dimensions: int = 2, bias: bool = True, **options: Any
) -> nn.Module:
    module: nn.Module = conv[name](CHANNELS_IN, CHANNELS_OUT, kernel, stride, dimensions, bias, **options)
    return module


def _maps(size: int, dimensions: int, channels: int = CHANNELS_IN) -> Tensor:
    return torch.randn(2, channels, *(size,) * dimensions, generator=torch.Generator().manual_seed(0))


def _weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _bias(module: nn.Module) -> Tensor:
    (bias,) = (parameter for name, parameter in module.named_parameters() if name.endswith("bias"))
    return bias


def _dense(module: nn.Module) -> Tensor:
    """The kernel (C', C, ...) of the one full convolution that does the same as the module, put together by hand."""
    if isinstance(module, Chain):
        first, *others = module
        return reduce(_followed_by, others, _dense(first))
    weight = module.weight.detach().double()
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
        return weight.transpose(0, 1).flip(tuple(range(2, weight.dim())))
    grouped = _with_holes(weight, module.dilation)
    rows, columns = len(grouped) // module.groups, grouped.shape[1]
    kernel = grouped.new_zeros(len(grouped), columns * module.groups, *grouped.shape[2:])
    for index in range(module.groups):
        here = slice(index * rows, (index + 1) * rows)
        kernel[here, index * columns : (index + 1) * columns] = grouped[here]
    return kernel


def _with_holes(weight: Tensor, dilation: tuple[int, ...]) -> Tensor:
    sizes = [step * (size - 1) + 1 for step, size in zip(dilation, weight.shape[2:], strict=True)]
    spread = weight.new_zeros(*weight.shape[:2], *sizes)
    spread[(slice(None), slice(None), *(slice(None, None, step) for step in dilation))] = weight
    return spread


def _followed_by(kernel: Tensor, step: nn.Module) -> Tensor:
    """The kernel with a step behind it; along every axis one of the two has a window of 1, or this would not do."""
    if isinstance(step, nn.AvgPool1d | nn.AvgPool2d):  # with a window of 1 it drops positions, and that is all
        assert set(step.kernel_size if isinstance(step.kernel_size, tuple) else (step.kernel_size,)) == {1}
        return kernel
    if isinstance(step, Shuffle):
        places = len(kernel) // step.groups
        return kernel[[group * places + place for place in range(places) for group in range(step.groups)]]
    after = _dense(step)
    assert all(1 in sizes for sizes in zip(kernel.shape[2:], after.shape[2:], strict=True))
    return torch.einsum("om...,mc...->oc...", after, kernel)


def _slide(maps: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """A full convolution written out: a matrix product for every place in the window."""
    padded = pad(maps, [size // 2 for size in reversed(kernel.shape[2:]) for _ in range(2)])
    counts = [-(-size // stride) for size in maps.shape[2:]]
    outputs = maps.new_zeros(len(maps), len(kernel), *counts)
    for place in product(*map(range, kernel.shape[2:])):
        seen = [slice(start, start + stride * count, stride) for start, count in zip(place, counts, strict=True)]
        outputs += torch.einsum("oc,nc...->no...", kernel[(..., *place)], padded[(slice(None), slice(None), *seen)])
    return outputs


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("name", list(conv))
def test_the_size_is_divided_by_the_stride_and_rounded_up(name: str, stride: int, kernel: int, dimensions: int) -> None:
    module = _make(name, kernel, stride, dimensions)
    for size in SIZES:
        assert module(_maps(size, dimensions)).shape == (2, CHANNELS_OUT, *(-(-size // stride),) * dimensions)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("name", list(conv))
def test_gradients_reach_the_input_and_every_weight(name: str, dimensions: int) -> None:
    module = _make(name, dimensions=dimensions)
    inputs = _maps(8, dimensions).requires_grad_()
    module(inputs).square().mean().backward()
    for tensor in (inputs, *module.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
        assert tensor.grad.any()


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("name", list(conv))
def test_gradients_are_those_of_small_differences(name: str, stride: int, dimensions: int) -> None:
    module = _make(name, 3, stride, dimensions).double()
    inputs = _maps(3, dimensions)[:1].double().requires_grad_()
    names, weights = zip(*module.named_parameters(), strict=True)

    def apply(maps: Tensor, *values: Tensor) -> Tensor:
        outputs: Tensor = functional_call(module, dict(zip(names, values, strict=True)), (maps,))
        return outputs

    assert torch.autograd.gradcheck(apply, (inputs, *weights))


@pytest.mark.parametrize("name", list(conv))
def test_a_convolution_without_bias_maps_zero_to_zero(name: str) -> None:
    inputs = torch.zeros(1, CHANNELS_IN, 8, 8)
    assert not _make(name, bias=False)(inputs).any()
    assert _make(name, bias=True)(inputs).any()


@pytest.mark.parametrize("name", list(conv))
def test_a_bias_is_added_once_per_output_channel(name: str) -> None:
    module = _make(name)
    with_zeros = module(torch.zeros(1, CHANNELS_IN, 8, 8))
    assert torch.equal(with_zeros, with_zeros[:, :, :1, :1].expand_as(with_zeros))  # the border is no exception
    assert _weights(module) - _weights(_make(name, bias=False)) == CHANNELS_OUT


@pytest.mark.parametrize("name", list(conv))
def test_a_convolution_is_linear_and_moves_with_its_input(name: str) -> None:
    module = _make(name, bias=False).double()
    inside = torch.zeros(1, CHANNELS_IN, 16, 16, dtype=torch.float64)
    inside[:, :, 5:9, 5:9] = _maps(4, 2)[:1]
    torch.testing.assert_close(module(2 * inside), 2 * module(inside))
    moved = module(inside.roll((2, 3), (2, 3)))
    torch.testing.assert_close(moved, module(inside).roll((2, 3), (2, 3)))


@pytest.mark.parametrize("name", list(conv))
def test_an_even_kernel_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="kernel of 4 has no centre"):
        _make(name, kernel=4)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_convolution_is_the_full_one_with_its_dense_kernel(
    name: str, options: dict[str, Any], stride: int, dimensions: int
) -> None:
    module = _make(name, 3, stride, dimensions, **options).double()
    maps = _maps(7, dimensions).double()
    expected = _slide(maps, _dense(module), stride) + _bias(module).reshape(-1, *(1,) * dimensions)
    torch.testing.assert_close(module(maps), expected)


FORMULAS: dict[str, Callable[[int, int, int, int], int]] = {
    # of the channels C and C', the kernel k and the dimensions d
    "bottleneck": lambda c, o, k, d: c * (o // 4) + (o // 4) ** 2 * k**d + (o // 4) * o,
    "depthwise": lambda c, o, k, d: o * k**d,
    "depthwise_separable": lambda c, o, k, d: c * k**d + c * o,
    "dilated": lambda c, o, k, d: c * o * k**d,
    "flattened": lambda c, o, k, d: c * o + o * k * d,
    "group": lambda c, o, k, d: c * o * k**d // 2,
    "pointwise": lambda c, o, k, d: c * o,
    "pointwise_group": lambda c, o, k, d: c * o // 4 + o * k**d + o * o // 4,
    "standard": lambda c, o, k, d: c * o * k**d,
    "transposed": lambda c, o, k, d: c * o * k**d,
}


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("name", list(conv))
def test_a_convolution_has_the_weights_of_its_formula(name: str, kernel: int, dimensions: int) -> None:
    module = conv[name](16, 32, kernel, 1, dimensions, False)
    assert _weights(module) == FORMULAS[name](16, 32, kernel, dimensions)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("name", list(conv))
def test_bf16_under_autocast_comes_close(name: str, dimensions: int) -> None:
    torch.manual_seed(0)
    module, maps = _make(name, dimensions=dimensions), _maps(8, dimensions)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = module(maps)
    assert outputs.dtype == torch.bfloat16
    torch.testing.assert_close(outputs.float(), module(maps), atol=0.03, rtol=0.03)
    outputs.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


@pytest.mark.parametrize("name", list(conv))
def test_the_memory_format_stays_and_does_not_change_the_answer(name: str) -> None:
    module, maps = _make(name), _maps(8, 2)
    expected = module(maps)
    assert expected.is_contiguous()
    outputs = module.to(memory_format=torch.channels_last)(maps.to(memory_format=torch.channels_last))
    assert outputs.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(outputs, expected)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", list(conv))
def test_weights_start_with_one_factor_of_two_for_the_rectifier_that_follows(
    name: str, stride: int, dimensions: int
) -> None:
    torch.manual_seed(0)
    module = conv[name](64, 128, 3, stride, dimensions, True)
    initialise_he(nn.Sequential(module, nn.ReLU()))
    inputs = torch.randn(8, 64, *(16,) * dimensions)
    inside = module(inputs)[(..., *(slice(2, -2),) * dimensions)]
    assert 1.4 < inside.square().mean() / inputs.square().mean() < 2.8
    assert not _bias(module).any()


def test_a_pointwise_convolution_mixes_channels_whatever_kernel_is_asked_for() -> None:
    module, maps = _make("pointwise", kernel=5), _maps(6, 2)
    expected = torch.einsum("oc,nchw->nohw", module.weight.flatten(1), maps) + module.bias[:, None, None]
    torch.testing.assert_close(module(maps), expected)


@pytest.mark.parametrize("name", ["dilated", "standard"])
def test_a_dilated_convolution_is_one_with_a_larger_kernel_of_holes(name: str) -> None:
    dilated = _make(name, 3, 2, bias=False, dilation=2)
    large = _make("standard", 5, 2, bias=False)
    with torch.no_grad():
        large.weight.zero_()
        large.weight[:, :, ::2, ::2] = dilated.weight
    torch.testing.assert_close(dilated(_maps(9, 2)), large(_maps(9, 2)))


def test_dilated_spreads_its_window_unasked() -> None:
    assert _make("dilated").dilation == (2, 2)
    assert _make("dilated", dilation=1).dilation == _make("standard").dilation


def test_groups_are_convolutions_side_by_side() -> None:
    module, maps = _make("group", groups=2), _maps(6, 2)
    halves = []
    for index, half in enumerate(maps.split(CHANNELS_IN // 2, dim=1)):
        alone = conv["standard"](CHANNELS_IN // 2, CHANNELS_OUT // 2, 3, 1, 2, True)
        with torch.no_grad():
            alone.weight.copy_(module.weight.chunk(2)[index])
            alone.bias.copy_(module.bias.chunk(2)[index])
        halves.append(alone(half))
    torch.testing.assert_close(module(maps), torch.cat(halves, dim=1))


@pytest.mark.parametrize("name", ["group", "pointwise_group"])
@pytest.mark.parametrize(("channels_in", "channels_out", "wrong"), [(10, 9, 10), (9, 10, 10)])
def test_groups_that_do_not_divide_both_counts_are_refused(
    name: str, channels_in: int, channels_out: int, wrong: int
) -> None:
    with pytest.raises(ValueError, match=f"3 groups do not divide {wrong} channels: expected a divisor of 1"):
        conv[name](channels_in, channels_out, 3, 1, 2, True, groups=3)


def test_a_depthwise_convolution_keeps_channels_apart() -> None:
    maps = _maps(6, 2)
    module = _make("depthwise")
    others = maps.clone()
    others[:, 1] = 0
    changed = (module(others) != module(maps)).flatten(2).any(2).any(0)
    assert changed.tolist() == [False, False, True, True, False, False, False, False]


def test_a_depthwise_convolution_refuses_channels_that_cannot_be_shared_out() -> None:
    with pytest.raises(ValueError, match="expected a multiple of 4 channels, found 6"):
        conv["depthwise"](4, 6, 3, 1, 2, True)


def test_a_separable_convolution_is_a_full_one_whose_kernel_is_a_product() -> None:
    separable = conv["depthwise_separable"](3, 4, 3, 2, 2, True)
    across_positions, across_channels = separable
    full = conv["standard"](3, 4, 3, 2, 2, True)
    with torch.no_grad():
        full.weight.copy_(across_channels.weight * across_positions.weight.transpose(0, 1))
        full.bias.copy_(across_channels.bias)
    torch.testing.assert_close(separable(_maps(9, 2, 3)), full(_maps(9, 2, 3)))


@pytest.mark.parametrize("multiplier", [1, 2])
def test_a_separable_convolution_costs_one_over_channels_plus_one_over_window(multiplier: int) -> None:
    full = conv["standard"](32, 64, 3, 1, 2, False)
    separable = conv["depthwise_separable"](32, 64, 3, 1, 2, False, multiplier=multiplier)
    assert _weights(separable) / _weights(full) == pytest.approx(multiplier * (1 / 64 + 1 / 9))


def test_a_separable_convolution_is_the_depthwise_one_and_a_mix() -> None:
    separable = _make("depthwise_separable", stride=2)
    alone = conv["depthwise"](CHANNELS_IN, CHANNELS_IN, 3, 2, 2, False)
    mix = conv["pointwise"](CHANNELS_IN, CHANNELS_OUT, 3, 1, 2, True)
    alone.load_state_dict(separable[0].state_dict())
    mix.load_state_dict(separable[1].state_dict())
    assert torch.equal(separable(_maps(9, 2)), mix(alone(_maps(9, 2))))


def test_every_output_of_a_flattened_convolution_has_a_kernel_of_rank_one() -> None:
    module = _make("flattened", kernel=5)
    across, down, along = (step.weight.detach().double() for step in module)
    expected = torch.einsum("fc,fy,fx->fcyx", across.flatten(1), down.flatten(1), along.flatten(1))
    kernel = _dense(module)
    torch.testing.assert_close(kernel, expected)
    for axis in (1, 2, 3):
        unfolded = kernel.movedim(axis, 1).flatten(2)  # (C', size of the axis, all the rest)
        assert torch.linalg.matrix_rank(unfolded).tolist() == [1] * CHANNELS_OUT


@pytest.mark.parametrize(("reduction", "rank"), [(2, 4), (3, 3), (4, 2), (100, 1)])
def test_a_bottleneck_bounds_the_rank_at_every_place_of_its_window(reduction: int, rank: int) -> None:
    kernel = _dense(_make("bottleneck", reduction=reduction))  # (C', C, k, k)
    assert set(torch.linalg.matrix_rank(kernel.permute(2, 3, 0, 1)).flatten().tolist()) == {rank}


def test_a_shuffle_deals_the_channels_of_every_group_to_all() -> None:
    channels = torch.arange(6.0).reshape(1, 6, 1).expand(2, 6, 5)
    assert Shuffle(2)(channels)[0, :, 0].tolist() == [0, 3, 1, 4, 2, 5]
    assert Shuffle(3)(channels)[0, :, 0].tolist() == [0, 2, 4, 1, 3, 5]
    assert torch.equal(Shuffle(3)(Shuffle(2)(channels)), channels)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_shuffle_keeps_the_memory_format(layout: torch.memory_format) -> None:
    maps = _maps(5, 2, 12)
    outputs = Shuffle(4)(maps.to(memory_format=layout))
    assert outputs.is_contiguous(memory_format=layout)
    assert torch.equal(outputs, maps[:, [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]])


@pytest.mark.parametrize(("groups", "share"), [(1, 1.0), (2, 1.0), (4, 1.0), (8, 0.25)])
def test_outputs_of_pointwise_groups_see_all_inputs_through_the_shuffle(groups: int, share: float) -> None:
    kernel = _dense(conv["pointwise_group"](16, 16, 3, 1, 2, True, groups=groups))  # eight groups of two: too many
    assert (kernel != 0).double().mean() == share


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("stride", STRIDES)
def test_a_transposed_convolution_is_the_standard_one_with_its_kernel_turned_round(
    stride: int, dimensions: int
) -> None:
    module, standard = _make("transposed", 5, stride, dimensions), _make("standard", 5, stride, dimensions)
    weight, bias = module.parameters()
    with torch.no_grad():
        standard.weight.copy_(weight.transpose(0, 1).flip(tuple(range(2, 2 + dimensions))))
        standard.bias.copy_(bias)
    torch.testing.assert_close(module(_maps(7, dimensions)), standard(_maps(7, dimensions)))


def test_a_transposed_convolution_lays_stamps_at_a_stride_too() -> None:
    module = conv["transposed"](1, 1, 3, 2, 2, False)
    (weight,) = module.parameters()
    dot = torch.zeros(1, 1, 7, 7)
    dot[..., 3, 3] = 1
    expected = torch.zeros(1, 1, 7, 7)
    expected[..., 2:5, 2:5] = weight
    torch.testing.assert_close(module(dot), expected[..., ::2, ::2])
