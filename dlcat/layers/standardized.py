"""Convolutions that compute with standardized weights, as the norm `weight_standardization` asks for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

EPSILON = 1e-5
"""Added to the variance of a window's weights."""


class StandardizedConvolution(nn.Module):
    """A convolution of any type, which computes with standardized weights; it keeps and learns the raw ones.

    Of several convolutions in a row, each has its weights standardized (Qiao et al. 2019, arXiv:1903.10520).
    """

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to (N, C', ...)."""
        weights = {
            f"{name}.weight" if name else "weight": standardized(module)
            for name, module in self.convolution.named_modules()
            if _has_windows(module)
        }
        outputs: Tensor = functional_call(self.convolution, weights, (inputs,))
        return outputs


def standardized(convolution: nn.Module) -> Tensor:
    """The convolution's weight with mean 0 and variance 1 over everything that one output channel sums up.

    A channel that has one weight keeps it: with mean 0, nothing would be left of it.
    """
    weight: Any = convolution.weight
    if isinstance(convolution, nn.ConvTranspose1d | nn.ConvTranspose2d):  # (C, C' / groups, ...)
        grouped = weight.unflatten(0, (convolution.groups, -1))  # (groups, C / groups, C' / groups, ...)
        return _standardized(grouped, (1, *range(3, grouped.dim()))).flatten(0, 1)
    return _standardized(weight, tuple(range(1, weight.dim())))  # (C', C / groups, ...)


def _standardized(weight: Tensor, axes: tuple[int, ...]) -> Tensor:
    if all(weight.shape[axis] == 1 for axis in axes):
        return weight
    variance, mean = torch.var_mean(weight, axes, correction=0, keepdim=True)
    return (weight - mean) * (variance + EPSILON).rsqrt()


def _has_windows(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() > 2
