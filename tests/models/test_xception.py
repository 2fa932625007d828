"""Xception has the published weights: all but its first convolutions take windows and channels apart."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from dlcat.layers.convs import Chain
from dlcat.layers.parts import choose
from dlcat.models import model
from dlcat.models.residual import Residual
from dlcat.models.squeeze import SqueezeExcitation
from dlcat.models.xception import separable
from dlcat.registry import Choice


def _parts(norm: str = "batch", conv: str = "standard", dimensions: int = 2) -> Any:
    return choose(conv=conv, norm=norm, dimensions=dimensions)


def _build(
    shape: tuple[int, ...] = (3, 32, 32), outputs: int = 10, norm: str = "batch", conv: str = "standard", **options: Any
) -> Any:
    torch.manual_seed(0)
    return model["xception"](shape, outputs, _parts(norm, conv, len(shape) - 1), **options)


def _by_formula() -> int:
    """Weights of figure 5 of arXiv:1610.02357 with 1000 outputs."""

    def norm(channels: int) -> int:
        return 2 * channels

    def apart(*channels: int) -> int:
        return sum(9 * before + before * after + norm(after) for before, after in pairwise(channels))

    def shortcut(before: int, after: int) -> int:
        return before * after + norm(after)

    entry = 27 * 32 + norm(32) + 9 * 32 * 64 + norm(64)
    for before, after in pairwise((64, 128, 256, 728)):
        entry += apart(before, after, after) + shortcut(before, after)
    middle = 8 * apart(728, 728, 728, 728)
    leaving = apart(728, 728, 1024) + shortcut(728, 1024) + apart(1024, 1536, 2048)
    return entry + middle + leaving + 2048 * 1000 + 1000


def test_the_imagenet_form_has_the_published_number_of_weights() -> None:
    # The paper's table 3 and Keras, whose total of 22,910,480 counts 54,528 running averages in too.
    assert _by_formula() == 22_855_952
    with torch.device("meta"):
        network = _build((3, 224, 224), 1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == 22_855_952
    averages = [tensor for name, tensor in network.named_buffers() if name.rpartition(".")[2].startswith("running_")]
    assert sum(tensor.numel() for tensor in averages) == 54_528


@pytest.mark.parametrize("blocks", [0, 3])
def test_blocks_are_those_that_keep_size_and_channels(blocks: int) -> None:
    network = _build(width=0.125, blocks=blocks)
    assert sum(isinstance(layer, Residual) for layer in network) == 4 + blocks


@pytest.mark.parametrize(("stem", "sizes"), [("imagenet", [16, 8, 4, 2, 1]), ("cifar", [32, 16, 8, 4])])
def test_the_stem_decides_how_often_the_size_is_halved(stem: str, sizes: list[int]) -> None:
    with torch.device("meta"):
        maps, found = torch.empty(2, 3, 32, 32), []
        for layer in _build(width=0.125, blocks=1, stem=stem):
            maps = layer(maps)
            if maps.dim() == 4 and maps.shape[-1] not in found:
                found.append(maps.shape[-1])
    assert [size for size in found if size > 1 or stem == "imagenet"] == sizes


def test_windows_look_at_one_channel_and_mixes_at_one_position() -> None:
    first, second, *others = (module for module in _build(width=0.25).modules() if isinstance(module, nn.Conv2d))
    assert first.groups == second.groups == 1
    assert {module.kernel_size for module in others} == {(1, 1), (3, 3)}
    assert all((module.groups == module.in_channels) == (module.kernel_size == (3, 3)) for module in others)


@pytest.mark.parametrize("conv", ["standard", "dilated", "flattened", "bottleneck"])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_window_and_mix_are_one_linear_map_of_the_chosen_convolution(conv: str, dimensions: int) -> None:
    torch.manual_seed(0)
    parts = _parts(conv=conv, dimensions=dimensions)
    chain = separable(6, 10, parts)
    assert isinstance(chain, Chain)
    assert all(isinstance(step, nn.Conv1d | nn.Conv2d) for step in chain)
    assert chain[-1].groups == 1
    assert all(step.groups == 6 for step in list(chain)[:-1])
    inputs = torch.randn(2, 6, *(7,) * dimensions)
    assert chain(inputs).shape == (2, 10, *(7,) * dimensions)
    torch.testing.assert_close(chain(2 * inputs), 2 * chain(inputs))


def test_steps_without_a_rectifier_between_begin_with_half_the_variance() -> None:
    network = _build(width=1.0, blocks=0)
    chain = [module for module in network.modules() if isinstance(module, Chain)][-1]
    window, mix = chain
    assert window.weight.std().item() == pytest.approx((1 / 9) ** 0.5, rel=0.05)
    assert mix.weight.std().item() == pytest.approx((2 / mix.in_channels) ** 0.5, rel=0.05)


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("place", range(5))
def test_a_block_adds_to_its_input_as_it_is(norm: str, place: int) -> None:
    network = _build((1, 12, 12), width=0.125, norm=norm, blocks=1).eval()
    block = [layer for layer in network if isinstance(layer, Residual)][place]
    channels = next(module for module in block.branch.modules() if isinstance(module, nn.Conv2d)).in_channels
    inputs = torch.randn(2, channels, 6, 6)
    before = inputs.clone()
    outputs = block(inputs)
    assert torch.equal(inputs, before)
    torch.testing.assert_close(outputs, block.shortcut(before) + block.branch(before.clone()))
    if place == 3:  # the one that keeps both size and channels
        torch.testing.assert_close(outputs - before, block.branch(before.clone()))


def test_gradients_of_a_block_are_exact() -> None:
    network = _build((1, 7), width=0.125, norm="none", blocks=1)
    for block in [layer for layer in network if isinstance(layer, Residual)][1:4:2]:
        channels = next(module for module in block.modules() if isinstance(module, nn.Conv1d)).in_channels
        inputs = torch.randn(1, channels, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(block.double(), (inputs,))


@pytest.mark.parametrize("options", [{}, {"squeeze": 4}, {"stem": "imagenet"}], ids=str)
@pytest.mark.parametrize("shape", [(2, 17), (1, 9, 12)], ids=str)
def test_gradients_reach_every_weight(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    network = _build(shape, width=0.125, blocks=1, dropout=0.0, **options)
    network(torch.randn(4, *shape)).logsumexp(1).sum().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_squeeze_and_excitation_ends_every_branch() -> None:
    network = _build(width=0.125, squeeze=8)
    blocks = [layer for layer in network if isinstance(layer, Residual)]
    assert len(blocks) == 12
    assert all(isinstance(block.squeeze, SqueezeExcitation) for block in blocks)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"norm": "group"}, "32 groups do not divide 728 channels"),
        ({"conv": "group"}, r"groups of 1 channel\(s\) apart.*2 groups do not divide 1 channels"),
        ({"conv": "pointwise_group"}, "4 groups do not divide 1 channels"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_the_reason(options: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason), torch.device("meta"):
        _build(**options)


@pytest.mark.parametrize(("option", "value"), [("blocks", -1), ("width", 0), ("squeeze", -1), ("dropout", 1.0)])
def test_options_out_of_bounds_are_refused(option: str, value: object) -> None:
    assert [where for where, _ in model.check(Choice(name="xception", options={option: value}))[1]] == [option]
