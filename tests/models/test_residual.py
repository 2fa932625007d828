"""A residual block is what its formula says, and so are its gradients."""

from __future__ import annotations

import torch
from torch import nn

from dlcat.models.residual import PaddedShortcut, Residual
from dlcat.models.squeeze import SqueezeExcitation


def test_a_block_adds_its_squeezed_branch_to_its_shortcut() -> None:
    torch.manual_seed(0)
    branch = nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1))
    past, gate = nn.Conv2d(4, 6, 1, 2), SqueezeExcitation(6, 2)
    inputs = torch.randn(2, 4, 5, 5)
    expected = (gate(branch[0](inputs)) + past(inputs)).clamp(min=0)
    torch.testing.assert_close(Residual(branch, past, nn.ReLU(inplace=True), gate)(inputs), expected)


def test_gradients_of_a_block_are_exact() -> None:
    torch.manual_seed(0)
    branch = nn.Sequential(nn.Conv1d(2, 4, 3, 2, 1))
    block = Residual(branch, PaddedShortcut(4, 2), nn.ELU(), SqueezeExcitation(4, 2)).double()
    inputs = torch.randn(2, 2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (inputs,))
    gradient = torch.autograd.grad(PaddedShortcut(4, 2)(inputs).sum(), inputs)[0]
    assert torch.equal(gradient, torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0], dtype=torch.float64).expand(2, 2, 5))
