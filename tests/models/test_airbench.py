"""The network after airbench has its shape and, if asked for, its first weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from dlcat.layers.parts import choose
from dlcat.models import model
from dlcat.registry import Choice


def _build(
    shape: tuple[int, ...] = (3, 32, 32), norm: str = "batch", conv: str = "standard", act: str = "gelu", **options: Any
) -> Any:
    torch.manual_seed(0)
    parts = choose(conv=conv, norm=norm, activation=act, dimensions=len(shape) - 1)
    return model["airbench"](shape, 10, parts, **options)


def test_the_convolutions_and_the_head_have_the_weights_of_the_paper() -> None:
    # arXiv:2404.00498, appendix: 24 channels, then 64, 256 and 256; 1.97 million in all.
    with torch.device("meta"):
        network = _build(norm="none")
    weights = {name: weight.numel() for name, weight in network.named_parameters() if weight.dim() > 1}
    theirs = 24 * 64 * 9 + 64 * 64 * 9 + 64 * 256 * 9 + 256 * 256 * 9 + 2 * 256 * 256 * 9 + 256 * 10
    stem = 3 * 24 * 9  # theirs: 3 * 24 * 2 * 2, and fixed
    assert sum(weights.values()) == theirs + stem
    assert theirs / 1e6 == pytest.approx(1.97, abs=0.005)


def test_the_pool_stands_between_a_stages_first_convolution_and_its_norm() -> None:
    _, *layers = _build(norm="batch")
    kinds = [type(layer).__name__ for layer in layers]
    stage = ["Conv2d", "MaxPool2d", "BatchNorm", "GELU", "Conv2d", "BatchNorm", "GELU"]
    assert kinds == [*stage * 3, "AdaptiveMaxPool2d", "Flatten", "Linear", "Scaled"]


def test_the_head_reads_the_largest_values_and_has_no_bias_and_a_ninth() -> None:
    network = _build((1, 16, 16), width=0.5).eval()
    maps = network[:-4](torch.randn(2, 1, 16, 16))
    assert maps.shape == (2, 128, 2, 2)
    expected = maps.amax((2, 3)) @ network[-2].weight.T / 9
    torch.testing.assert_close(network[-4:](maps), expected)


@pytest.mark.parametrize(
    ("shape", "stem", "left"),
    [((3, 32, 32), "auto", 4), ((3, 224, 224), "auto", 7), ((3, 32, 32), "imagenet", 1), ((1, 100), "cifar", 13)],
)
def test_the_form_follows_the_size_of_the_input_or_the_stem(shape: tuple[int, ...], stem: str, left: int) -> None:
    with torch.device("meta"):
        network = _build(shape, stem=stem)
        assert network[:-4](torch.empty(2, *shape)).shape[2:] == (left,) * (len(shape) - 1)


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_stage_has_as_many_convolutions_as_it_is_told(blocks: int) -> None:
    network = _build(width=0.5, blocks=blocks)
    widths = [module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert widths == [16, *(32,) * blocks, *(128,) * 2 * blocks]


@pytest.mark.parametrize(
    ("conv", "shape"), [("standard", (1, 8, 8)), ("dilated", (1, 8, 8)), ("standard", (1, 16))], ids=str
)
def test_convolutions_may_start_with_the_identity(conv: str, shape: tuple[int, ...]) -> None:
    network = _build(shape, conv=conv, norm="none", identity=True)
    _, *convolutions = (module for module in network.modules() if isinstance(module, nn.Conv1d | nn.Conv2d))
    assert len(convolutions) == 6
    for convolution in convolutions:
        maps = torch.randn(2, convolution.in_channels, *shape[1:])
        outputs = convolution(maps)
        torch.testing.assert_close(outputs[:, : convolution.in_channels], maps)
        assert outputs[:, convolution.in_channels :].any(1).all() or convolution.in_channels == convolution.out_channels


@pytest.mark.parametrize(
    ("conv", "norm", "width"),
    [("group", "batch", 1.0), ("depthwise_separable", "batch", 1.0)],
)
def test_the_identity_needs_a_full_convolution(conv: str, norm: str, width: float) -> None:
    with pytest.raises(
        ValueError, match="identity starts full convolutions as what they read, and the chosen one is none"
    ):
        _build(conv=conv, norm=norm, width=width, identity=True)


def test_standardized_weights_cannot_start_as_the_identity() -> None:
    with pytest.raises(ValueError, match="standardized weights cannot be that; expected another norm"):
        _build(norm="weight_standardization", width=4.0, identity=True)


@pytest.mark.parametrize("shape", [(2, 17), (1, 9, 12), (3, 1, 1)], ids=str)
def test_gradients_reach_every_weight(shape: tuple[int, ...]) -> None:
    network = _build(shape, width=0.25)
    outputs = network(torch.randn(4, *shape))
    assert outputs.shape == (4, 10)
    outputs.logsumexp(1).sum().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()] == []


@pytest.mark.parametrize("identity", [False, True])
def test_it_learns_the_bundled_digits(identity: bool) -> None:
    images, targets = load_digits(return_X_y=True)
    inputs = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8)[:512] / 8 - 1
    classes = torch.tensor(targets)[:512]
    network = _build((1, 8, 8), width=0.25, identity=identity)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0, momentum=0.9, nesterov=True)
    losses = []
    for step in range(32):
        part = slice(128 * (step % 4), 128 * (step % 4 + 1))
        loss = nn.functional.cross_entropy(network(inputs[part]), classes[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-4:]) < 0.5 * sum(losses[:4])


@pytest.mark.parametrize(("option", "value"), [("width", 0), ("blocks", 0), ("identity", 1), ("stem", "tiny")])
def test_options_out_of_bounds_are_refused(option: str, value: object) -> None:
    assert [where for where, _ in model.check(Choice(name="airbench", options={option: value}))[1]] == [option]


def test_a_whitening_stem_has_the_papers_windows_and_does_not_learn_them() -> None:
    stem, activation, *_ = _build(whiten=True)
    assert stem.weight.shape == (24, 3, 2, 2)
    assert isinstance(activation, nn.GELU)
    assert "0.weight" not in dict(_build(whiten=True).named_parameters())
    assert _build(whiten=True)(torch.randn(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("shape", [(2, 17), (3, 1, 8)], ids=str)
def test_what_has_no_patches_cannot_be_whitened(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="whiten looks at 2 x 2 patches"):
        _build(shape, whiten=True)
