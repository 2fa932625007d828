"""Networks for waveforms are the published ones: their weights, how deep they are, and what they make of a length."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dlcat.layers.parts import choose
from dlcat.models import model
from dlcat.models.residual import Residual


def _build(name: str, shape: tuple[int, ...] = (1, 8000), outputs: int = 10, **options: Any) -> nn.Sequential:
    norm = options.pop("norm", "batch")
    with torch.device("meta"):
        network: nn.Sequential = model[name](shape, outputs, choose(norm=norm, dimensions=1), **options)
    return network


def _weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _positions(network: nn.Sequential, samples: int) -> list[int]:
    """How many are left behind each layer that leaves fewer."""
    found, maps = [samples], torch.empty(2, 1, samples, device="meta")
    for layer in network:
        maps = layer(maps)
        if maps.dim() == 3 and maps.shape[2] != found[-1]:
            found.append(maps.shape[2])
    return found[1:]


@pytest.mark.parametrize(
    ("depth", "weights"),
    [
        # github.com/philipperemy/very-deep-convnets-raw-waveforms, trainable parameters for 10 classes. Ours have no biases
        # before norms and a first window one sample longer; its M34 has a second norm in each block.
        (3, 221_194 - 512 + 256),
        (5, 559_114 - 1024 + 128),
        (11, 1_786_442 - 2240 + 64),
        (18, 3_683_786 - 3904 + 64),
        (34, 3_984_154 - 5712 + 48 - 5664),
    ],
)
def test_m5_has_the_weights_of_another_implementation_at_every_depth(depth: int, weights: int) -> None:
    assert _weights(_build("m5", depth=depth)) == weights


@pytest.mark.parametrize(("depth", "millions"), [(3, 0.2), (5, 0.5), (11, 1.8), (18, 3.7), (34, 4.0)])
def test_m5_has_as_many_million_weights_as_its_paper_says(depth: int, millions: float) -> None:
    assert _weights(_build("m5", (1, 32_000), depth=depth)) / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize("depth", [3, 5, 11, 18, 34])
def test_the_depth_of_m5_counts_the_layers_with_weights(depth: int) -> None:
    network = _build("m5", norm="none", depth=depth)
    assert sum(isinstance(module, nn.Conv1d | nn.Linear) for module in network.modules()) == depth
    blocks = sum(isinstance(module, Residual) for module in network.modules())
    assert blocks == (16 if depth == 34 else 0)


@pytest.mark.parametrize(
    ("depth", "left"), [(3, [8000, 2000, 500]), (5, [8000, 2000, 500, 125, 32]), (18, [8000, 2000, 500, 125, 32])]
)
def test_m5_leaves_a_sixteenth_at_once_and_a_quarter_behind_each_stage(depth: int, left: list[int]) -> None:
    assert _positions(_build("m5", depth=depth), 32_000) == left


def test_a_depth_or_a_window_that_m5_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="no such network is 7 deep: expected one of 3, 5, 11, 18, 34"):
        _build("m5", depth=7)
    with pytest.raises(ValueError, match="a kernel of 80 has no centre"):
        _build("m5", kernel=80)


def test_sample_cnn_has_the_weights_of_its_paper() -> None:
    network = _build("sample_cnn", (1, 59_049), 50)
    kernels = 3 * (128 + 2 * 128 * 128 + 128 * 256 + 5 * 256 * 256 + 256 * 512) + 512 * 512
    norms = 2 * (3 * 128 + 6 * 256 + 2 * 512)
    assert _weights(network) == kernels + norms + 512 * 50 + 50
    assert sum(isinstance(module, nn.Conv1d) for module in network.modules()) == 11


def test_sample_cnn_leaves_a_third_each_time_and_one_position_of_the_papers_length() -> None:
    assert _positions(_build("sample_cnn", (1, 59_049)), 59_049) == [3**power for power in range(9, -1, -1)]


@pytest.mark.parametrize(
    ("samples", "blocks"), [(1, 1), (8, 1), (27, 2), (8000, 7), (16_000, 7), (64_000, 9), (59_046, 8), (59_049, 9)]
)
def test_sample_cnn_has_as_many_blocks_as_leave_one_to_three_positions(samples: int, blocks: int) -> None:
    network = _build("sample_cnn", (1, samples))
    assert sum(isinstance(module, nn.MaxPool1d) for module in network) == blocks
    assert _weights(network) == _weights(_build("sample_cnn", blocks=blocks))
    assert _positions(network, samples)[-1:] in ([], [1], [2], [3])


def test_sample_cnn_squeezes_behind_each_block_where_it_is_told_to() -> None:
    added = _weights(_build("sample_cnn", squeeze=16)) - _weights(_build("sample_cnn"))
    assert added == sum(2 * width * (width // 16) + width + width // 16 for width in (128, 128, *(256,) * 4, 512))
