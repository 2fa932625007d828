"""How far what a convolution computes is from the same in float64."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from dlcat.layers.algorithms.computed import Convolution


@dataclass(frozen=True, slots=True)
class Errors:
    """Largest error over the largest absolute value, of the same computation by torch in float64."""

    outputs: float
    of_inputs: float
    """Of the gradient of the inputs."""
    of_weights: float
    """Of the gradient of the weights."""

    @property
    def largest(self) -> float:
        """The worst of the three."""
        return max(self.outputs, self.of_inputs, self.of_weights)


def errors(convolution: Convolution, inputs: Tensor) -> Errors:
    """The errors of a convolution, torch's or ours, for inputs (N, C, ...) and a fixed random gradient of its outputs.

    Inputs and weights count as they are stored: that numbers were rounded to bf16 before is no error here.
    """
    torchs: Any = nn.Conv2d if isinstance(convolution, nn.Conv2d) else nn.Conv1d
    exact = copy.deepcopy(convolution).double()
    found = _results(convolution, convolution, inputs)
    expected = _results(lambda maps: torchs.forward(exact, maps), exact, inputs.double())
    return Errors(*map(_error, found, expected))


def _results(forward: Any, convolution: Convolution, inputs: Tensor) -> tuple[Tensor, ...]:
    leaf = inputs.detach().clone().requires_grad_()
    outputs = forward(leaf)
    slopes = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(0)).to(outputs)
    return (outputs.detach(), *torch.autograd.grad(outputs, [leaf, convolution.weight], slopes))


def _error(found: Tensor, expected: Tensor) -> float:
    largest = expected.abs().max().clamp(min=torch.finfo(torch.float64).tiny)  # all may be 0
    return ((found - expected).abs().max() / largest).item()
