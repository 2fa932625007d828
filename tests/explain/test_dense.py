"""The full convolution that a module equals: found for what is one, and not for what is none."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlcat.errors import UsageError
from dlcat.explain.dense import dense


def _maps(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(3, 5, 3, padding=1, bias=False),
        nn.Conv2d(3, 5, (3, 5), stride=(2, 3), padding=(1, 0), bias=False),
        nn.Conv2d(3, 5, 4, stride=2, padding=1, bias=False),
        nn.Conv2d(3, 5, 2, stride=4, bias=False),
        nn.Conv2d(3, 5, 3, stride=(8, 1), padding=1, bias=False),
        nn.Conv1d(3, 5, 3, stride=100, padding=1, bias=False),
        nn.Conv1d(3, 5, 7, stride=3, padding=3, bias=False),
        nn.Conv1d(3, 600, 41, padding=20, bias=False),
    ],
    ids=str,
)
def test_the_kernel_stride_and_padding_of_a_convolution_are_found(convolution: Any) -> None:
    dimensions = len(convolution.kernel_size)
    found = dense(convolution.double(), 3, dimensions)
    assert found is not None
    torch.testing.assert_close(found.kernel, convolution.weight.detach(), rtol=1e-12, atol=1e-12)
    assert found.stride == convolution.stride
    assert found.first == tuple(-padding for padding in convolution.padding)
    inputs = _maps(2, 3, *(13, 10)[:dimensions])
    outputs = convolution(inputs)
    torch.testing.assert_close(found(inputs, outputs.shape[2:]), outputs, rtol=1e-12, atol=1e-12)


def test_holes_belong_to_the_window() -> None:
    found = dense(nn.Conv1d(1, 1, 3, padding=4, dilation=4, bias=False).double(), 1, 1)
    assert found is not None
    places = found.kernel[0, 0].nonzero().flatten().tolist()
    assert (found.window, [after - before for before, after in pairwise(places)]) == ((9,), [4, 4])


class _Everywhere(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + inputs.mean(-1, keepdim=True)


class _Nowhere(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * 0


@pytest.mark.parametrize("module", [_Everywhere(), _Nowhere()])
def test_what_reads_the_whole_map_or_nothing_has_no_window(module: nn.Module) -> None:
    assert dense(module, 2, 1) is None


def test_a_stride_too_large_for_every_map_is_refused() -> None:
    with pytest.raises(UsageError, match="two outputs side by side in a map 256 wide") as refusal:
        dense(nn.Conv1d(1, 1, 3, stride=128, padding=1, bias=False).double(), 1, 1)
    assert "--stride" in refusal.value.hint
