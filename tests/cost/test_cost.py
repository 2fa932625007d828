"""Costs against formulas worked out by hand, and against torch's own counter."""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dlcat.cost import Cost, LayerCost, cost
from dlcat.layers.convs import conv
from dlcat.layers.parts import Parts, choose
from dlcat.models import model
from dlcat.registry import Choice
from dlcat.train import experiment
from dlcat.workspace import Workspace

SIGNALS = [name for name in model if model.traits(name).takes == "signals"]
# Drawn small, so that the laws take seconds; a model that is not here is taken as it is.
SMALL: dict[str, dict[str, Any]] = {
    "densenet": {"depth": 10, "growth": 16},
    "preact_resnet": {"depth": 8},
    "resnet": {"depth": 8},
    "resnext": {"depth": 11, "groups": 4},
    "vgg": {"depth": 11},
    "xception": {"blocks": 1},
}
QUICK = {"standard", "depthwise_separable", "transposed"}
"""Of the types of convolution those that are tried in every model also where time is short."""


def _of(place: Workspace, recipe: str, *overrides: str, shape: tuple[int, ...], outputs: int = 10) -> Cost:
    loaded = place.recipe(recipe, overrides)
    return cost(lambda: experiment.build_model(loaded, shape, outputs), shape)


def _parts(conv_name: str = "standard", norm_name: str = "batch", dimensions: int = 2) -> Parts:
    return choose(
        conv=conv_name,
        norm=Choice(name=norm_name, options={"groups": 4} if norm_name == "weight_standardization" else {}),
        dimensions=dimensions,
    )


def _builder(name: str, shape: tuple[int, ...], parts: Parts) -> Callable[[], nn.Module]:
    return lambda: model[name](shape, 10, parts, **SMALL.get(name, {}))


def _block(name: str, channels_in: int, channels_out: int, kernel: int, dimensions: int = 2, stride: int = 1) -> Cost:
    shape = (channels_in, *(12, 10)[:dimensions])
    return cost(lambda: conv[name](channels_in, channels_out, kernel, stride, dimensions, False), shape)


def test_a_convolution_costs_its_window_at_every_place() -> None:
    price = cost(lambda: nn.Conv2d(3, 8, 5, padding=2), (3, 9, 7))
    assert price.macs == 9 * 7 * 8 * 3 * 5 * 5
    assert price.parameters == 8 * 3 * 5 * 5 + 8


def test_a_stride_a_group_and_a_matrix() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Conv2d(4, 8, 3, 2, 1, groups=4, bias=False), nn.Flatten(), nn.Linear(8 * 4 * 4, 10))

    price = cost(build, (4, 8, 8))
    assert [layer.macs for layer in price.layers] == [4 * 4 * 8 * 1 * 9, 0, 128 * 10]
    assert [layer.output_shape for layer in price.layers] == [(8, 4, 4), (128,), (10,)]
    assert [layer.name for layer in price.layers] == ["0", "1", "2"]
    assert price.macs == sum(layer.macs for layer in price.layers)


