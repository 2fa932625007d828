"""Competition between neighbouring channels at one position, as in AlexNet."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import torch
from annotated_types import Ge, Gt
from torch import Tensor, autograd, nn
from torch.nn import functional

from dlcat.layers.norms import norm
from dlcat.layers.norms.maps import by_map, exact, in_order, in_order_of, portions
from dlcat.layers.norms.rescaling import differentiable_gradients


@norm(shifts=False)
def local_response(
    channels: int,  # noqa: ARG001 - every norm is handed its channels
    *,
    size: Annotated[int, Ge(1)] = 5,
    alpha: Annotated[float, Ge(0)] = 1e-4,
    beta: Annotated[float, Gt(0)] = 0.75,
    k: Annotated[float, Gt(0)] = 2.0,
) -> nn.Module:
    """By the size of neighbouring channels at the same position (Krizhevsky et al. 2012, section 3.3).

    y = x / (k + alpha * sum of x^2)^beta, where the sum is over the `size` channels around each. The defaults are
    AlexNet's, and alpha is what it is in that paper; where others divide the sum by its size, theirs is `size` times
    ours. Nothing is learned and nothing is subtracted, so convolutions keep their bias.

    Raises:
        ValueError: the size is even: such a window has no centre.
    """
    if size % 2 == 0:
        raise ValueError(f"a window of {size} channels has no centre; an odd size has one")
    return LocalResponseNorm(Window(size, alpha, beta, k))


class Window(NamedTuple):
    """The options of `local_response`."""

    size: int
    alpha: float
    beta: float
    k: float


class LocalResponseNorm(nn.Module):
    """See `local_response`."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.window = window

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        if torch.compiler.is_compiling():  # a compiler joins the steps itself
            return _by_definition(inputs, self.window)
        outputs: Tensor = _LocalResponse.apply(in_order(inputs), self.window)  # type: ignore[no-untyped-call]
        return outputs

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.window._asdict().items())


class _LocalResponse(autograd.Function):
    """Keeps its input only: what stands between, in float32, would be twice that or more, and is soon made again."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, window: Window) -> Tensor:
        ctx.window = window
        ctx.save_for_backward(inputs)
        outputs = torch.empty_like(inputs)
        maps, positions = by_map(inputs)
        results, _ = by_map(outputs)
        dtype = exact(inputs.dtype)
        for portion in portions(maps):
            numbers = maps[portion].to(dtype)
            torch.mul(numbers, _power(_sums(numbers, window, 3 - positions), -window.beta), out=results[portion])
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None]:
        (inputs,) = ctx.saved_tensors
        window: Window = ctx.window
        if torch.is_grad_enabled():  # what is returned will be differentiated, and a closed form would hide the input
            outputs = _by_definition(inputs, window)
            (found,) = differentiable_gradients(outputs, (inputs,), (True,), gradients[0])
            return found, None
        result = torch.empty_like(inputs)
        (maps, positions), (results, _) = by_map(inputs), by_map(result)
        slopes, _ = by_map(in_order_of(inputs, gradients[0]))
        dtype = exact(inputs.dtype)
        for portion in portions(maps):
            gradient = _gradient(maps[portion].to(dtype), slopes[portion].to(dtype), window, 3 - positions)
            results[portion].copy_(gradient)
        return result, None


def _gradient(numbers: Tensor, slopes: Tensor, window: Window, axis: int) -> Tensor:
    """With s the sums: slope * s^-beta - 2 alpha beta * x * windows' sum of (slope * x * s^(-beta - 1)).

    The first part is x's own numerator; the second its place in the sums of its neighbours, whose windows hold it
    exactly where its window holds them, because the size is odd.
    """
    sums = _sums(numbers, window, axis)
    direct = _power(sums, -window.beta).mul_(slopes)
    shares = _window_sums(_between_zeros(direct / sums, numbers, window.size, axis), numbers.shape[axis], axis)
    return direct.addcmul_(numbers, shares, value=-2 * window.alpha * window.beta)


def _by_definition(inputs: Tensor, window: Window) -> Tensor:
    numbers = inputs.to(exact(inputs.dtype))
    margin = _margin(window.size, inputs.shape[1])
    zeros = (0, 0) * (inputs.dim() - 2) + (margin, margin)  # the last axis comes first
    sums = _window_sums(functional.pad(numbers.square(), zeros), inputs.shape[1], 1)
    return (numbers * _power(window.k + window.alpha * sums, -window.beta)).to(inputs.dtype)


def _sums(numbers: Tensor, window: Window, axis: int) -> Tensor:
    """For each number, k + alpha * sum of x^2 over its window of channels, which lie along the axis."""
    squares = _between_zeros(numbers, numbers, window.size, axis)
    return _window_sums(squares, numbers.shape[axis], axis).mul(window.alpha).add_(window.k)


def _between_zeros(one: Tensor, other: Tensor, size: int, axis: int) -> Tensor:
    """The product, with as many zeros before the first channel and after the last as windows reach out there."""
    channels = one.shape[axis]
    margin = _margin(size, channels)
    shape = list(one.shape)
    shape[axis] += 2 * margin
    padded = one.new_zeros(shape)
    torch.mul(one, other, out=padded.narrow(axis, margin, channels))
    return padded


def _margin(size: int, channels: int) -> int:
    """How far windows reach out; from the last channel to the first is as good as any farther."""
    return min(size // 2, channels - 1)


def _window_sums(padded: Tensor, channels: int, axis: int) -> Tensor:
    """The sums over the windows around the channels, which stand between zeros.

    Sums of 2, 4, 8, ... neighbours each come from those of half as many, and every window is made of some of them: about
    2 log2(size) additions in place of size. A running sum would need fewer still, and lose digits.
    """
    sums, runs, length, start = None, padded, 1, 0
    width = padded.shape[axis] - channels + 1  # of a window, no farther than the zeros reach
    while length <= width:
        if width & length:
            part = runs.narrow(axis, start, channels)
            sums = part if sums is None else sums + part
            start += length
        if 2 * length <= width:
            rest = runs.shape[axis] - length
            runs = runs.narrow(axis, 0, rest) + runs.narrow(axis, length, rest)
        length *= 2
    assert sums is not None  # a window has at least its centre
    return sums


def _power(numbers: Tensor, exponent: float) -> Tensor:
    """The power; the usual one by square roots, which are several times faster."""
    if exponent == -0.75:
        root = numbers.rsqrt()
        return root * root.sqrt()
    return numbers**exponent
