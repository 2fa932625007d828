"""Both versions of ShuffleNet have the published weights, and let all channels meet by shuffles alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dlcat.layers.convs.pointwise_group import Shuffle
from dlcat.layers.parts import choose
from dlcat.models import model
from dlcat.models.concatenated import Concatenated
from dlcat.models.residual import Residual
from dlcat.models.shufflenet import HalfKept
from dlcat.models.squeeze import SqueezeExcitation
from dlcat.registry import Choice

VERSIONS = pytest.mark.parametrize("version", [1, 2])


def _build(
    shape: tuple[int, ...] = (3, 32, 32), outputs: int = 10, norm: str = "batch", conv: str = "standard", **options: Any
) -> Any:
    torch.manual_seed(0)
    parts = choose(conv=conv, norm=norm, dimensions=len(shape) - 1)
    return model["shufflenet"](shape, outputs, parts, **options)


def _imagenet_weights(**options: Any) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in _build((3, 224, 224), 1000, **options).parameters())


def _second_by_formula(first: int, last: int) -> int:
    """Weights of table 5 of arXiv:1807.11164 with 1000 outputs, norms included."""
    total, channels = 27 * 24 + 48, 24
    for width, others in ((first, 3), (2 * first, 7), (4 * first, 3)):
        half = width // 2

        def mix(before: int, after: int) -> int:
            return before * after + 2 * after

        def window(count: int) -> int:
            return 9 * count + 2 * count

        total += window(channels) + mix(channels, half)  # the way past
        total += mix(channels, half) + window(half) + mix(half, half)
        total += others * (mix(half, half) + window(half) + mix(half, half))
        channels = width
    return total + channels * last + 2 * last + last * 1000 + 1000


@pytest.mark.parametrize(
    ("width", "first", "last", "weights"),
    [
        # torchvision's documentation, `num_params` of shufflenet_v2_x0_5 to x2_0.
        (0.5, 48, 1024, 1_366_792),
        (1.0, 116, 1024, 2_278_604),
        (1.5, 176, 1024, 3_503_624),
        (2.0, 244, 2048, 7_393_996),
    ],
)
def test_the_second_version_has_the_published_number_of_weights(
    width: float, first: int, last: int, weights: int
) -> None:
    assert _second_by_formula(first, last) == weights
    assert _imagenet_weights(width=width) == weights


@pytest.mark.parametrize(
    ("groups", "width", "millions"),
    [
        # The table of the first version in its authors' repository, github.com/megvii-model/ShuffleNet-Series.
        (3, 0.5, 0.7), (3, 1.0, 1.9), (3, 1.5, 3.4), (3, 2.0, 5.4),
        (8, 0.5, 1.0), (8, 1.0, 2.4), (8, 1.5, 4.3), (8, 2.0, 6.5),
    ],
)  # fmt: skip
def test_the_first_version_has_as_many_million_weights_as_its_authors_say(
    groups: int, width: float, millions: float
) -> None:
    assert _imagenet_weights(version=1, groups=groups, width=width) / 1e6 == pytest.approx(millions, abs=0.05)


def _first_by_formula(groups: int, first: int) -> int:
    """Weights of table 1 of arXiv:1707.01083 with 1000 outputs, norms included."""
    total, channels = 27 * 24 + 48, 24
    for width, others in ((first, 3), (2 * first, 7), (4 * first, 3)):
        inner, new = width // 4, width - channels
        first_groups = 1 if channels == 24 else groups
        total += channels * inner // first_groups + 2 * inner + 11 * inner + inner * new // groups + 2 * new
        total += others * (width * inner // groups + 2 * inner + 11 * inner + inner * width // groups + 2 * width)
        channels = width
    return total + channels * 1000 + 1000


@pytest.mark.parametrize(("groups", "first"), [(1, 144), (2, 200), (3, 240), (4, 272), (8, 384)])
def test_the_first_version_has_the_weights_of_its_papers_table(groups: int, first: int) -> None:
    assert _imagenet_weights(version=1, groups=groups) == _first_by_formula(groups, first)


def test_three_groups_are_the_default_of_the_first_version() -> None:
    assert _imagenet_weights(version=1) == _imagenet_weights(version=1, groups=3)


@VERSIONS
@pytest.mark.parametrize("width", [0.3, 0.75, 1.2, 3.0])
def test_other_widths_build_and_grow(version: int, width: float) -> None:
    weights = _imagenet_weights(version=version, width=width)
    assert weights < _imagenet_weights(version=version, width=2 * width)


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8])
def test_the_first_unit_has_channels_of_its_own_at_any_width(groups: int) -> None:
    network = _build((1, 8, 8), version=1, groups=groups, width=0.01)
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 10)


@VERSIONS
@pytest.mark.parametrize(("stem", "sizes"), [("imagenet", [8, 4, 2, 1]), ("cifar", [32, 16, 8, 4])])
def test_the_stem_decides_the_size_of_the_stages(version: int, stem: str, sizes: list[int]) -> None:
    with torch.device("meta"):
        maps, found = torch.empty(2, 3, 32, 32), []
        for layer in _build(version=version, stem=stem):
            maps = layer(maps)
            if maps.dim() == 4:
                found.append(maps.shape[-1])
    start = found.index(sizes[0])
    assert list(dict.fromkeys(found[start:])) == sizes


@VERSIONS
def test_windows_look_at_one_channel_and_mixes_at_one_position(version: int) -> None:
    network = _build(version=version, conv="dilated")
    first, *others = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    assert first.groups == 1
    for module in others:
        if module.kernel_size == (3, 3):
            assert module.groups == module.in_channels
            assert module.dilation == (2, 2)  # the chosen convolution
        else:
            assert module.kernel_size == (1, 1)
            assert module.groups == (1 if version == 2 or module.in_channels == 24 else 3)


def test_groups_of_the_first_version_meet_in_the_shuffle_alone() -> None:
    network = _build(version=1, groups=2, norm="none").eval()
    unit = next(layer for layer in network if isinstance(layer, Residual))

    def reads(branch: nn.Sequential) -> int:
        inputs = torch.rand(1, 200, 1, 1, requires_grad=True)
        branch(inputs)[:, :100].sum().backward()
        return int(inputs.grad[:, 100:].count_nonzero())

    for convolution in (module for module in unit.branch if isinstance(module, nn.Conv2d)):
        nn.init.constant_(convolution.weight, 0.1)
        nn.init.constant_(convolution.bias, 1.0)  # so that no rectifier hides anything
    without = nn.Sequential(*(layer for layer in unit.branch if not isinstance(layer, Shuffle)))
    assert reads(unit.branch) == 100
    assert reads(without) == 0


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_unit_of_the_second_version_keeps_half_of_its_channels(norm: str) -> None:
    network = _build(norm=norm, width=0.5).eval()
    place = next(place for place, layer in enumerate(network) if isinstance(layer, HalfKept))
    inputs = torch.randn(2, 48, 6, 6)
    before = inputs.clone()
    outputs = network[place](inputs)
    assert torch.equal(inputs, before)
    assert torch.equal(outputs[:, :24], before[:, :24])
    torch.testing.assert_close(outputs[:, 24:], network[place].branch(before[:, 24:]))
    # Behind it a shuffle puts the two halves between each other, so that the next unit keeps some of both.
    assert torch.equal(network[place + 1](outputs)[:, ::2], outputs[:, :24])


def test_a_unit_of_the_first_version_adds_to_its_input_or_stands_beside_its_mean() -> None:
    network = _build(version=1, norm="none").eval()
    halving = next(
        layer for layer in network if isinstance(layer, nn.Sequential) and isinstance(layer[0], Concatenated)
    )
    inputs = torch.rand(2, 24, 6, 6)
    outputs = halving(inputs.clone())
    assert outputs.shape == (2, 240, 3, 3)
    torch.testing.assert_close(outputs[:, :24, 1, 1], inputs[:, :, 1:4, 1:4].mean((2, 3)))
    adding = next(layer for layer in network if isinstance(layer, Residual))
    inputs = torch.randn(2, 240, 3, 3)
    torch.testing.assert_close(adding(inputs), (inputs + adding.branch(inputs)).clamp(min=0))


@VERSIONS
def test_gradients_of_units_are_exact(version: int) -> None:
    network = _build((1, 9), version=version, norm="none", width=0.1).double()
    wanted = (Residual, Concatenated) if version == 1 else (HalfKept, Concatenated)
    for kind in wanted:
        unit = next(module for module in network.modules() if isinstance(module, kind))
        channels = (
            24 if kind is Concatenated else next(unit.branch.modules())[0].in_channels * (2 if version == 2 else 1)
        )
        inputs = torch.randn(1, channels, 3, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(unit, (inputs,))


@VERSIONS
@pytest.mark.parametrize("options", [{}, {"squeeze": 4}, {"stem": "imagenet"}], ids=str)
@pytest.mark.parametrize("shape", [(2, 17), (1, 9, 12)], ids=str)
def test_gradients_reach_every_weight(shape: tuple[int, ...], options: dict[str, Any], version: int) -> None:
    network = _build(shape, version=version, width=0.5, **options)
    outputs = network(torch.randn(4, *shape))
    assert outputs.shape == (4, 10)
    outputs.logsumexp(1).sum().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()] == []


@VERSIONS
def test_squeeze_and_excitation_ends_every_branch(version: int) -> None:
    network = _build(version=version, squeeze=8)
    assert sum(isinstance(module, SqueezeExcitation) for module in network.modules()) == 16


def test_dropout_stands_before_the_last_layer() -> None:
    network = _build((1, 8, 8), norm="none", width=0.5, dropout=0.5)
    images = torch.randn(2, 1, 8, 8)
    assert not torch.equal(network(images), network(images))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"version": 1, "groups": 5}, "no ShuffleNet has 5 groups: expected one of 1, 2, 3, 4, 8"),
        ({"version": 2, "groups": 3}, "version 2 has no groups, found groups: 3"),
        ({"norm": "group"}, "32 groups do not divide 24 channels"),
        ({"conv": "group"}, r"groups of 1 channel\(s\) apart.*2 groups do not divide 1 channels"),
        ({"conv": "pointwise_group"}, "4 groups do not divide 1 channels"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_the_reason(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason), torch.device("meta"):
        _build(**options)


@pytest.mark.parametrize(
    ("option", "value"), [("version", 3), ("groups", 0), ("width", 0), ("squeeze", -1), ("dropout", 1.0)]
)
def test_options_out_of_bounds_are_refused(option: str, value: object) -> None:
    assert [where for where, _ in model.check(Choice(name="shufflenet", options={option: value}))[1]] == [option]
