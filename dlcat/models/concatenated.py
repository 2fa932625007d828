"""Branches side by side, whose channels are put behind one another."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Concatenated(nn.Module):
    """What several branches make of the same input, the channels of one behind those of the other."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to (N, the branches' channels together, ...)."""
        return torch.cat([branch(inputs) for branch in self.branches], dim=1)
