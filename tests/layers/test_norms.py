"""Laws of every normalization: shape, order and type of numbers, what it depends on, what it keeps."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from dlcat.layers.norms import maps, norm

CHANNELS = 4
SHAPES = {"1-d": (6, CHANNELS, 9), "2-d": (6, CHANNELS, 5, 7)}
OPTIONS: dict[str, dict[str, Any]] = {  # where the defaults do not fit four channels
    "group": {"groups": 2},
    "weight_standardization": {"groups": 2},
}
BATCHWISE = {"batch", "batch_renorm", "switchable", "sync_batch"}
"""Norms whose output in training depends on the other examples."""
WITHOUT_MEAN = {"rms", "filter_response"}
"""Norms that take off the size but not the mean."""
WITHOUT_SIZE = {"none", "local_response", "global_response"}
"""Norms whose output grows with the input."""

every_norm = pytest.mark.parametrize("name", list(norm))
every_shape = pytest.mark.parametrize("shape", list(SHAPES.values()), ids=list(SHAPES))


def _make(name: str, **options: Any) -> nn.Module:
    """The norm with weights that are neither 0 nor alike, in double precision."""
    module: nn.Module = norm[name](CHANNELS, **OPTIONS.get(name, {}), **options)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return module.double()


def _maps(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 2


def _slopes(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def _results(module: nn.Module, inputs: Tensor) -> list[Tensor]:
    """Outputs, and the gradients of a loss by the input and by every weight."""
    leaf = inputs.detach().requires_grad_()
    outputs = module(leaf)
    slopes = torch.empty_like(outputs).copy_(_slopes(outputs.shape))
    found = torch.autograd.grad(outputs, [leaf, *module.parameters()], slopes)
    return [outputs.detach(), *found]


@every_shape
@every_norm
def test_the_shape_stays_and_gradients_reach_everything(name: str, shape: tuple[int, ...]) -> None:
    outputs, *gradients = _results(_make(name), _maps(shape))
    assert outputs.shape == shape
    for gradient in gradients:
        assert gradient.isfinite().all()
        assert gradient.any()


@every_norm
def test_vectors_keep_their_shape(name: str) -> None:
    assert _make(name)(_maps((6, CHANNELS))).shape == (6, CHANNELS)


@every_shape
@pytest.mark.parametrize("name", [name for name in norm if name not in WITHOUT_SIZE | WITHOUT_MEAN])
def test_scaling_and_shifting_the_input_changes_nothing(name: str, shape: tuple[int, ...]) -> None:
    inputs = _maps(shape)
    torch.testing.assert_close(_make(name)(5 * inputs - 3), _make(name)(inputs), atol=1e-4, rtol=1e-4)


@every_shape
@pytest.mark.parametrize("name", sorted(WITHOUT_MEAN))
def test_without_mean_only_scaling_changes_nothing(name: str, shape: tuple[int, ...]) -> None:
    module, inputs = _make(name), _maps(shape)
    torch.testing.assert_close(module(5 * inputs), module(inputs), atol=1e-4, rtol=1e-4)
    assert (module(inputs - 3) - module(inputs)).abs().max() > 0.1


@pytest.mark.parametrize("name", sorted(WITHOUT_SIZE))
def test_without_size_a_larger_input_gives_more(name: str) -> None:
    module, inputs = _make(name), _maps(SHAPES["2-d"])
    assert (module(5 * inputs).std() / module(inputs).std()).item() == pytest.approx(5, rel=0.1)


@every_norm
def test_in_evaluation_an_example_does_not_depend_on_its_batch(name: str) -> None:
    module, inputs = _make(name), _maps(SHAPES["2-d"])
    module(inputs)
    module.eval()
    torch.testing.assert_close(module(inputs)[:1], module(inputs[:1]))


@every_norm
def test_in_training_an_example_depends_on_its_batch_only_where_it_is_said(name: str) -> None:
    inputs = _maps(SHAPES["2-d"])
    difference = (_make(name)(inputs)[:1] - _make(name)(inputs[:1])).abs().max()
    assert difference > 0.01 if name in BATCHWISE else difference < 1e-9


@every_norm
def test_training_and_evaluation_differ_only_where_the_batch_counts(name: str) -> None:
    module, inputs = _make(name), _maps(SHAPES["2-d"])
    module(_maps(SHAPES["2-d"], seed=5))
    trained, evaluated = module.train()(inputs), module.eval()(inputs)
    assert torch.equal(trained, evaluated) == (name not in BATCHWISE)


@every_norm
def test_evaluation_moves_no_running_average(name: str) -> None:
    module = _make(name)
    module(_maps(SHAPES["2-d"]))
    before = copy.deepcopy(module.state_dict())
    module.eval()(_maps(SHAPES["2-d"], seed=5))
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


@every_norm
def test_running_averages_come_to_the_statistics_they_see(name: str) -> None:
    module = _make(name, **({"momentum": 0.5} if name in BATCHWISE else {}))
    inputs = _maps((16, CHANNELS, 8, 8))
    for _ in range(20):
        module(inputs)
    torch.testing.assert_close(module.eval()(inputs), module.train()(inputs), atol=2e-3, rtol=2e-3)


@every_norm
def test_a_batch_of_one_example_has_finite_outputs_and_gradients(name: str) -> None:
    for tensor in _results(_make(name), _maps((1, CHANNELS, 5, 7))):
        assert tensor.isfinite().all()


@every_norm
def test_one_number_per_channel_is_survived_or_refused_with_a_reason(name: str) -> None:
    module, inputs = _make(name), _maps((1, CHANNELS))
    if name in {"batch", "sync_batch"}:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            module(inputs)
        module.eval()
    for tensor in _results(module, inputs):
        assert tensor.isfinite().all()


@every_norm
def test_maps_of_zeros_have_finite_outputs_and_gradients(name: str) -> None:
    inputs = _maps(SHAPES["2-d"])
    inputs[:, 1] = 0  # what a rectifier leaves of a channel that nothing excites
    inputs[2] = 0
    for tensor in _results(_make(name).float(), inputs.float()):
        assert tensor.isfinite().all()


@every_norm
def test_the_state_can_be_kept_and_restored(name: str) -> None:
    module, inputs = _make(name), _maps(SHAPES["2-d"])
    for seed in range(3):
        module(_maps(SHAPES["2-d"], seed))
    restored = norm[name](CHANNELS, **OPTIONS.get(name, {})).double()
    restored.load_state_dict(module.state_dict())
    assert torch.equal(restored(inputs), module(inputs))
    assert torch.equal(restored.eval()(inputs), module.eval()(inputs))


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@every_norm
def test_channels_last_gives_the_same_in_the_same_order(name: str, training: bool) -> None:
    inputs = _maps(SHAPES["2-d"])
    spread = inputs.contiguous(memory_format=torch.channels_last)
    expected, found = _results(_make(name).train(training), inputs), _results(_make(name).train(training), spread)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    for tensor in found[:2]:  # outputs, and the gradient of the inputs
        assert tensor.is_contiguous(memory_format=torch.channels_last)


@every_norm
def test_a_gradient_in_another_order_than_the_maps_gives_the_same(name: str) -> None:
    inputs = _maps(SHAPES["2-d"])
    leaf = inputs.contiguous(memory_format=torch.channels_last).requires_grad_()
    (found,) = torch.autograd.grad(_make(name)(leaf), leaf, _slopes(inputs.shape))
    torch.testing.assert_close(found, _results(_make(name), inputs)[1])
    (found,) = torch.autograd.grad(_make(name)(leaf).sum(), leaf)  # one number, expanded
    (expected,) = torch.autograd.grad(_make(name)(leaf), leaf, torch.ones(inputs.shape, dtype=torch.float64))
    torch.testing.assert_close(found, expected)


@every_norm
def test_any_order_in_memory_gives_the_same(name: str) -> None:
    inputs = _maps((6, CHANNELS, 9))
    swapped = inputs.transpose(1, 2).contiguous().transpose(1, 2)  # (N, T, C) in memory
    strided = inputs.repeat_interleave(2, dim=2)[..., ::2]
    for variant in (swapped, strided):
        for one, other in zip(_results(_make(name), variant), _results(_make(name), inputs), strict=True):
            torch.testing.assert_close(one, other)


# A number that rounding takes across the threshold has another gradient.
SMOOTH: dict[str, dict[str, Any]] = {"filter_response": {"threshold": False}}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@every_norm
def test_bf16_under_autocast_comes_near_double_precision(name: str, layout: torch.memory_format) -> None:
    inputs = _maps(SHAPES["2-d"]).bfloat16().contiguous(memory_format=layout)
    expected = _results(_make(name, **SMOOTH.get(name, {})), inputs.double())
    with torch.autocast("cpu", torch.bfloat16):
        found = _results(_make(name, **SMOOTH.get(name, {})).float(), inputs)
    assert found[0].dtype == found[1].dtype == torch.bfloat16
    for one, other in zip(found, expected, strict=True):
        scale = other.abs().max().item()
        torch.testing.assert_close(one.double(), other, atol=0.02 * scale, rtol=0.02)
    assert found[0].is_contiguous(memory_format=layout)


@every_norm
def test_float32_keeps_its_digits_far_from_zero(name: str) -> None:
    inputs = (_maps(SHAPES["2-d"]) + 1000).float()
    expected, found = _make(name)(inputs.double()), _make(name).float()(inputs)
    torch.testing.assert_close(found.double(), expected, atol=5e-3, rtol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("portion", [1, 300])
@every_norm
def test_working_in_portions_changes_nothing(
    name: str, portion: int, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = _maps((5, CHANNELS, 5, 7)).contiguous(memory_format=layout)  # 140 numbers each: portions of 1, and of 2
    expected = _results(_make(name), inputs)
    monkeypatch.setattr(maps, "PORTION", portion)
    for one, other in zip(_results(_make(name), inputs), expected, strict=True):
        torch.testing.assert_close(one, other)


# r and d of batch_renorm are constants to its gradient, which a numerical one does not know; see test_batch_renorm.
CONSTANT: dict[str, dict[str, Any]] = {"batch_renorm": {"max_ratio": 1.0, "max_distance": 0.0}}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@every_norm
def test_gradients_are_those_of_the_outputs(name: str, layout: torch.memory_format) -> None:
    _check(torch.autograd.gradcheck, name, (2, CHANNELS, 2, 3), layout)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@every_norm
def test_gradients_can_be_differentiated_again(name: str, layout: torch.memory_format) -> None:
    _check(torch.autograd.gradgradcheck, name, (2, CHANNELS, 2, 2), layout, fast_mode=True)


def _check(check: Any, name: str, shape: tuple[int, ...], layout: torch.memory_format, **options: Any) -> None:
    module = _make(name, **CONSTANT.get(name, {}))
    names = [key for key, _ in module.named_parameters()]

    def function(inputs: Tensor, *weights: Tensor) -> Tensor:
        found = functional_call(module, dict(zip(names, weights, strict=True)), inputs.contiguous(memory_format=layout))
        assert isinstance(found, Tensor)
        return found.clone()  # what does nothing gives back its input itself

    learned = [parameter.detach().requires_grad_() for parameter in module.parameters()]
    assert check(function, (_maps(shape).requires_grad_(), *learned), **options)


@every_norm
def test_a_compiler_takes_it_whole(name: str) -> None:
    torch.compiler.reset()  # what it learned from the norms before
    inputs = _maps(SHAPES["2-d"]).contiguous(memory_format=torch.channels_last)
    compiled = torch.compile(_make(name), backend="aot_eager", fullgraph=True)
    for one, other in zip(_results(compiled, inputs), _results(_make(name), inputs), strict=True):
        torch.testing.assert_close(one, other)


@every_norm
def test_frozen_weights_and_constant_inputs_are_left_alone(name: str) -> None:
    module, inputs = _make(name), _maps(SHAPES["2-d"])
    module.requires_grad_(False)
    leaf = inputs.requires_grad_()
    (found,) = torch.autograd.grad(module(leaf).pow(3).sum(), leaf)
    thawed = _make(name)
    (expected,) = torch.autograd.grad(thawed(leaf).pow(3).sum(), leaf)
    torch.testing.assert_close(found, expected)
    with torch.no_grad():
        outputs = module(leaf * 1)
    assert not outputs.requires_grad


@every_norm
def test_inference_gives_what_evaluation_gives(name: str) -> None:
    module, inputs = _make(name).eval(), _maps(SHAPES["2-d"])
    with torch.inference_mode():
        found = module(inputs)
    assert torch.equal(found, module(inputs))


@every_norm
def test_the_meta_device_knows_the_shape(name: str) -> None:
    with torch.device("meta"):
        module = norm[name](CHANNELS, **OPTIONS.get(name, {})).eval()
        assert module(torch.empty(1, CHANNELS, 5, 7)).shape == (1, CHANNELS, 5, 7)


@every_norm
def test_a_norm_has_a_shift_of_its_own_or_says_that_it_has_none(name: str) -> None:
    named = dict(_make(name).named_parameters())
    assert ("bias" in named) == norm.traits(name).shifts


@pytest.mark.parametrize("name", ["group", "weight_standardization"])
def test_groups_that_do_not_divide_the_channels_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="32 groups do not divide 12 channels"):
        norm[name](12)


def test_batch_refuses_what_has_no_channels() -> None:
    with pytest.raises(ValueError, match="found 1 dimension"):
        norm["batch"](4)(torch.zeros(4))
