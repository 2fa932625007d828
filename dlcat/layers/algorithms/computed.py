"""Torch's convolutions with another algorithm inside: the same parameters, names and sizes, other steps to the same numbers.

A convolution is linear in its inputs and in its weights. So are its two gradients, and the gradients of those are again
convolutions or gradients of one: an algorithm that has the three can be differentiated as often as one likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, autograd, nn
from torch.nn import functional

from dlcat.layers.algorithms.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Callable

    Convolution = nn.Conv1d | nn.Conv2d
    Product = Callable[[Tensor, Tensor, Geometry], Tensor]
    Chooser = Callable[[Convolution, Tensor], "Products | None"]
    """(convolution, inputs) to the algorithm for these inputs; None is torch's own."""


@dataclass(frozen=True, slots=True)
class Products:
    """What an algorithm computes; maps are (N, C, H, W) and (N, C', H', W'), weights (C', C / groups, k, k)."""

    name: str
    outputs: Product
    """(inputs, weights) to outputs."""
    of_inputs: Product
    """(gradient of the outputs, weights) to the gradient of the inputs."""
    of_weights: Product
    """(inputs, gradient of the outputs) to the gradient of the weights."""


class Conv2d(nn.Conv2d):
    """A convolution of two dimensions that computes by an algorithm; on the meta device torch's, which is counted."""

    choose: Chooser

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, torch's name for it
        """(N, C, H, W) to (N, C', H', W')."""
        products = _products(self, input)
        return super().forward(input) if products is None else convolved(self, input, self.weight, self.bias, products)


class Conv1d(nn.Conv1d):
    """A convolution of one dimension that computes by an algorithm; on the meta device torch's, which is counted."""

    choose: Chooser

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, torch's name for it
        """(N, C, T) to (N, C', T')."""
        products = _products(self, input)
        return super().forward(input) if products is None else convolved(self, input, self.weight, self.bias, products)


def computed(convolution: Convolution, products: Products) -> nn.Module:
    """A module with the convolution's own parameters that computes by the algorithm."""
    return chosen(convolution, partial(_always, products))


def chosen(convolution: Convolution, choose: Chooser) -> nn.Module:
    """A module with the convolution's own parameters that computes by what is chosen for its inputs."""
    kind: Any = Conv2d if isinstance(convolution, nn.Conv2d) else Conv1d
    made = kind(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,
        convolution.stride,
        convolution.padding,
        convolution.dilation,
        convolution.groups,
        convolution.bias is not None,
        convolution.padding_mode,
        device="meta",  # no memory, and nothing random is drawn
    )
    made.weight, made.bias, made.choose = convolution.weight, convolution.bias, choose
    module: nn.Module = made.train(convolution.training)
    return module


def convolved(convolution: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, products: Products) -> Tensor:
    """What the convolution computes, with these weights in the place of its own: (N, C, ...) to (N, C', ...)."""
    dimensions = len(convolution.kernel_size)
    alone = inputs.dim() == dimensions + 1
    inputs, weight, bias = _in_autocast(inputs, weight, bias)
    if alone:  # one example without its axis, as torch takes it
        inputs = inputs.unsqueeze(0)
    inputs, padding = _padded(convolution, inputs)
    if dimensions == 1:
        inputs, weight = inputs.unsqueeze(2), weight.unsqueeze(2)
    geometry = Geometry(
        size=(inputs.shape[2], inputs.shape[3]),
        kernel=_pair(convolution.kernel_size, 1),
        stride=_pair(convolution.stride, 1),
        padding=_pair(padding, 0),
        dilation=_pair(convolution.dilation, 1),
        groups=convolution.groups,
    )
    outputs = convolve(inputs, weight, products, geometry)
    if bias is not None:
        outputs = outputs + bias.view(-1, 1, 1)
    if dimensions == 1:
        outputs = outputs.squeeze(2)
    return outputs.squeeze(0) if alone else outputs


def convolve(inputs: Tensor, weight: Tensor, products: Products, geometry: Geometry) -> Tensor:
    """The convolution of maps (N, C, H, W) with weights (C', C / groups, k, k), differentiable.

    Raises:
        RuntimeError: the window is larger than the padded maps.
    """
    if min(geometry.outputs) < 1:
        raise RuntimeError(
            f"a window of {_times(geometry.reach)} positions does not fit into maps of {_times(geometry.size)} "
            f"with a padding of {_times(geometry.padding)}"
        )
    outputs: Tensor = _Outputs.apply(inputs, weight, products, geometry)  # type: ignore[no-untyped-call]
    return outputs


