"""The dense layers that end networks for characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from dlcat.layers.parts import Parts


def hidden_layers(seen: int, hidden: int, outputs: int, dropout: float, parts: Parts) -> nn.Sequential:
    """Two hidden layers with activation and dropout, and the last layer: (N, seen) to (N, outputs)."""
    layers: list[nn.Module] = []
    for width in (seen, hidden):
        layers += [nn.Linear(width, hidden), parts.activation(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(hidden, outputs))
