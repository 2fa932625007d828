"""Squeeze and excitation: a network looks at the whole map, and then turns its channels up or down."""

from __future__ import annotations

from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Each channel times a factor from 0 to 1 that the means of all channels decide (Hu et al. 2017, arXiv:1709.01507).

    With m the means over positions, (N, C): x * sigmoid(W2 relu(W1 m + b1) + b2), where W1 leaves C / reduction
    numbers, and at least one.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.factors = nn.Sequential(
            nn.Linear(channels, inner), nn.ReLU(inplace=True), nn.Linear(inner, channels), nn.Sigmoid()
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        means = inputs.flatten(2).mean(2)  # (N, C)
        factors: Tensor = self.factors(means)  # (N, C)
        return inputs * factors.reshape(factors.shape + (1,) * (inputs.dim() - 2))


def squeeze_excitation(channels: int, reduction: int) -> nn.Module:
    """The block for that many channels; a reduction of 0 leaves it out."""
    return SqueezeExcitation(channels, reduction) if reduction else nn.Identity()
