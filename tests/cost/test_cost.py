"""Costs against formulas worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcat.cost import Cost, cost
from dlcat.train import experiment
from dlcat.workspace import Workspace


def _of(place: Workspace, recipe: str, *overrides: str, shape: tuple[int, ...], outputs: int = 10) -> Cost:
    loaded = place.recipe(recipe, overrides)
    return cost(lambda: experiment.build_model(loaded, shape, outputs), shape)


def test_a_convolution_costs_its_window_at_every_place() -> None:
    price = cost(lambda: nn.Conv2d(3, 8, 5, padding=2), (3, 9, 7))
    assert price.macs == 9 * 7 * 8 * 3 * 5 * 5
    assert price.parameters == 8 * 3 * 5 * 5 + 8


def test_a_stride_a_group_and_a_matrix() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Conv2d(4, 8, 3, 2, 1, groups=4, bias=False), nn.Flatten(), nn.Linear(8 * 4 * 4, 10))

    price = cost(build, (4, 8, 8))
    assert [layer.macs for layer in price.layers] == [4 * 4 * 8 * 1 * 9, 128 * 10]
    assert [layer.output_shape for layer in price.layers] == [(8, 4, 4), (10,)]
    assert [layer.name for layer in price.layers] == ["0", "2"]
    assert price.macs == sum(layer.macs for layer in price.layers)


def test_elementwise_work_is_not_counted_and_its_parameters_are() -> None:
    price = cost(lambda: nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()), (6, 4, 4))
    assert (price.macs, price.parameters) == (0, 12)
    assert [layer.kind for layer in price.layers] == ["BatchNorm2d"]


def test_nothing_is_computed_and_nothing_is_left_behind() -> None:
    networks: list[nn.Module] = []

    def build() -> nn.Module:
        networks.append(nn.Conv2d(1, 1, 1))
        return networks[-1]

    assert cost(build, (1, 100_000, 100_000)).macs == 10**10  # 40 GB, were there memory
    assert networks[0].weight.is_meta
    assert not networks[0]._forward_hooks
    assert torch.zeros(1).device.type == "cpu"


def test_resnet_20_costs_what_its_shape_says(place: Workspace) -> None:
    price = _of(place, "cifar_bn", "model={name: resnet, depth: 20}", shape=(3, 32, 32))
    stem = 32 * 32 * 16 * 3 * 9
    first = 6 * 32 * 32 * 16 * 16 * 9
    second = 16 * 16 * 9 * (16 * 32 + 5 * 32 * 32)
    third = 8 * 8 * 9 * (32 * 64 + 5 * 64 * 64)
    convolutions = stem + first + second + third + 64 * 10
    shortcuts = price.macs - convolutions
    assert shortcuts in (0, 16 * 16 * 16 * 32 + 8 * 8 * 32 * 64)  # a padded identity, or 1×1 convolutions
    assert convolutions == 40_551_040
    weights = 9 * (3 * 16 + 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64) + 64 * 10 + 10
    scales = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    if shortcuts == 0:
        assert price.parameters == weights + scales == 269_722


def test_lenet_costs_what_its_shape_says(place: Workspace) -> None:
    model = "model={name: lenet, widths: [16, 32], kernel: 5, hidden: 128, norm: none}"
    price = _of(place, "mnist_lenet", model, shape=(1, 28, 28))
    first, second = 28 * 28 * 16 * 25, 14 * 14 * 32 * 16 * 25
    assert price.macs == first + second + 7 * 7 * 32 * 128 + 128 * 10 == 3_024_384
    assert price.parameters == 16 * 26 + 32 * (16 * 25 + 1) + 128 * (7 * 7 * 32 + 1) + 10 * 129


@pytest.mark.parametrize(("channels", "kernel"), [(8, 3), (64, 3), (32, 5)])
def test_a_depthwise_separable_convolution_saves_what_its_paper_says(channels: int, kernel: int) -> None:
    from dlcat.layers.convs import conv

    prices = [
        cost(lambda: conv[name](channels, channels, kernel, 1, 2, False), (channels, 16, 16))  # noqa: B023
        for name in ("standard", "depthwise_separable")
    ]
    assert prices[1].macs / prices[0].macs == pytest.approx(1 / channels + 1 / kernel**2)


def test_the_layers_add_up_to_the_whole(place: Workspace) -> None:
    for recipe, shape in (
        ("cifar_gn", (3, 32, 32)),
        ("mnist_depthwise", (1, 28, 28)),
        ("digits_quickstart", (1, 8, 8)),
    ):
        price = _of(place, recipe, shape=shape)
        assert sum(layer.macs for layer in price.layers) == price.macs
        assert sum(layer.parameters for layer in price.layers) == price.parameters
