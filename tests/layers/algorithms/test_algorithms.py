"""Laws of every algorithm: torch's numbers in float64, values and gradients of any order, for any shape that it takes."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from dlcat.layers.algorithms import algorithm, blocks, winograd
from dlcat.layers.algorithms.accuracy import errors
from dlcat.layers.algorithms.computed import Conv1d, Conv2d

OURS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in algorithm if name not in {"native", "auto", "winograd"}),
    ("winograd", {"tile": 2}),
    ("winograd", {"tile": 4}),
]
every_algorithm = pytest.mark.parametrize(("name", "options"), OURS, ids=[f"{name}{options}" for name, options in OURS])
ANY_SHAPE = [name for name, _ in OURS if name != "winograd"]

Shape = tuple[nn.Module, Tensor]


def _random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def _convolution(kind: Any, *arguments: Any, **options: Any) -> Any:
    """In double precision, with the same weights every time."""
    made = kind(*arguments, **options).double()
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            parameter.copy_(_random(*parameter.shape, seed=10 + number))
    return made


def _results(module: Any, inputs: Tensor) -> list[Tensor]:
    """Outputs, and the gradients of inputs, weights and bias."""
    leaf = inputs.detach().requires_grad_()
    outputs = module(leaf)
    found = torch.autograd.grad(outputs, [leaf, *module.parameters()], _random(*outputs.shape, seed=5).to(outputs))
    return [outputs.detach(), *found]


def _require_same(module: Any, convolution: Any, inputs: Tensor) -> None:
    for found, expected in zip(_results(module, inputs), _results(convolution, inputs), strict=True):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)


@st.composite
def shapes(draw: st.DrawFn, *, minimal: bool) -> Shape:
    """A convolution and inputs that it takes; `minimal`: such that winograd takes it as well."""
    dimensions = draw(st.sampled_from([1, 2]))
    kernels = st.just(3) if minimal else st.integers(1, 5)
    kernel = [draw(kernels) for _ in range(dimensions)]
    if minimal and dimensions == 2 and draw(st.booleans()):
        kernel[draw(st.sampled_from([0, 1]))] = 1
    steps = st.just(1) if minimal else st.integers(1, 3)
    stride, dilation = ([draw(steps) for _ in range(dimensions)] for _ in range(2))
    padding = [draw(st.integers(0, 4)) for _ in range(dimensions)]
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, channels_out = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    least = [
        max(1, step * (width - 1) + 1 - 2 * zeros) for step, width, zeros in zip(dilation, kernel, padding, strict=True)
    ]
    size = [draw(st.integers(smallest, smallest + 9)) for smallest in least]
    kind = {1: nn.Conv1d, 2: nn.Conv2d}[dimensions]
    bias = draw(st.booleans())
    made = _convolution(kind, channels, channels_out, kernel, stride, padding, dilation, groups, bias)
    inputs = _random(draw(st.integers(1, 3)), channels, *size)
    if dimensions == 2 and draw(st.booleans()):
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    return made, inputs


@pytest.mark.parametrize("name", ANY_SHAPE)
@settings(max_examples=60, deadline=None)
@given(shape=shapes(minimal=False))
def test_values_and_gradients_are_torchs_for_any_shape(name: str, shape: Shape) -> None:
    convolution, inputs = shape
    _require_same(algorithm[name](convolution), convolution, inputs)


@pytest.mark.parametrize("tile", [2, 4])
@settings(max_examples=60, deadline=None)
@given(shape=shapes(minimal=True))
def test_winograd_has_torchs_values_and_gradients_for_any_shape_that_it_takes(tile: int, shape: Shape) -> None:
    convolution, inputs = shape
    _require_same(algorithm["winograd"](convolution, tile=tile), convolution, inputs)


@every_algorithm
def test_work_in_parts_gives_what_work_at_once_gives(
    name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    convolution = _convolution(nn.Conv2d, 4, 6, 3, padding=1, groups=2)
    inputs = _random(5, 4, 13, 11)
    for module in (blocks, winograd):
        monkeypatch.setattr(module, "PORTION", 1)  # one example, and one row of tiles, at a time
    _require_same(algorithm[name](convolution, **options), convolution, inputs)
    for module in (blocks, winograd):
        monkeypatch.setattr(module, "PORTION", 2000)  # some at a time, and a remainder
    _require_same(algorithm[name](convolution, **options), convolution, inputs)


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d])
@every_algorithm
def test_gradients_and_gradients_of_gradients_are_right(name: str, options: dict[str, Any], kind: Any) -> None:
    convolution = _convolution(kind, 2, 3, 3, padding=1)
    module = algorithm[name](convolution, **options)
    leaves = [_random(2, 2, *([4] * (convolution.weight.dim() - 2))), convolution.weight.detach().clone()]
    leaves = [leaf.requires_grad_() for leaf in leaves]

    def call(inputs: Tensor, weight: Tensor) -> Tensor:
        return functional_call(module, {"weight": weight}, (inputs,))

    assert torch.autograd.gradcheck(call, leaves)
    assert torch.autograd.gradgradcheck(call, leaves)


@every_algorithm
def test_only_the_gradients_that_are_asked_for_are_computed(name: str, options: dict[str, Any]) -> None:
    convolution = _convolution(nn.Conv2d, 2, 3, 3, padding=1)
    module, inputs = algorithm[name](convolution, **options), _random(2, 2, 5, 5)
    module(inputs).sum().backward()
    expected = torch.autograd.grad(convolution(inputs).sum(), convolution.weight)[0]
    torch.testing.assert_close(convolution.weight.grad, expected)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    leaf = inputs.clone().requires_grad_()
    (found,) = torch.autograd.grad(module(leaf).sum(), leaf)
    (expected,) = torch.autograd.grad(convolution(leaf).sum(), leaf)
    torch.testing.assert_close(found, expected)


@every_algorithm
def test_padding_of_every_kind_is_torchs(name: str, options: dict[str, Any]) -> None:
    for mode in ("reflect", "replicate", "circular"):
        convolution = _convolution(nn.Conv2d, 2, 3, 3, padding=(1, 2), padding_mode=mode)
        _require_same(algorithm[name](convolution, **options), convolution, _random(2, 2, 6, 5))
    for padding in ("same", "valid"):
        convolution = _convolution(nn.Conv1d, 2, 3, 3, padding=padding)
        _require_same(algorithm[name](convolution, **options), convolution, _random(2, 2, 6))


@pytest.mark.parametrize("name", ANY_SHAPE)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_an_even_window_keeps_the_size_as_torch_does(name: str) -> None:
    convolution = _convolution(nn.Conv2d, 2, 3, 4, padding="same", dilation=(1, 2))
    _require_same(algorithm[name](convolution), convolution, _random(2, 2, 7, 6))


@every_algorithm
def test_one_example_without_its_axis_and_no_examples_at_all(name: str, options: dict[str, Any]) -> None:
    convolution = _convolution(nn.Conv2d, 2, 3, 3, padding=1)
    module = algorithm[name](convolution, **options)
    torch.testing.assert_close(module(_random(2, 5, 4)), convolution(_random(2, 5, 4)))
    assert module(_random(0, 2, 5, 4)).shape == (0, 3, 5, 4)
    module(_random(0, 2, 5, 4)).sum().backward()
    assert not convolution.weight.grad.any()


@every_algorithm
def test_a_window_that_does_not_fit_into_the_maps_is_refused(name: str, options: dict[str, Any]) -> None:
    module = algorithm[name](_convolution(nn.Conv2d, 2, 3, 3), **options)
    with pytest.raises(RuntimeError, match=r"window of 3 x 3 .* maps of 5 x 2"):
        module(_random(1, 2, 5, 2))


@every_algorithm
def test_outputs_and_gradients_lie_in_memory_as_the_maps_do(name: str, options: dict[str, Any]) -> None:
    module = algorithm[name](_convolution(nn.Conv2d, 4, 6, 3, padding=1), **options)
    for order in (torch.contiguous_format, torch.channels_last):
        outputs, of_inputs, *_ = _results(module, _random(2, 4, 6, 7).contiguous(memory_format=order))
        assert outputs.is_contiguous(memory_format=order)
        if order is torch.contiguous_format:
            assert of_inputs.is_contiguous()
    torch.testing.assert_close(
        module(_random(7, 6, 4, 2).permute(3, 2, 0, 1)), module(_random(7, 6, 4, 2).permute(3, 2, 0, 1).contiguous())
    )


BOUNDS = {"direct": 2e-6, "im2col": 2e-6, "fft": 5e-6, "winograd": 1e-4}
"""Largest error in float32, for sums of hundreds of products."""


@every_algorithm
def test_float32_is_as_exact_as_is_said(name: str, options: dict[str, Any]) -> None:
    convolution = _convolution(nn.Conv2d, 64, 32, 3, padding=1).float()
    found = errors(algorithm[name](convolution, **options), _random(4, 64, 16, 16, dtype=torch.float32))
    assert 0 < found.largest < BOUNDS[name] * (0.1 if options == {"tile": 2} else 1)


@every_algorithm
def test_bf16_loses_nothing_but_the_rounding_of_what_is_given_back(name: str, options: dict[str, Any]) -> None:
    convolution = _convolution(nn.Conv2d, 32, 16, 3, padding=1).bfloat16()
    found = errors(algorithm[name](convolution, **options), _random(4, 32, 12, 12, dtype=torch.bfloat16))
    assert found.largest < 2**-8


def test_errors_see_an_error() -> None:
    convolution = _convolution(nn.Conv2d, 4, 4, 3, padding=1)
    assert errors(convolution, _random(2, 4, 6, 6)).largest < 1e-12
    rounded = errors(convolution.bfloat16(), _random(2, 4, 6, 6, dtype=torch.bfloat16))
    assert 1e-4 < rounded.outputs < 2**-7


@every_algorithm
def test_autocast_decides_the_type_as_it_does_for_torch(name: str, options: dict[str, Any]) -> None:
    convolution = _convolution(nn.Conv2d, 8, 4, 3, padding=1).float()
    module, inputs = algorithm[name](convolution, **options), _random(2, 8, 6, 6, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = module(inputs), convolution(inputs)
        of_weights = torch.autograd.grad(found.float().sum(), convolution.weight)[0]
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, atol=0.1, rtol=0.02)
    expected = torch.autograd.grad(convolution(inputs).sum(), convolution.weight)[0]
    assert of_weights.dtype == torch.float32
    torch.testing.assert_close(of_weights, expected, atol=0.3, rtol=0.02)


@pytest.mark.parametrize("name", list(algorithm))
def test_the_state_is_torchs_and_weights_are_shared(name: str) -> None:
    convolution = _convolution(nn.Conv2d, 3, 4, 3, padding=1)
    module: Any = algorithm[name](convolution)
    assert isinstance(module, nn.Conv2d)
    assert module.weight is convolution.weight
    assert list(module.state_dict()) == list(convolution.state_dict())
    other: Any = algorithm[name](nn.Conv2d(3, 4, 3, padding=1).double())
    other.load_state_dict(convolution.state_dict())
    assert torch.equal(other.weight, convolution.weight)
    assert repr(module) == repr(convolution)


@every_algorithm
def test_a_copy_and_another_type_compute_alike(name: str, options: dict[str, Any]) -> None:
    module = algorithm[name](_convolution(nn.Conv2d, 3, 4, 3, padding=1), **options)
    inputs = _random(2, 3, 6, 6)
    assert torch.equal(copy.deepcopy(module)(inputs), module(inputs))
    torch.testing.assert_close(
        copy.deepcopy(module).float()(inputs.float()).double(), module(inputs), atol=1e-4, rtol=1e-4
    )


@every_algorithm
def test_the_same_numbers_come_every_time(name: str, options: dict[str, Any]) -> None:
    module = algorithm[name](_convolution(nn.Conv2d, 6, 4, 3, padding=1).float(), **options)
    inputs = _random(4, 6, 9, 9, dtype=torch.float32)
    assert all(map(torch.equal, _results(module, inputs), _results(module, inputs)))


@every_algorithm
def test_nothing_random_is_drawn(name: str, options: dict[str, Any]) -> None:
    convolution = _convolution(nn.Conv2d, 3, 4, 3, padding=1)
    before = torch.get_rng_state()
    algorithm[name](convolution, **options)(_random(1, 3, 4, 4))
    assert torch.equal(torch.get_rng_state(), before)


@every_algorithm
def test_on_the_meta_device_it_is_torchs_which_is_counted(name: str, options: dict[str, Any]) -> None:
    with torch.device("meta"):
        module = algorithm[name](nn.Conv1d(3, 4, 3, padding=1), **options)
        assert module(torch.empty(2, 3, 9)).shape == (2, 4, 9)
    assert type(module) is Conv1d
    assert type(module).__name__ == "Conv1d"
    assert Conv2d.__name__ == "Conv2d"


def test_tiles_of_four_multiply_less_and_round_more() -> None:
    convolution = _convolution(nn.Conv2d, 64, 32, 3, padding=1).float()
    inputs = _random(4, 64, 16, 16, dtype=torch.float32)
    found = [errors(algorithm["winograd"](convolution, tile=tile), inputs).outputs for tile in (2, 4)]
    assert all(one < other for one, other in pairwise(found))
