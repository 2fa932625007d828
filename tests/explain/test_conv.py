"""Convolutions explained: laws of every member, and what is said of each kind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlcat.errors import InvalidError, UsageError
from dlcat.explain import conv as explained
from dlcat.layers.convs import conv
from dlcat.registry import Choice

SIZES = [(4, 9), (4, 9, 8)]


def _explain(name: str, shape: tuple[int, ...] = (4, 9, 8), stride: int = 1, **options: Any) -> explained.ConvFacts:
    choice = Choice(name=name, options=options)
    return explained.explain(choice, input_shape=shape, channels_out=8, stride=stride)


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("name", list(conv))
def test_every_convolution_equals_a_full_one(name: str, shape: tuple[int, ...]) -> None:
    facts = _explain(name, shape)
    assert facts.is_equal
    assert facts.output_shape == (8, *shape[1:])
    assert facts.standard_weights == 8 * 4 * 3 ** (len(shape) - 1)
    assert facts.standard_macs == facts.standard_weights * torch.Size(shape[1:]).numel()


@pytest.mark.parametrize("name", [name for name in conv if name != "transposed"])
def test_so_does_every_convolution_with_a_stride(name: str) -> None:
    facts = _explain(name, stride=2)
    assert facts.is_equal
    assert facts.output_shape == (8, 5, 4)


@pytest.mark.parametrize("name", list(conv))
def test_the_steps_cost_what_the_whole_costs(name: str) -> None:
    facts = _explain(name)
    if facts.steps:
        assert sum(step.weights for step in facts.steps) == facts.weights
        assert sum(step.macs for step in facts.steps) == facts.macs
        assert facts.steps[-1].output_shape == facts.output_shape


def test_a_depthwise_separable_convolution_is_windows_and_then_a_mix() -> None:
    facts = _explain("depthwise_separable")
    first, second = facts.steps
    assert (first.weights, second.weights) == (4 * 9, 4 * 8)
    assert first.reads is not None
    assert second.reads is not None
    assert first.reads.channels == tuple(tuple(float(row == column) for column in range(4)) for row in range(4))
    assert (len(first.reads.window), len(second.reads.window)) == (3, 1)
    assert facts.macs / facts.standard_macs == pytest.approx(1 / 8 + 1 / 9)


def test_groups_read_their_own_channels() -> None:
    reads = _explain("group", groups=2).reads
    assert reads is not None
    assert reads.channels == ((1.0, 1.0, 0.0, 0.0),) * 4 + ((0.0, 0.0, 1.0, 1.0),) * 4


def test_dilation_leaves_holes_in_the_window() -> None:
    reads = _explain("dilated", shape=(4, 9), dilation=3).reads
    assert reads is not None
    assert reads.window == ((True, False, False, True, False, False, True),)


def test_many_channels_are_shown_in_blocks() -> None:
    facts = explained.explain(Choice(name="depthwise"), input_shape=(40, 5), channels_out=40)
    assert facts.reads is not None
    assert len(facts.reads.channels) == len(facts.reads.channels[0]) == explained.BLOCKS
    assert all(0 < row[place] < 1 for place, row in enumerate(facts.reads.channels))
    assert sum(cell > 0 for row in facts.reads.channels for cell in row) == explained.BLOCKS


class _Rectified(nn.Conv1d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name is torch's
        return super().forward(input).relu()


class _Positioned(nn.Conv1d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name is torch's
        return super().forward(input) * torch.linspace(1, 2, input.shape[-1], dtype=input.dtype, device=input.device)


@pytest.mark.parametrize("kind", [_Rectified, _Positioned])
def test_what_is_not_one_convolution_is_said_to_be_none(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def strange(
        channels_in: int, channels_out: int, kernel: int, stride: int, dimensions: int, bias: bool
    ) -> nn.Module:
        """A stranger's."""
        module: nn.Module = kind(channels_in, channels_out, kernel, stride, kernel // 2, bias=bias)
        return module

    list(conv)
    monkeypatch.setitem(conv._members, "strange", strange)
    facts = _explain("strange", shape=(4, 9))
    assert facts.difference is None or facts.difference > 1e-3
    assert not facts.is_equal


def test_explaining_twice_says_the_same() -> None:
    assert _explain("bottleneck") == _explain("bottleneck")


def test_refusals_are_told_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"conv 'group': 2 groups do not divide 3 channels") as refusal:
        explained.explain(Choice(name="group"), input_shape=(3, 8, 8))
    assert "--in" in refusal.value.hint
    with pytest.raises(UsageError, match="expected CxHxW or CxT"):
        explained.explain(Choice(name="standard"), input_shape=(3, 8, 8, 8))
    with pytest.raises(InvalidError, match="did you mean 'dilated'"):
        explained.explain(Choice(name="dilate"))
    with pytest.raises(InvalidError, match="no option 'dilatation'"):
        explained.explain(Choice(name="dilated", options={"dilatation": 2}))
