"""Laws of every model that takes signals: it builds from every part, takes every size, and learns with all its weights."""

from __future__ import annotations

from itertools import product
from math import inf, sqrt
from typing import Any

import pytest
import torch
from torch import nn

from dlcat.layers.activations import activation
from dlcat.layers.convs import Chain, conv
from dlcat.layers.norms import norm
from dlcat.layers.parts import Parts, choose
from dlcat.models import model
from dlcat.registry import Choice

OUTPUTS = 10
SIGNALS = [name for name in model if model.traits(name).takes == "signals"]
# Of the norms with groups: their default of 32 does not divide the narrow layers of most models.
FITTING: dict[str, dict[str, Any]] = {"group": {"groups": 4}, "weight_standardization": {"groups": 4}}
# The same architectures, drawn small, so that the laws take seconds; a model that is not here is taken as it is.
SMALL: dict[str, dict[str, Any]] = {
    "airbench": {"width": 0.25},
    "alexnet": {"width": 0.125, "hidden": 32, "dropout": 0.0},
    "capsnet": {"width": 0.125},
    "densenet": {"depth": 10, "growth": 16},
    "googlenet": {"width": 0.25, "dropout": 0.0},
    "m5": {"width": 0.125},
    "mobilenet": {"width": 0.25},
    "network_in_network": {"width": 0.25, "dropout": 0.0},
    "preact_resnet": {"depth": 8},
    "resnet": {"depth": 8},
    "resnext": {"depth": 11, "groups": 4},
    "sample_cnn": {"width": 0.125, "dropout": 0.0},
    "shufflenet": {"width": 0.25},
    "vgg": {"depth": 11, "width": 0.125, "dropout": 0.0},
    "xception": {"blocks": 1, "width": 0.125, "dropout": 0.0},
}
# Norms that do not hold signals at one size.
LETS_SIGNALS_GROW = {"global_response", "local_response", "none"}
TINY = {1: (1, 24), 2: (1, 8, 8)}
DIMENSIONS = [pytest.param(1, marks=pytest.mark.slow), 2]
# What does not fit, and what is said of it; everything else fits everywhere.
NO_MULTIPLE = "as many outputs for each channel"
SINGLE_CHANNELS = r"groups of 1 channel\(s\) apart.*groups do not divide 1 channels"
REFUSALS = {
    **{(name, "depthwise"): NO_MULTIPLE for name in ("alexnet", "densenet", "googlenet")},
    **{(name, "group"): SINGLE_CHANNELS for name in ("mobilenet", "shufflenet", "xception")},
    **{(name, "pointwise_group"): SINGLE_CHANNELS for name in ("mobilenet", "shufflenet", "xception")},
}


def _parts(conv_name: str = "standard", norm_name: str = "batch", act: str = "relu", dimensions: int = 2) -> Parts:
    return choose(
        conv=conv_name,
        norm=Choice(name=norm_name, options=FITTING.get(norm_name, {})),
        activation=act,
        dimensions=dimensions,
    )


def _build(name: str, shape: tuple[int, ...], parts: Parts) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = model[name](shape, OUTPUTS, parts, **SMALL.get(name, {}))
    return network


def _learns(network: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    """Three examples forward and backward; the outputs."""
    inputs = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    outputs = network(inputs)
    assert outputs.shape == (3, OUTPUTS)
    nn.functional.cross_entropy(outputs, torch.arange(3)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    return outputs.detach()


@pytest.mark.parametrize("dimensions", DIMENSIONS)
@pytest.mark.parametrize(("name", "conv_name"), [pair for pair in product(SIGNALS, conv) if pair not in REFUSALS])
def test_every_model_learns_with_every_convolution_that_fits(name: str, conv_name: str, dimensions: int) -> None:
    _learns(_build(name, TINY[dimensions], _parts(conv_name, dimensions=dimensions)), TINY[dimensions])


@pytest.mark.parametrize(
    ("part", "other"),
    [("conv", _parts(conv_name="flattened")), ("norm", _parts(norm_name="rms")), ("activation", _parts(act="mish"))],
    ids=["conv", "norm", "activation"],
)
@pytest.mark.parametrize("name", SIGNALS)
def test_a_model_uses_the_parts_that_it_says(name: str, part: str, other: Parts) -> None:
    with torch.device("meta"):
        one, another = (str(_build(name, (3, 32, 32), parts)) for parts in (_parts(), other))
    assert (one != another) == (part in model.traits(name).uses)


@pytest.mark.parametrize("name", SIGNALS)
def test_a_gradient_lies_in_memory_as_its_weight_does(name: str) -> None:
    """Torch's fused optimizers take that for granted: where it is not so, they step the wrong weights and say nothing."""
    network = _build(name, TINY[2], _parts()).to(memory_format=torch.channels_last)
    inputs = torch.randn(3, *TINY[2]).contiguous(memory_format=torch.channels_last)
    network(inputs).square().sum().backward()
    for named, weight in network.named_parameters():
        assert weight.grad is not None
        sides = [side for side, length in enumerate(weight.shape) if length > 1]
        assert [weight.stride(side) for side in sides] == [weight.grad.stride(side) for side in sides], named


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize(("name", "conv_name"), list(REFUSALS))
def test_a_convolution_that_does_not_fit_is_refused_with_the_reason(name: str, conv_name: str, dimensions: int) -> None:
    with pytest.raises(ValueError, match=REFUSALS[name, conv_name]):
        _build(name, TINY[dimensions], _parts(conv_name, dimensions=dimensions))


@pytest.mark.parametrize("dimensions", DIMENSIONS)
@pytest.mark.parametrize("norm_name", list(norm))
@pytest.mark.parametrize("name", SIGNALS)
def test_every_model_learns_with_every_norm(name: str, norm_name: str, dimensions: int) -> None:
    shape = TINY[dimensions]
    outputs = _learns(_build(name, shape, _parts(norm_name=norm_name, dimensions=dimensions)), shape)
    if norm_name not in LETS_SIGNALS_GROW:
        assert outputs.std().item() < 10


@pytest.mark.slow
@pytest.mark.parametrize("norm_name", list(norm))
@pytest.mark.parametrize("name", SIGNALS)
def test_every_model_learns_with_every_pair_of_convolution_and_norm(name: str, norm_name: str) -> None:
    for conv_name in conv:
        if (name, conv_name) not in REFUSALS:
            _learns(_build(name, TINY[2], _parts(conv_name, norm_name)), TINY[2])


@pytest.mark.parametrize("act", list(activation))
@pytest.mark.parametrize("name", SIGNALS)
def test_every_model_learns_with_every_activation(name: str, act: str) -> None:
    _learns(_build(name, (1, 8, 8), _parts(act=act)), (1, 8, 8))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 5), (4, 9, 31), (3, 72, 65), (5, 97), (1, 1)], ids=str)
