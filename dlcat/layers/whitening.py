"""A first layer that is made from the training images and not learned: what it gives of their patches is white."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

KERNEL = 2
EPSILON = 5e-4
"""Added to the variance along each direction: what hardly varies is noise, and stays small."""


@runtime_checkable
class MadeFromInputs(Protocol):
    """A layer whose weights are found by looking at what the network is going to read."""

    def make_from(self, inputs: Tensor) -> None:
        """Find them; inputs (N, C, ...) are training examples as the network is given them."""


class Whitening(nn.Conv2d):
    """Windows of 2 x 2 along the principal directions of images' patches, each divided by its deviation, and their opposites.

    (N, C, H, W) to (N, 8 C, H - 1, W - 1). An activation behind it sees both sides of every direction. Before `make_from`
    the weights are drawn by chance; they are never learned, only the bias is (Jordan 2024, arXiv:2404.00498, section 3.2).
    """

    def __init__(self, channels_in: int) -> None:
        super().__init__(channels_in, 2 * channels_in * KERNEL**2, KERNEL)
        weight = self.weight.detach()
        del self.weight
        self.register_buffer("weight", weight)

    @torch.no_grad()
    def make_from(self, inputs: Tensor) -> None:
        """See `MadeFromInputs`."""
        patches = inputs.float().unfold(2, KERNEL, 1).unfold(3, KERNEL, 1)  # (N, C, H - 1, W - 1, 2, 2)
        rows = patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
        variances, directions = torch.linalg.eigh((rows.T @ rows / len(rows)).double())
        windows = directions.T / (variances + EPSILON).sqrt().unsqueeze(1)
        self.weight.copy_(torch.cat([windows, -windows]).view_as(self.weight))
