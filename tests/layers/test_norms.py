"""Laws of every normalization, and what each takes its mean over."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from dlcat.layers.norms import norm

CHANNELS = 4
SHAPES = {"1-d": (6, CHANNELS, 9), "2-d": (6, CHANNELS, 5, 7)}
OPTIONS: dict[str, dict[str, Any]] = {"group": {"groups": 2}}  # where the defaults do not fit four channels
LEARNED = [name for name in norm if name != "none"]
POSITIONS = (2, 3)


def _make(name: str) -> nn.Module:
    module: nn.Module = norm[name](CHANNELS, **OPTIONS.get(name, {}))
    return module


def _maps(shape: tuple[int, ...]) -> torch.Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 2


@pytest.mark.parametrize("shape", list(SHAPES.values()), ids=list(SHAPES))
@pytest.mark.parametrize("name", list(norm))
def test_the_shape_stays_and_gradients_are_finite(name: str, shape: tuple[int, ...]) -> None:
    module = _make(name)
    inputs = _maps(shape).requires_grad_()
    outputs = module(inputs)
    assert outputs.shape == shape
    outputs.pow(3).mean().backward()
    for tensor in (inputs, *module.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
        assert tensor.grad.any()


@pytest.mark.parametrize("name", list(norm))
def test_vectors_keep_their_shape(name: str) -> None:
    assert _make(name)(_maps((6, CHANNELS))).shape == (6, CHANNELS)


@pytest.mark.parametrize("shape", list(SHAPES.values()), ids=list(SHAPES))
@pytest.mark.parametrize("name", LEARNED)
def test_scaling_and_shifting_the_input_changes_nothing(name: str, shape: tuple[int, ...]) -> None:
    module, inputs = _make(name), _maps(shape)
    torch.testing.assert_close(module(5 * inputs - 3), module(inputs), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", list(norm))
def test_in_evaluation_an_example_does_not_depend_on_its_batch(name: str) -> None:
    module, inputs = _make(name), _maps(SHAPES["2-d"])
    module(inputs)
    module.eval()
    torch.testing.assert_close(module(inputs)[:1], module(inputs[:1]))


@pytest.mark.parametrize("name", [name for name in norm if name != "batch"])
def test_only_batch_differs_between_training_and_evaluation(name: str) -> None:
    module, inputs = _make(name), _maps(SHAPES["2-d"])
    assert torch.equal(module.train()(inputs), module.eval()(inputs))


def test_batch_takes_running_averages_in_evaluation() -> None:
    module, inputs = norm["batch"](CHANNELS, momentum=1.0), _maps(SHAPES["2-d"])
    trained = module(inputs)
    torch.testing.assert_close(module.running_mean, inputs.mean((0, *POSITIONS)))
    torch.testing.assert_close(module.running_var, inputs.var((0, *POSITIONS)))
    count = inputs.numel() // CHANNELS  # the running variance divides by one less
    torch.testing.assert_close(module.eval()(inputs), trained * ((count - 1) / count) ** 0.5, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "axes"), [("batch", (0, *POSITIONS)), ("layer", (1, *POSITIONS)), ("instance", POSITIONS)]
)
def test_mean_and_variance_are_taken_over_these_axes(name: str, axes: tuple[int, ...]) -> None:
    inputs = _maps(SHAPES["2-d"])
    take = partial(inputs.mean, axes, keepdim=True)
    variance = inputs.var(axes, correction=0, keepdim=True)
    torch.testing.assert_close(_make(name)(inputs), (inputs - take()) / (variance + 1e-5).sqrt(), atol=1e-5, rtol=1e-5)


def test_group_is_layer_within_each_group() -> None:
    inputs = _maps(SHAPES["2-d"])
    halves = [norm["layer"](2)(half) for half in inputs.split(2, dim=1)]
    torch.testing.assert_close(norm["group"](CHANNELS, groups=2)(inputs), torch.cat(halves, dim=1))


def test_groups_that_do_not_divide_the_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="32 groups do not divide 12 channels"):
        norm["group"](12)


def test_batch_refuses_what_has_no_channels() -> None:
    with pytest.raises(ValueError, match="found 1 dimension"):
        norm["batch"](4)(torch.zeros(4))
