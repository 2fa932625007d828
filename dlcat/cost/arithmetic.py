"""Multiply-accumulates of one operation, forward and backward: convolutions, matrix products and inverses, by formula."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

aten = torch.ops.aten

MATRIX_PRODUCTS = {aten.mm: (0, 1), aten.bmm: (0, 1), aten.addmm: (1, 2), aten.baddbmm: (1, 2)}
"""Where among their arguments the two factors are."""


@dataclass(frozen=True, slots=True)
class Work:
    """Multiply-accumulates of one operation on a whole batch."""

    forward: int
    backward: int
    """Every factor that needs a gradient costs as much as the product: each multiplication has its part in it once."""


def work(operation: Any, arguments: Sequence[Any], result: Any) -> Work | None:
    """What an operation of ATen multiplies; None where it is no convolution, matrix product or inverse.

    A convolution of k x k windows, C to C' channels in g groups and H' x W' outputs takes k^2 C C' H' W' / g for each
    example, a transposed one the same at its H x W inputs; padding counts as if it were numbers, and the bias is left
    out. A product of (m, k) and (k, n) takes m k n, an inverse of (n, n) as many as a product of two such, n^3, and its
    gradient twice that.
    """
    if operation is aten.convolution:
        factors = arguments[0], arguments[1]
        inputs, weight = factors
        places = inputs if arguments[6] else result  # a transposed convolution stamps at every input
        forward = len(inputs) * prod(places.shape[2:]) * weight.numel()
    elif operation in MATRIX_PRODUCTS:
        left, right = MATRIX_PRODUCTS[operation]
        factors = arguments[left], arguments[right]
        forward = factors[0].numel() * factors[1].shape[-1]
    elif operation is aten.linalg_inv_ex:
        (matrix,) = arguments
        products = matrix.numel() * matrix.shape[-1]
        return Work(products, 2 * products * _gradients((matrix,)))
    else:
        return None
    return Work(forward, forward * _gradients(factors))


def _gradients(factors: tuple[Tensor, ...]) -> int:
    return sum(factor.requires_grad for factor in factors) if torch.is_grad_enabled() else 0
