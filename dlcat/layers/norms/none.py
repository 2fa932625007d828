"""The norm that does nothing, to see what the others do."""

from __future__ import annotations

from torch import nn

from dlcat.layers.norms import norm


@norm(shifts=False)
def none(channels: int) -> nn.Module:  # noqa: ARG001 - every norm is handed its channels
    """No normalization."""
    return nn.Identity()
