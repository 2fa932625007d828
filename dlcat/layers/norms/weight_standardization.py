"""Group normalization together with standardized weights: statistics of the weights stand in for those of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcat.layers.norms import Epsilon, norm
from dlcat.layers.norms.group import Groups, group

if TYPE_CHECKING:
    from torch import nn


@norm(averages_positions=True, standardizes_weights=True)
def weight_standardization(channels: int, *, groups: Groups = 32, eps: Epsilon = 1e-5) -> nn.Module:
    """Group norm, and every convolution's weights standardized (Qiao et al. 2019, arXiv:1903.10520).

    The norm itself is `group`. Where it is chosen, `Parts` makes every convolution of the network compute with weights
    whose mean is 0 and whose variance is 1 over all that one output channel sums up; what is learned is what they are
    computed from.

    Raises:
        ValueError: the groups do not divide the channels.
    """
    return group(channels, groups=groups, eps=eps)
