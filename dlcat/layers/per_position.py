"""Normalization of each position on its own, as transformers and recurrent networks have it."""

from __future__ import annotations

from torch import Tensor, nn


class PerPosition(nn.Module):
    """A norm that is shown every position as an example of its own, (N T, C): (N, C, T) or (N, C) to the same shape.

    So `layer` is over the channels of each position, and `batch` over all positions of the batch, filling among them.

    Raises:
        ValueError: the norm is over single channels, of which at one position nothing would be left.
    """

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        if isinstance(norm, nn.GroupNorm) and norm.num_groups == norm.num_channels:
            raise ValueError(
                "a norm over the positions of one channel leaves nothing of single positions: expected one over several "
                "channels (layer, group with fewer groups, rms) or examples (batch)"
            )
        self.norm = norm

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, T) or (N, C) to the same shape."""
        positions = inputs.movedim(1, -1)  # (N, T, C)
        outputs: Tensor = self.norm(positions.reshape(-1, inputs.shape[1]))
        return outputs.view(positions.shape).movedim(-1, 1)
