"""ShakeDrop: what blocks add to their input is shaken in training, the more the deeper they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

Shaken = Annotated[float, Ge(0), Lt(1)]
"""The probability that the last block of a network is shaken; those before it have their share of it."""


class ShakeDrop(nn.Module):
    """With a probability, all of a batch times noise of mean 0, and its gradient times other noise (arXiv:1802.02375).

    Forward (b + α - b α) x, backward (b + β - b β) of the gradient, in evaluation the mean of the first, (1 - probability) x
    (Yamada et al. 2018). One b, which is 0 with that probability and 1 else, is drawn for the batch, or a piece of it; for every
    number in it α evenly from -1 to 1, β from 0 to 1. All come from torch's source of chance, as dropout's do.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        if not self.training:
            return inputs * (1 - self.probability)
        # Drawn whether or not they are needed: to know that, a GPU would have to answer, and a compiled graph to end.
        is_shaken = torch.rand((), device=inputs.device) < self.probability
        forward = torch.where(is_shaken, 2 * torch.rand_like(inputs) - 1, 1)
        backward = torch.where(is_shaken, torch.rand_like(inputs), 1)
        # What is detached counts forward only; the rest is what the gradient is multiplied by.
        return inputs * backward + inputs.detach() * (forward - backward)

    def extra_repr(self) -> str:
        return f"probability={self.probability:g}"


def shake_drops(blocks: int, shaken: float) -> Iterator[nn.Module]:
    """For each of so many blocks, what shakes it: from the input on evenly more, at the last with probability `shaken`."""
    for number in range(1, blocks + 1):
        yield ShakeDrop(shaken * number / blocks) if shaken else nn.Identity()