def test_the_first_layer_needs_no_gradient_of_its_input_and_the_others_do() -> None:
    def build() -> nn.Module:
        network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(64, 5), nn.Linear(5, 3))
        network[4].weight.requires_grad_(False)
        return network

    price = cost(build, (2, 6, 6))
    forward = [16 * 4 * 2 * 9, 16 * 4 * 4, 64 * 5, 5 * 3]
    multiplying = [layer for layer in price.layers if layer.macs]
    assert [layer.macs for layer in multiplying] == forward
    assert [layer.backward_macs for layer in multiplying] == [forward[0], 2 * forward[1], 2 * forward[2], forward[3]]
    assert price.backward_macs == sum(layer.backward_macs for layer in price.layers)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("standard", lambda c, o, w, k: c * o * w),
        ("dilated", lambda c, o, w, k: c * o * w),
        ("pointwise", lambda c, o, w, k: c * o),
        ("group", lambda c, o, w, k: c * o * w // 2),
        ("depthwise", lambda c, o, w, k: o * w),
        ("depthwise_separable", lambda c, o, w, k: c * w + c * o),
        ("pointwise_group", lambda c, o, w, k: c * o // 4 + o * w + o * o // 4),
        ("flattened", lambda c, o, w, k: c * o + o * k * (2 if w > k else 1)),
        ("bottleneck", lambda c, o, w, k: c * (o // 4) + (o // 4) ** 2 * w + (o // 4) * o),
        ("transposed", lambda c, o, w, k: c * o * w),
    ],
)
def test_a_convolution_of_every_type_costs_its_weights_at_every_place(
    name: str, weights: Callable[..., int], dimensions: int
) -> None:
    c, o, k = 8, 16, 3
    places = (12, 120)[dimensions - 1]
    price = _block(name, c, o, k, dimensions)
    assert price.parameters == weights(c, o, k**dimensions, k)
    assert price.macs == weights(c, o, k**dimensions, k) * places


def test_every_type_of_convolution_has_its_formula_here() -> None:
    marks = test_a_convolution_of_every_type_costs_its_weights_at_every_place.pytestmark
    assert {row[0] for mark in marks for row in mark.args[1] if isinstance(row, tuple)} >= set(conv)


@pytest.mark.parametrize("name", list(conv))
@pytest.mark.parametrize("stride", [1, 2])
def test_a_layer_leaves_the_positions_that_the_formula_says(name: str, stride: int) -> None:
    built: list[nn.Module] = []

    def build() -> nn.Module:
        built.append(conv[name](8, 16, 5, stride, 2, False))
        return built[0]

    price = cost(build, (8, 13, 10))
    modules = dict(built[0].named_modules())
    before = (13, 10)
    for layer in price.layers:
        module: Any = modules[layer.name]
        if isinstance(module, nn.Conv2d):
            settings = zip(before, module.padding, module.dilation, module.kernel_size, module.stride, strict=True)
            before = tuple(floor((w + 2 * p - d * (k - 1) - 1) / s) + 1 for w, p, d, k, s in settings)
        elif isinstance(module, nn.AvgPool2d):  # every stride-th position
            before = tuple(-(-w // stride) for w in before)
        assert layer.output_shape[1:] == before


def test_elementwise_work_is_not_counted_and_its_parameters_are() -> None:
    price = cost(lambda: nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), nn.Identity()), (6, 4, 4))
    assert (price.macs, price.parameters) == (0, 12)
    assert [layer.kind for layer in price.layers] == ["BatchNorm2d", "ReLU"]  # the identity costs nothing at all


def test_what_a_module_computes_itself_is_told_beside_its_layers() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(6, 6, bias=False)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            rows = self.project(inputs)  # (N, T, C)
            return rows @ rows.transpose(1, 2)

    price = cost(lambda: nn.Sequential(Attention()), (5, 6))
    assert [(layer.name, layer.kind, layer.macs) for layer in price.layers] == [
        ("0.project", "Linear", 5 * 6 * 6),
        ("0", "Attention", 5 * 6 * 5),
    ]
    assert [layer.backward_macs for layer in price.layers] == [5 * 6 * 6, 2 * 5 * 6 * 5]


def test_a_layer_that_is_called_twice_works_twice_and_is_learned_once() -> None:
    def build() -> nn.Module:
        shared = nn.Linear(4, 4)
        return nn.Sequential(shared, shared)

    price = cost(build, (4,))
    assert [(layer.parameters, layer.macs) for layer in price.layers] == [(20, 16), (0, 16)]
    assert (price.parameters, price.macs) == (20, 32)


def test_nothing_is_computed_and_nothing_is_left_behind() -> None:
    networks: list[nn.Module] = []

    def build() -> nn.Module:
        networks.append(nn.Conv2d(1, 1, 1))
        return networks[-1]

    assert cost(build, (1, 100_000, 100_000)).macs == 10**10  # 80 GB, were there memory
    assert len(networks) == 1
    assert networks[0].weight.is_meta
    assert not networks[0]._forward_hooks
    assert not networks[0]._forward_pre_hooks
    assert torch.zeros(1).device.type == "cpu"


def test_nothing_is_left_behind_by_a_network_that_cannot_be_trained() -> None:
    networks: list[nn.Module] = []

    def build() -> nn.Module:
        networks.append(nn.Sequential(nn.BatchNorm1d(3)))
        return networks[-1]

    with pytest.raises(ValueError, match="more than 1 value per channel"):
        cost(build, (3,), batch_size=1)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in networks[0].modules())
    assert (torch.zeros(1) + 1).item() == 1


def test_resnet_20_costs_what_its_shape_says(place: Workspace) -> None:
    price = _of(place, "cifar_bn", "model={name: resnet, depth: 20}", shape=(3, 32, 32))
    stem = 32 * 32 * 16 * 3 * 9
    first = 6 * 32 * 32 * 16 * 16 * 9
    second = 16 * 16 * 9 * (16 * 32 + 5 * 32 * 32)
    third = 8 * 8 * 9 * (32 * 64 + 5 * 64 * 64)
    convolutions = stem + first + second + third + 64 * 10
    shortcuts = 16 * 16 * 16 * 32 + 8 * 8 * 32 * 64
    assert convolutions == 40_551_040
    assert price.macs == convolutions + shortcuts
    assert price.backward_macs == 2 * price.macs - stem
    padded = _of(place, "cifar_bn", "model={name: resnet, depth: 20, shortcut: pad}", shape=(3, 32, 32))
    assert padded.macs == convolutions
    weights = 9 * (3 * 16 + 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64) + 64 * 10 + 10
    scales = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    assert padded.parameters == weights + scales == 269_722


def test_lenet_costs_what_its_shape_says(place: Workspace) -> None:
    model = "model={name: lenet, widths: [16, 32], kernel: 5, hidden: 128, norm: none}"
    price = _of(place, "mnist_lenet", model, shape=(1, 28, 28))
    first, second = 28 * 28 * 16 * 25, 14 * 14 * 32 * 16 * 25
    assert price.macs == first + second + 7 * 7 * 32 * 128 + 128 * 10 == 3_024_384
    assert price.parameters == 16 * 26 + 32 * (16 * 25 + 1) + 128 * (7 * 7 * 32 + 1) + 10 * 129


# Multiply-accumulates of one image of 3 x 224 x 224 into 1000 classes, in billions, as the papers and torchvision's
# documentation ("GFLOPS", without biases and pools) print them.
PRINTED: list[tuple[str, dict[str, Any], str, float]] = [
    ("vgg", {"depth": 16}, "none", 15.47),
    ("resnet", {"depth": 18}, "batch", 1.81),
    ("resnet", {"depth": 50}, "batch", 4.09),
    ("resnext", {"depth": 50}, "batch", 4.23),
    ("densenet", {"depth": 121}, "batch", 2.83),
    ("mobilenet", {"version": 1}, "batch", 0.569),
    ("mobilenet", {"version": 2}, "batch", 0.300),
]


@pytest.mark.parametrize(("name", "options", "norm_name", "printed"), PRINTED, ids=str)
def test_large_networks_cost_what_is_printed_of_them(
    name: str, options: dict[str, Any], norm_name: str, printed: float
) -> None:
    shape = (3, 224, 224)
    price = cost(lambda: model[name](shape, 1000, _parts(norm_name=norm_name), **options), shape)
    assert price.macs / 1e9 == pytest.approx(printed, rel=0.01)


@pytest.mark.parametrize(("channels", "kernel"), [(8, 3), (64, 3), (32, 5)])
def test_a_depthwise_separable_convolution_saves_what_its_paper_says(channels: int, kernel: int) -> None:
    standard, separable = (_block(name, channels, channels, kernel) for name in ("standard", "depthwise_separable"))
    assert separable.macs / standard.macs == pytest.approx(1 / channels + 1 / kernel**2)


def test_the_layers_add_up_to_the_whole(place: Workspace) -> None:
    for recipe, shape in (
        ("cifar_gn", (3, 32, 32)),
        ("mnist_depthwise", (1, 28, 28)),
        ("digits_quickstart", (1, 8, 8)),
    ):
        price = _of(place, recipe, shape=shape)
        for name in ("parameters", "macs", "backward_macs", "kept_bytes"):
            assert sum(getattr(layer, name) for layer in price.layers) == getattr(price, name)


@pytest.mark.parametrize("name", SIGNALS)
def test_the_layers_of_every_model_add_up_to_its_weights(name: str) -> None:
    shape = (3, 32, 32)
    price = cost(_builder(name, shape, _parts()), shape)
    with torch.device("meta"):
        network = _builder(name, shape, _parts())()
    assert price.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert sum(layer.parameters for layer in price.layers) == price.parameters


@pytest.mark.parametrize("norm_name", ["batch", "weight_standardization"])
def test_the_steps_of_a_convolution_are_one_block(norm_name: str) -> None:
    shape = (3, 16, 16)
    price = cost(_builder("resnet", shape, _parts("depthwise_separable", norm_name)), shape)
    steps = [layer for layer in price.layers if layer.block == "stage1.0.branch.0"]
    assert [layer.macs for layer in steps if layer.macs] == [256 * 16 * 9, 256 * 16 * 16]
    norms = [layer for layer in price.layers if "Norm" in layer.kind]
    assert all(layer.block == layer.name for layer in norms)


def _counted(network: nn.Module, batch: torch.Tensor) -> tuple[int, int]:
    """Multiply-accumulates of the forward and the backward pass by torch's counter."""
    with FlopCounterMode(display=False) as counter:
        outputs = network(batch)
        forward = counter.get_total_flops()
        outputs.sum().backward()
    return forward // 2, (counter.get_total_flops() - forward) // 2


def _counted_too_often(network: nn.Module, layers: tuple[LayerCost, ...]) -> int:
    """What torch's counter takes too much: of g groups, the gradient of the weights g times (pytorch#183405 mends it).

    It multiplies all channels of the input with all of the output there, as if there were one group.
    """
    if _counts_groups_rightly():
        return 0
    groups = {name: getattr(module, "groups", 1) for name, module in network.named_modules()}
    return sum((groups[layer.name] - 1) * layer.macs for layer in layers)


def _counts_groups_rightly() -> bool:
    with torch.device("meta"):
        forward, backward = _counted(nn.Conv1d(2, 2, 1, groups=2), torch.empty(1, 2, 1))
    return forward == backward


def _agrees_with_torch(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = build()
        batch = torch.empty(2, *shape)
    price = cost(build, shape)
    forward, backward = _counted(network, batch)
    assert 2 * price.macs == forward
    assert 2 * (price.backward_macs + _counted_too_often(network, price.layers)) == backward


@pytest.mark.parametrize(
    "conv_name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in conv]
)
@pytest.mark.parametrize("name", SIGNALS)
def test_every_model_with_every_convolution_costs_what_torch_counts(name: str, conv_name: str) -> None:
    shape = (3, 32, 32)
    build = _builder(name, shape, _parts(conv_name))
    try:
        with torch.device("meta"):
            build()
    except ValueError as error:
        pytest.skip(f"{name} refuses {conv_name}, as tests/models holds it to: {error}")
    _agrees_with_torch(build, shape)


@pytest.mark.parametrize("conv_name", ["standard", "flattened", "depthwise_separable", "transposed"])
def test_networks_of_one_dimension_cost_what_torch_counts(conv_name: str) -> None:
    _agrees_with_torch(_builder("lenet", (3, 40), _parts(conv_name, dimensions=1)), (3, 40))


def test_the_gradient_of_weights_in_groups_takes_a_product_for_each_product_of_the_forward_pass() -> None:
    convolution = nn.Conv1d(6, 4, 3, groups=2, bias=False).double()
    inputs = torch.randn(1, 6, 7, dtype=torch.float64)
    outputs = convolution(inputs)  # (1, 4, 5)
    products = 0
    for place in outputs.flatten():
        (gradient,) = torch.autograd.grad(place, convolution.weight, retain_graph=True)
        products += int(gradient.count_nonzero())
    layer = cost(lambda: nn.Conv1d(6, 4, 3, groups=2, bias=False), (6, 7)).layers[0]
    assert products == layer.macs == layer.backward_macs == 5 * 4 * 3 * 3