def exact(tensor: Tensor) -> Tensor:
    """The tensor in float32, or in float64 where it is: sums and transforms of bf16 lose too much."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def empty_maps(example: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    """Maps (N, C, H, W) for as many examples, of the type and in the order of memory of the example."""
    order = torch.channels_last if has_channels_last(example) else torch.contiguous_format
    shape = (len(example), channels, *size)
    return torch.empty(shape, dtype=example.dtype, device=example.device, memory_format=order)


def has_channels_last(maps: Tensor) -> bool:
    """Whether maps (N, C, H, W) lie in memory position by position."""
    return maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous()


def _products(convolution: Any, inputs: Tensor) -> Products | None:
    """The algorithm for the inputs; where there is nothing to compute, torch's."""
    products: Products | None = (
        None if inputs.is_meta or not inputs.numel() else convolution.choose(convolution, inputs)
    )
    return products


def _always(products: Products, convolution: Convolution, inputs: Tensor) -> Products:  # noqa: ARG001
    return products


def _in_autocast(*tensors: Tensor | None) -> tuple[Any, ...]:
    """The tensors in the type that autocast asks convolutions to compute in; float64 stays."""
    kind = tensors[0].device.type if tensors[0] is not None else "cpu"
    if not torch.is_autocast_enabled(kind):
        return tensors
    dtype = torch.get_autocast_dtype(kind)
    return tuple(tensor if tensor is None or tensor.dtype == torch.float64 else tensor.to(dtype) for tensor in tensors)


def _padded(module: Any, inputs: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """The inputs, and how many zeros an algorithm shall think on each side; padding of other kinds is put on here."""
    before_after = _padding(module)
    if module.padding_mode == "zeros" and all(before == after for before, after in before_after):
        return inputs, tuple(before for before, _ in before_after)
    sides = [side for pair in reversed(before_after) for side in pair]  # the last axis comes first
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    return functional.pad(inputs, sides, mode), (0,) * len(before_after)


def _padding(module: Any) -> list[tuple[int, int]]:
    if module.padding == "same":
        surplus = [
            dilation * (kernel - 1) for kernel, dilation in zip(module.kernel_size, module.dilation, strict=True)
        ]
        return [(each // 2, each - each // 2) for each in surplus]
    if module.padding == "valid":
        return [(0, 0) for _ in module.kernel_size]
    return [(each, each) for each in module.padding]


def _pair(values: tuple[int, ...], height: int) -> tuple[int, int]:
    return (values[0], values[1]) if len(values) == 2 else (height, values[0])


def _times(pair: tuple[int, int]) -> str:
    return f"{pair[0]} x {pair[1]}"


def _apply(product: Product, one: Tensor, other: Tensor, geometry: Geometry) -> Tensor:
    # Autocast would choose other types for the products inside than those that the algorithm has chosen.
    with torch.autocast(one.device.type, enabled=False):
        return product(one, other, geometry)


class _Outputs(autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, products: Products, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.rest = products, geometry
        return _apply(products.outputs, inputs, weight, geometry)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (inputs, weight), (gradient,) = ctx.saved_tensors, gradients
        needs_inputs, needs_weights, *_ = ctx.needs_input_grad
        of_inputs: Any = _OfInputs.apply(gradient, weight, *ctx.rest) if needs_inputs else None  # type: ignore[no-untyped-call]
        of_weights: Any = _OfWeights.apply(inputs, gradient, *ctx.rest) if needs_weights else None  # type: ignore[no-untyped-call]
        return of_inputs, of_weights, None, None


class _OfInputs(autograd.Function):
    @staticmethod
    def forward(ctx: Any, slopes: Tensor, weight: Tensor, products: Products, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(slopes, weight)
        ctx.rest = products, geometry
        return _apply(products.of_inputs, slopes, weight, geometry)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (slopes, weight), (gradient,) = ctx.saved_tensors, gradients
        needs_slopes, needs_weights, *_ = ctx.needs_input_grad
        of_slopes: Any = _Outputs.apply(gradient, weight, *ctx.rest) if needs_slopes else None  # type: ignore[no-untyped-call]
        of_weights: Any = _OfWeights.apply(gradient, slopes, *ctx.rest) if needs_weights else None  # type: ignore[no-untyped-call]
        return of_slopes, of_weights, None, None


class _OfWeights(autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, slopes: Tensor, products: Products, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(inputs, slopes)
        ctx.rest = products, geometry
        return _apply(products.of_weights, inputs, slopes, geometry)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (inputs, slopes), (gradient,) = ctx.saved_tensors, gradients
        needs_inputs, needs_slopes, *_ = ctx.needs_input_grad
        of_inputs: Any = _OfInputs.apply(slopes, gradient, *ctx.rest) if needs_inputs else None  # type: ignore[no-untyped-call]
        of_slopes: Any = _Outputs.apply(inputs, gradient, *ctx.rest) if needs_slopes else None  # type: ignore[no-untyped-call]
        return of_inputs, of_slopes, None, None
