"""Normalization by a learned mixture of what three others take: instance, layer and batch statistics."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from dlcat.layers.norms import Epsilon, Momentum, norm
from dlcat.layers.norms.rescaling import pooled, rescale

STATISTICS = ("instance", "layer", "batch")


@norm
def switchable(channels: int, *, momentum: Momentum = 0.1, eps: Epsilon = 1e-5) -> nn.Module:
    """By a learned mixture of instance, layer and batch statistics (Luo et al. 2018, arXiv:1806.10779).

    Mean and variance are each a weighted mean of the three, with weights from a softmax over three numbers that begin
    alike. Layer and batch statistics follow from those of the maps, so the maps are visited once for all of them. In
    evaluation, running averages stand in for the batch, as in `batch`; `momentum` is the weight of the newest batch.
    """
    return SwitchableNorm(channels, momentum, eps)


class SwitchableNorm(nn.Module):
    """See `switchable`. The running variance divides by the count, not by one less: it is what training normalises by."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, momentum: float, eps: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.mean_mixture = nn.Parameter(torch.zeros(len(STATISTICS)))  # before the softmax
        self.variance_mixture = nn.Parameter(torch.zeros(len(STATISTICS)))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        running = None if self.training else (self.running_mean, self.running_var)
        learned = (self.weight, self.bias, self.mean_mixture, self.variance_mixture)
        outputs, mean, variance = rescale(inputs, partial(_by_mixture, running=running, eps=self.eps), *learned)
        if self.training:
            self._follow(mean, variance)
        return outputs

    def mixture(self) -> tuple[dict[str, float], dict[str, float]]:
        """The shares of instance, layer and batch in the mean, and those in the variance."""
        first, second = (
            dict(zip(STATISTICS, numbers.detach().double().softmax(0).tolist(), strict=True))
            for numbers in (self.mean_mixture, self.variance_mixture)
        )
        return first, second

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        centre, spread = pooled(mean, variance, 0)  # (1, C)
        self.running_mean += self.momentum * (centre[0] - self.running_mean)
        self.running_var += self.momentum * (spread[0] - self.running_var)


def _by_mixture(
    mean: Tensor,
    variance: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean_mixture: Tensor,
    variance_mixture: Tensor,
    *,
    running: tuple[Tensor, Tensor] | None,
    eps: float,
) -> tuple[Tensor, Tensor]:
    layer_mean, layer_variance = pooled(mean, variance, 1)  # (N, 1)
    batch_mean, batch_variance = running or pooled(mean, variance, 0)  # (C) or (1, C)
    centre = _mixed(mean_mixture, mean, layer_mean, batch_mean)  # (N, C)
    spread = _mixed(variance_mixture, variance, layer_variance, batch_variance)
    scale = (spread + eps).rsqrt() * weight
    return scale, bias - scale * centre


def _mixed(mixture: Tensor, instance: Tensor, layer: Tensor, batch: Tensor) -> Tensor:
    of_instance, of_layer, of_batch = mixture.softmax(0)
    mixed: Tensor = of_instance * instance + of_layer * layer + of_batch * batch
    return mixed
