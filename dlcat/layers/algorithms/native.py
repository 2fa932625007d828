"""Torch's own convolution, and which of its back ends that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from dlcat.layers.algorithms import algorithm

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dlcat.layers.algorithms.computed import Convolution


@algorithm
def native(convolution: Convolution) -> nn.Module:
    """Torch's own, by the back end it finds best: oneDNN or NNPACK on a processor, cuDNN on a GPU.

    Anything that torch can.
    """
    return convolution


def backend(convolution: Convolution, inputs: Tensor) -> str:
    """The back end that torch takes for these inputs, in its own words, such as 'Mkldnn'; 'unknown' where it does not say."""
    select: Any = getattr(torch._C, "_select_conv_backend", None)  # not public
    if select is None or isinstance(convolution.padding, str):
        return "unknown"
    batch = inputs if inputs.dim() == convolution.weight.dim() else inputs.unsqueeze(0)
    none = [0] * len(convolution.padding)
    try:
        found = select(
            batch,
            convolution.weight,
            convolution.bias,
            list(convolution.stride),
            list(convolution.padding),
            list(convolution.dilation),
            False,
            none,
            convolution.groups,
        )
    except (RuntimeError, TypeError):
        return "unknown"
    return str(getattr(found, "name", found))
