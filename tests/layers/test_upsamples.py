"""Laws of everything that upsamples, and where checkerboards come from."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import conv1d, conv2d

from dlcat.layers.parts import initialise_he
from dlcat.layers.upsamples import upsample
from dlcat.registry import Choice

CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in upsample),
    ("resize", {"interpolation": "linear"}),
]
STAMPS = [(3, 1), (5, 1), (2, 2), (3, 2), (4, 2), (5, 2), (3, 3), (4, 3), (5, 3), (7, 3), (4, 4)]


def _make(name: str, kernel: int = 5, factor: int = 2, dimensions: int = 2, bias: bool = True, **options: Any) -> Any:
    return upsample[name](3, 4, kernel, factor, dimensions, bias, **options)


def _maps(size: int, dimensions: int, channels: int = 3) -> Tensor:
    return torch.randn(2, channels, *(size,) * dimensions, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_size_is_multiplied_by_the_factor(name: str, options: dict[str, Any], factor: int, dimensions: int) -> None:
    module = _make(name, 5, factor, dimensions, **options)
    for size in (1, 2, 7):
        assert module(_maps(size, dimensions)).shape == (2, 4, *(factor * size,) * dimensions)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize(("kernel", "factor"), STAMPS)
def test_a_stamp_of_any_size_gives_the_same_size(kernel: int, factor: int, dimensions: int) -> None:
    outputs = _make("transposed", kernel, factor, dimensions)(_maps(5, dimensions))
    assert outputs.shape[2:] == (5 * factor,) * dimensions


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize(("kernel", "factor"), STAMPS)
def test_a_transposed_convolution_adds_up_stamps(kernel: int, factor: int, dimensions: int) -> None:
    module = _make("transposed", kernel, factor, dimensions).double()
    maps = _maps(4, dimensions).double()
    sheet = maps.new_zeros(2, 4, *(3 * factor + kernel,) * dimensions)
    for place in product(range(4), repeat=dimensions):
        here = (..., *(slice(factor * at, factor * at + kernel) for at in place))
        sheet[here] += torch.einsum("nc,co...->no...", maps[(..., *place)], module.weight.detach())
    front = (kernel - factor + 1) // 2
    expected = sheet[(..., *(slice(front, front + 4 * factor),) * dimensions)]
    torch.testing.assert_close(module(maps), expected + module.bias.reshape(-1, *(1,) * dimensions))


def _interpolation(kind: str, size: int, factor: int) -> Tensor:
    """Row i holds what each of the old positions gives to the new position i (factor * size, size)."""
    matrix = torch.zeros(factor * size, size, dtype=torch.float64)
    for row in range(factor * size):
        # Old centres are at 0.5, 1.5, ... of the old map; beyond the first and the last of them nothing changes.
        centre = min(max((row + 0.5) / factor - 0.5, 0), size - 1)
        low = row // factor if kind == "nearest" else int(centre)
        share = 0 if kind == "nearest" else centre - low
        matrix[row, low] += 1 - share
        matrix[row, min(low + 1, size - 1)] += share
    return matrix


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("factor", [1, 2, 3, 5])
@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_resize_interpolates_and_convolves(interpolation: str, factor: int, dimensions: int) -> None:
    module = _make("resize", 3, factor, dimensions, interpolation=interpolation).double()
    maps = _maps(4, dimensions).double()
    large = maps
    for axis in range(2, 2 + dimensions):
        matrix = _interpolation(interpolation, 4, factor)
        large = torch.tensordot(large, matrix, dims=([axis], [1])).movedim(-1, axis)
    convolve = {1: conv1d, 2: conv2d}[dimensions]
    expected = convolve(large, module[1].weight, module[1].bias, padding=1)
    torch.testing.assert_close(module(maps), expected)


@pytest.mark.parametrize(
    ("kernel", "factor", "even"),
    [(2, 2, True), (4, 2, True), (6, 3, True), (3, 2, False), (5, 2, False), (4, 3, False)],
)
def test_stamps_overlap_evenly_where_the_factor_divides_the_kernel(kernel: int, factor: int, even: bool) -> None:
    module = upsample["transposed"](1, 1, kernel, factor, 2, False)
    nn.init.ones_(module.weight)
    inside = module(torch.ones(1, 1, 9, 9))[..., 6:-6, 6:-6]
    assert (inside.min() == inside.max()) == even


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
@pytest.mark.parametrize("factor", [2, 3])
def test_resize_leaves_no_checkerboard_whatever_the_weights(factor: int, interpolation: str) -> None:
    module = _make("resize", 3, factor, interpolation=interpolation)
    inside = module(torch.ones(1, 3, 9, 9))[..., 3:-3, 3:-3]
    torch.testing.assert_close(inside, inside[..., :1, :1].expand_as(inside))
    assert inside.any()


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_gradients_are_those_of_small_differences_and_reach_everything(
    name: str, options: dict[str, Any], dimensions: int
) -> None:
    module = _make(name, 3, 2, dimensions, **options).double()
    inputs = _maps(2, dimensions)[:1].double().requires_grad_()
    names, weights = zip(*module.named_parameters(), strict=True)

    def apply(maps: Tensor, *values: Tensor) -> Tensor:
        outputs: Tensor = functional_call(module, dict(zip(names, values, strict=True)), (maps,))
        return outputs

    assert torch.autograd.gradcheck(apply, (inputs, *weights))
    module(inputs).square().mean().backward()
    assert all(tensor.grad.any() for tensor in (inputs, *weights))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_upsampling_is_linear_and_moves_with_its_input(name: str, options: dict[str, Any]) -> None:
    module = _make(name, bias=False, **options).double()
    inside = torch.zeros(1, 3, 12, 12, dtype=torch.float64)
    inside[:, :, 4:7, 4:7] = _maps(3, 2)[:1]
    torch.testing.assert_close(module(2 * inside), 2 * module(inside))
    torch.testing.assert_close(module(inside.roll((1, 2), (2, 3))), module(inside).roll((2, 4), (2, 3)))


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_both_have_the_weights_of_one_convolution(name: str, options: dict[str, Any], dimensions: int) -> None:
    module = _make(name, 5, 2, dimensions, **options)
    assert sum(parameter.numel() for parameter in module.parameters()) == 3 * 4 * 5**dimensions + 4


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_bf16_under_autocast_comes_close(name: str, options: dict[str, Any], dimensions: int) -> None:
    torch.manual_seed(0)
    module, maps = _make(name, dimensions=dimensions, **options), _maps(6, dimensions)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = module(maps)
    assert outputs.dtype == torch.bfloat16
    torch.testing.assert_close(outputs.float(), module(maps), atol=0.03, rtol=0.03)
    outputs.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_memory_format_stays_and_does_not_change_the_answer(name: str, options: dict[str, Any]) -> None:
    module, maps = _make(name, **options), _maps(6, 2)
    expected = module(maps)
    outputs = module.to(memory_format=torch.channels_last)(maps.to(memory_format=torch.channels_last))
    assert outputs.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(outputs, expected)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("name", list(upsample))
def test_weights_start_so_that_a_rectified_signal_keeps_its_size(name: str, dimensions: int) -> None:
    torch.manual_seed(0)
    module = upsample[name](64, 16, 5, 2, dimensions, True)
    initialise_he(nn.Sequential(module, nn.ReLU()))
    inputs = torch.randn(8, 64, *(16,) * dimensions)
    inside = module(inputs)[(..., *(slice(4, -4),) * dimensions)]
    assert 1.7 < inside.square().mean() / inputs.square().mean() < 2.3


def test_a_stamp_that_leaves_gaps_is_refused() -> None:
    with pytest.raises(ValueError, match="a kernel of 2 leaves gaps at factor 3; expected at least 3"):
        _make("transposed", 2, 3)


@pytest.mark.parametrize(("name", "factor"), [("transposed", 1), ("resize", 1), ("resize", 2)])
def test_an_even_kernel_is_refused_where_it_would_need_a_centre(name: str, factor: int) -> None:
    with pytest.raises(ValueError, match="kernel of 4 has no centre"):
        _make(name, 4, factor)


@pytest.mark.parametrize("name", list(upsample))
def test_every_member_is_described_and_its_defaults_are_legal(name: str) -> None:
    assert upsample.describe(name).endswith(".")
    defaults = {option.name: option.default for option in upsample.options(name).values()}
    assert upsample.check(Choice(name=name, options=defaults)) == (defaults, [])


def test_an_interpolation_that_does_not_exist_is_a_fault() -> None:
    (fault,) = upsample.check(Choice(name="resize", options={"interpolation": "cubic"}))[1]
    assert fault[0] == "interpolation"
    assert "'nearest' or 'linear'" in fault[1]