@pytest.mark.parametrize("name", SIGNALS)
def test_every_model_takes_odd_sizes(name: str, shape: tuple[int, ...]) -> None:
    _learns(_build(name, shape, _parts(dimensions=len(shape) - 1)), shape)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 224, 224), (40, 101)], ids=str)
@pytest.mark.parametrize("name", SIGNALS)
def test_every_model_takes_its_datasets_as_it_is_by_default(name: str, shape: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = model[name](shape, OUTPUTS, _parts(dimensions=len(shape) - 1))
        assert network(torch.empty(2, *shape)).shape == (2, OUTPUTS)


@pytest.mark.parametrize("name", SIGNALS)
def test_every_weight_has_a_say(name: str) -> None:
    network = _build(name, (3, 32, 32), _parts())
    inputs = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    nn.functional.cross_entropy(network(inputs), torch.arange(8)).backward()
    silent = [key for key, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert silent == []


@pytest.mark.parametrize("name", SIGNALS)
def test_convolutions_begin_with_the_variance_that_suits_rectifiers(name: str) -> None:
    network = _build(name, (3, 32, 32), _parts(norm_name="none"))
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    before_another = {step for chain in network.modules() if isinstance(chain, Chain) for step in list(chain)[:-1]}
    large = [module for module in convolutions if module.weight.numel() >= 2000]  # some percent are noise
    assert large or not convolutions
    for module in large:
        expected = sqrt((1 if module in before_another else 2) / module.weight[0].numel())
        assert module.weight.std().item() == pytest.approx(expected, rel=0.1), module
    assert not any(module.bias.any() for module in convolutions if module.bias is not None)


@pytest.mark.parametrize("name", SIGNALS)
def test_in_evaluation_an_example_does_not_depend_on_its_batch(name: str) -> None:
    network = _build(name, (1, 8, 8), _parts())
    images = torch.randn(4, 1, 8, 8)
    network(images)
    network.eval()
    torch.testing.assert_close(network(images)[:1], network(images[:1]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SIGNALS)
def test_memory_format_does_not_change_the_answer(name: str) -> None:
    network = _build(name, (3, 16, 16), _parts()).eval()
    images = torch.randn(2, 3, 16, 16)
    contiguous = network(images)
    channels_last = network.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(channels_last, contiguous, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SIGNALS)
def test_double_precision_gives_the_same_answer(name: str) -> None:
    network = _build(name, (3, 16, 16), _parts()).eval()
    images = torch.randn(2, 3, 16, 16)
    single = network(images)
    double = network.double()(images.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SIGNALS)
def test_bf16_gives_nearly_the_same_answer_and_gradients_for_all(name: str) -> None:
    network = _build(name, (3, 16, 16), _parts(norm_name="layer"))
    images = torch.randn(4, 3, 16, 16)
    exact = network(images).detach()
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(images)
    loss = nn.functional.cross_entropy(rough.float(), torch.arange(4))
    loss.backward()
    assert nn.functional.cosine_similarity(rough.float().flatten(), exact.flatten(), dim=0) > 0.98
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())


@pytest.mark.parametrize("name", SIGNALS)
def test_the_seed_decides_the_first_weights(name: str) -> None:
    def first() -> torch.Tensor:
        return nn.utils.parameters_to_vector(_build(name, (1, 8, 8), _parts()).parameters())

    assert torch.equal(first(), first())


@pytest.mark.parametrize("name", SIGNALS)
def test_a_model_overfits_four_images(name: str) -> None:
    network = _build(name, (1, 8, 8), _parts())
    images, targets = torch.randn(4, 1, 8, 8), torch.arange(4)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = [inf]
    while losses[-1] > 0.1 and len(losses) < 200:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] <= 0.1


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        (name, option, value)
        for name in model
        for option, value in (("depth", 0), ("width", 0), ("dropout", 1.0), ("squeeze", -1), ("stem", "tiny"))
        if option in model.options(name)
    ],
)
def test_options_out_of_bounds_are_refused(name: str, option: str, value: object) -> None:
    faults = model.check(Choice(name=name, options={option: value}))[1]
    assert [where for where, _ in faults] == [option]


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
