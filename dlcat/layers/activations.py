"""Activations: what happens to each number between two linear steps; the shape stays."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Lt
from torch import nn

from dlcat.registry import Family

activation = Family("activation", __name__)


@activation
def relu() -> nn.Module:
    """The positive part: max(x, 0) (Nair & Hinton 2010)."""
    # In place: its gradient needs the result only, and the largest tensors of a network are kept once instead of twice.
    return nn.ReLU(inplace=True)


@activation
def leaky_relu(*, slope: Annotated[float, Ge(0), Lt(1)] = 0.01) -> nn.Module:
    """Where x > 0, x; else slope * x (Maas et al. 2013)."""
    return nn.LeakyReLU(slope)


@activation
def elu(*, alpha: Annotated[float, Gt(0)] = 1.0) -> nn.Module:
    """Where x > 0, x; else alpha * (exp(x) - 1) (Clevert et al. 2015, arXiv:1511.07289)."""
    return nn.ELU(alpha)


@activation
def gelu() -> nn.Module:
    """A Gaussian gate: x * P(X <= x) of a standard normal X (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return nn.GELU()


@activation
def silu() -> nn.Module:
    """A sigmoid gate: x * sigmoid(x), also called swish (Elfwing et al. 2017, arXiv:1702.03118)."""
    return nn.SiLU()


@activation
def mish() -> nn.Module:
    """A smooth gate: x * tanh(log(1 + exp(x))) (Misra 2019, arXiv:1908.08681)."""
    return nn.Mish()


@activation
def hardswish() -> nn.Module:
    """A swish without exponentials: x * min(max(x + 3, 0), 6) / 6 (Howard et al. 2019, arXiv:1905.02244)."""
    return nn.Hardswish()
