"""What each architecture promises beside its number of weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from dlcat.layers.parts import choose
from dlcat.models import model
from dlcat.models.densenet import Dense
from dlcat.models.preact_resnet import PreactivatedResidual, Preactivation
from dlcat.models.residual import Residual


def _build(
    name: str, shape: tuple[int, ...] = (3, 32, 32), norm: str = "batch", conv: str = "standard", **options: Any
) -> Any:
    torch.manual_seed(0)
    parts = choose(conv=conv, norm=norm, dimensions=len(shape) - 1)
    return model[name](shape, 10, parts, **options)


def _sizes(network: nn.Sequential, shape: tuple[int, ...]) -> list[int]:
    """The longest side of what each layer gives, where it gives maps."""
    sizes, maps = [], torch.zeros(2, *shape)
    for layer in network:
        maps = layer(maps)
        if maps.dim() > 2:
            sizes.append(max(maps.shape[2:]))
    return sizes


@pytest.mark.parametrize(
    ("name", "options", "large", "small"),
    [
        ("alexnet", {"width": 0.125, "hidden": 8}, 6, 4),
        ("vgg", {"depth": 11, "width": 0.125, "hidden": 8}, 7, 1),
        ("mobilenet", {"width": 0.25, "version": 1}, 7, 4),
        ("mobilenet", {"width": 0.25, "version": 2}, 7, 4),
        ("network_in_network", {"width": 0.125}, 7, 8),
    ],
    ids=str,
)
def test_the_form_follows_the_size_of_the_images(name: str, options: dict[str, Any], large: int, small: int) -> None:
    for side, left in ((224, large), (32, small)):
        sizes = _sizes(_build(name, (3, side, side), **options), (3, side, side))
        assert left in sizes[-3:]


@pytest.mark.parametrize("name", ["alexnet", "mobilenet", "network_in_network"])
def test_the_stem_option_decides_where_auto_would_decide_otherwise(name: str) -> None:
    wide = {"width": 0.25}
    small, large = (_sizes(_build(name, stem=stem, **wide), (3, 32, 32))[0] for stem in ("cifar", "imagenet"))
    assert small == 32
    assert large in (8, 16)


@pytest.mark.parametrize(
    ("name", "depth"),
    [("preact_resnet", 8), ("preact_resnet", 18), ("resnext", 11), ("densenet", 10), ("densenet", 121)],
)
@pytest.mark.parametrize(("stem", "side"), [("cifar", 32), ("imagenet", 8)])
def test_the_stem_option_decides_the_size_of_the_first_stage(name: str, depth: int, stem: str, side: int) -> None:
    with torch.device("meta"):
        network = _build(name, depth=depth, stem=stem)
        assert network.stem(torch.empty(2, 3, 32, 32)).shape[-1] == side


def test_alexnet_normalises_behind_its_first_two_activations_and_nowhere_else() -> None:
    kinds = [type(layer).__name__ for layer in _build("alexnet", width=0.125)]
    norms = [index for index, kind in enumerate(kinds) if "Norm" in kind]
    assert len(norms) == 2
    assert all(kinds[index - 2 : index] == ["Conv2d", "ReLU"] for index in norms)
    assert all(layer.bias is not None for layer in _build("alexnet", width=0.125) if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize("name", ["alexnet", "vgg"])
def test_dense_heads_look_at_fewer_positions_where_fewer_are_left(name: str) -> None:
    options = {"head": "dense"} if name == "vgg" else {"stem": "imagenet"}
    network = _build(name, (3, 96, 40), width=0.125, hidden=8, **options)
    dense = next(layer for layer in network if isinstance(layer, nn.Linear))
    assert dense.in_features == 3 * 2 * (64 if name == "vgg" else 32)
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 10)  # and at images of another size


def test_vgg_has_one_dense_layer_on_small_images_and_three_on_large_ones() -> None:
    for shape, head, layers in (((3, 32, 32), "auto", 1), ((3, 96, 96), "auto", 3), ((3, 32, 32), "dense", 3)):
        network = _build("vgg", shape, depth=11, width=0.125, hidden=8, head=head)
        assert sum(isinstance(layer, nn.Linear) for layer in network) == layers


def test_network_in_network_ends_in_a_map_per_class() -> None:
    network = _build("network_in_network", width=0.125).eval()
    maps = network[:-1](torch.randn(2, 3, 32, 32))
    assert maps.shape == (2, 10, 8, 8)
    torch.testing.assert_close(network[-1](maps), maps.mean((2, 3)))
    assert network[-2].bias is not None


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_nothing_touches_the_sum_of_blocks_that_normalise_first(norm: str) -> None:
    network = _build("preact_resnet", depth=14, norm=norm).eval()
    block = next(found for found in network.modules() if _is_plain(found))
    inputs = torch.randn(2, 16, 8, 8)
    before = inputs.clone()
    ready = block.ready.norm(inputs).clamp(min=0)
    torch.testing.assert_close(block(inputs), before + block.branch(ready))
    assert torch.equal(inputs, before)


def _is_plain(module: nn.Module) -> bool:
    return isinstance(module, PreactivatedResidual) and isinstance(module.ready, Preactivation) and not module.shortcut


def test_a_block_that_normalises_first_and_changes_the_shape_does_both_with_what_is_ready() -> None:
    block = _build("preact_resnet", depth=8).eval().stage2[0]
    inputs = torch.randn(2, 16, 8, 8)
    ready = block.ready(inputs)
    torch.testing.assert_close(block(inputs), block.branch(ready) + block.shortcut(ready))
    assert isinstance(block.shortcut, nn.Conv2d)


def test_the_width_of_wide_residual_networks_leaves_the_stem_alone() -> None:
    with torch.device("meta"):
        network = _build("preact_resnet", depth=16, width=4)
    assert network.stem[0].out_channels == 16
    assert network.head.in_features == 256


def test_a_dense_layer_keeps_its_input_and_adds_what_it_makes_of_it() -> None:
    for norm in ("batch", "none"):
        network = _build("densenet", depth=10, norm=norm).eval()
        layer = next(found for found in network.modules() if isinstance(found, Dense))
        inputs = torch.randn(2, 24, 6, 6)
        before = inputs.clone()
        outputs = layer(inputs)
        assert outputs.shape == (2, 36, 6, 6)
        assert torch.equal(outputs[:, :24], before)
        torch.testing.assert_close(outputs[:, 24:], layer.new(before))


@pytest.mark.parametrize(
    ("name", "depth", "kind", "index"),
    [
        ("preact_resnet", 14, PreactivatedResidual, 1),  # past it goes its input itself
        ("preact_resnet", 14, PreactivatedResidual, 2),  # past it goes a projection
        ("densenet", 10, Dense, 1),
    ],
)
def test_gradients_of_what_reads_its_input_twice_are_exact(name: str, depth: int, kind: type, index: int) -> None:
    network = _build(name, (1, 7), norm="none", depth=depth)  # so that what works in place meets the input itself
    block = [found for found in network.modules() if isinstance(found, kind)][index].double()
    channels = next(found for found in block.modules() if isinstance(found, nn.Conv1d)).in_channels
    inputs = torch.randn(1, channels, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (inputs,))


def test_compression_and_growth_decide_the_channels_between_stages() -> None:
    network = _build("densenet", depth=10, growth=8, compression=0.25)
    assert network.transition1[2].in_channels == 2 * 8 + 8
    assert network.transition1[2].out_channels == 6


@pytest.mark.parametrize(("depth", "growth"), [(121, 32), (161, 48), (40, 12)])
def test_the_growth_is_the_papers_unless_it_is_set(depth: int, growth: int) -> None:
    with torch.device("meta"):
        assert _build("densenet", depth=depth).stage1[0].new[4].out_channels == growth


def test_the_groups_of_resnext_do_not_hear_of_each_other() -> None:
    network = _build("resnext", depth=11, groups=4, group_width=2)
    grouped = network.stage2[0].branch[3]
    assert (grouped.groups, grouped.in_channels, grouped.stride) == (4, 16, (2, 2))
    inputs = torch.zeros(1, 16, 4, 4)
    inputs[:, :4] = 1
    outputs = grouped(inputs)
    assert outputs[:, :4].any()
    assert not outputs[:, 4:].any()


def test_resnext_with_one_group_of_64_has_the_bottlenecks_of_resnet() -> None:
    with torch.device("meta"):
        one = _build("resnext", depth=50, groups=1, group_width=64)
        other = _build("resnet", depth=50)
    shapes, expected = ([tuple(weight.shape) for weight in network.parameters()] for network in (one, other))
    assert shapes == expected


@pytest.mark.parametrize("version", [1, 2])
def test_mobilenet_looks_around_in_single_channels_and_mixes_at_single_positions(version: int) -> None:
    network = _build("mobilenet", width=0.25, version=version)
    first, *others = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    assert (first.kernel_size, first.groups) == ((3, 3), 1)
    assert {module.kernel_size for module in others} == {(1, 1), (3, 3)}
    assert all((module.groups == module.in_channels) == (module.kernel_size == (3, 3)) for module in others)


def test_mobilenet_filters_its_channels_by_the_chosen_convolution() -> None:
    network = _build("mobilenet", width=0.25, conv="dilated")
    windows = [module for module in network.modules() if isinstance(module, nn.Conv2d) and module.groups > 1]
    assert len(windows) == 17
    assert all(module.dilation == (2, 2) and module.groups == module.in_channels for module in windows)


def test_inverted_blocks_add_where_the_shape_stays_and_end_without_an_activation() -> None:
    network = _build("mobilenet", version=2)
    blocks = [module for module in network.modules() if isinstance(module, Residual)]
    assert len(blocks) == 10  # of 17: the others change the channels or the size
    block = blocks[0].eval()
    inputs = torch.randn(2, block.branch[0].in_channels, 5, 5)
    torch.testing.assert_close(block(inputs), inputs + block.branch(inputs))
    assert block.branch[0].out_channels == 6 * block.branch[0].in_channels
    assert functional.relu(block(inputs)).ne(block(inputs)).any()


@pytest.mark.parametrize("width", [0.5, 2.0])
def test_the_last_channels_of_the_second_mobilenet_are_never_fewer_than_1280(width: float) -> None:
    with torch.device("meta"):
        network = _build("mobilenet", width=width)
    assert network[-1].in_features == max(1280, int(1280 * width))


@pytest.mark.parametrize("name", ["alexnet", "vgg", "network_in_network", "preact_resnet", "mobilenet", "densenet"])
def test_dropout_is_taken(name: str) -> None:
    options: dict[str, Any] = {"dropout": 0.5}
    if name in ("alexnet", "vgg", "network_in_network", "mobilenet"):
        options["width"] = 0.25
    network = _build(name, (1, 16, 16), norm="none", **options)
    images = torch.randn(2, 1, 16, 16)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))
