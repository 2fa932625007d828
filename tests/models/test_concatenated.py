"""Branches side by side."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcat.models.concatenated import Concatenated


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5)], ids=str)
def test_the_channels_of_one_branch_stand_behind_those_of_the_other(shape: tuple[int, ...]) -> None:
    inputs = torch.randn(shape)
    outputs = Concatenated(nn.Identity(), nn.Tanh(), nn.Identity())(inputs)
    assert outputs.shape == (2, 9, *shape[2:])
    for start, expected in ((0, inputs), (3, inputs.tanh()), (6, inputs)):
        assert torch.equal(outputs[:, start : start + 3], expected)


def test_the_memory_format_stays() -> None:
    inputs = torch.randn(2, 4, 3, 3).to(memory_format=torch.channels_last)
    assert Concatenated(nn.Identity(), nn.Sigmoid())(inputs).is_contiguous(memory_format=torch.channels_last)
