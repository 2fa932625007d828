"""Normalization over a batch, which made deep networks trainable."""

from __future__ import annotations

from torch import Tensor, nn

from dlcat.layers.norms import Epsilon, Momentum, norm


@norm(needs_batch=True)
def batch(channels: int, *, momentum: Momentum = 0.1, eps: Epsilon = 1e-5) -> nn.Module:
    """Over the batch and all positions of a channel (Ioffe & Szegedy 2015, arXiv:1502.03167).

    In evaluation, running averages stand in for the batch; `momentum` is the weight of the newest batch in them.
    In training, a batch of one number per channel is refused with a ValueError.
    """
    return BatchNorm(channels, eps=eps, momentum=momentum)


class BatchNorm(nn.BatchNorm2d):
    """Torch's batch normalization, which has three classes for three ranks of input; this one takes them all."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - the name is torch's
        if input.dim() < 2:
            raise ValueError(f"expected (N, C, ...), found {input.dim()} dimension(s)")
