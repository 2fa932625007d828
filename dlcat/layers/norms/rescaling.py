"""One computation for many norms: every map times a scale plus a shift, which a rule makes from the maps' mean and variance.

A rule works on (N, C) numbers, and what those cost is nothing beside the maps. So a norm is a rule of a few lines, which
autograd differentiates; the four visits to the maps, two forward and two backward, are written out here once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, autograd

from dlcat.layers.norms.maps import by_map, exact, in_order, in_order_of, portions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Rule = Callable[..., tuple[Tensor, Tensor]]
    """(mean, variance, *weights) to (scale, shift). Mean and variance are (N, C); scale and shift broadcast to that."""


def rescale(inputs: Tensor, rule: Rule, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The maps times their scales plus their shifts, and beside them their means and variances.

    Args:
        inputs: (N, C, ...).
        rule: makes scale and shift; it has no side effect, for it is called again where gradients are differentiated.
        weights: what the rule learns; scale and shift both depend on a weight or on the maps.

    Returns:
        Outputs in shape, type and memory order of the inputs; mean and variance (N, C), float32 or more, over the
        positions of each map, without gradient. The variance divides by their number.
    """
    if torch.compiler.is_compiling():  # a compiler joins the visits itself
        outputs, mean, variance = _by_definition(inputs, rule, *weights)
        return outputs, mean.detach(), variance.detach()
    inputs = in_order(inputs)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (inputs, *weights)):
        outputs, mean, variance = _Rescaling.apply(inputs, rule, *weights)  # type: ignore[no-untyped-call]
    else:
        mean, variance = _moments(inputs)
        outputs = _rescaled(inputs, *_per_map(mean, rule(mean, variance, *weights)))
    return outputs, mean, variance


def pooled(mean: Tensor, variance: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of the numbers of several maps together, those along the axis, which stays with length 1.

    The variance of all is the mean variance within plus the variance of the means: nothing is subtracted from anything
    much larger than the result, as it is in a mean of squares less the square of the mean.
    """
    centre = mean.mean(axis, keepdim=True)
    return centre, variance.mean(axis, keepdim=True) + (mean - centre).square().mean(axis, keepdim=True)


def differentiable_gradients(
    outputs: Tensor, tensors: Sequence[Tensor], needed: Sequence[bool], gradient: Tensor
) -> list[Tensor | None]:
    """The gradients of the tensors that need one, as autograd takes them, so that they can be differentiated again."""
    wanted = [tensor for tensor, need in zip(tensors, needed, strict=True) if need]
    found = iter(autograd.grad(outputs, wanted, gradient, create_graph=True, materialize_grads=True))
    return [next(found) if need else None for need in needed]


class _Rescaling(autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, rule: Rule, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = _moments(inputs)
        with torch.enable_grad():
            leaves = [tensor.detach().requires_grad_() for tensor in (mean, variance, *weights)]
            scale, shift = _per_map(mean, rule(*leaves))
        ctx.rule, ctx.leaves, ctx.scale, ctx.shift = rule, leaves, scale, shift
        ctx.save_for_backward(inputs, *weights)
        ctx.mark_non_differentiable(mean, variance)
        return _rescaled(inputs, scale.detach(), shift.detach()), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, *weights = ctx.saved_tensors
        if torch.is_grad_enabled():  # what is returned will be differentiated, and a closed form would hide the maps
            needed = [ctx.needs_input_grad[0], *ctx.needs_input_grad[2:]]
            outputs, _, _ = _by_definition(inputs, ctx.rule, *weights)
            first, *others = differentiable_gradients(outputs, (inputs, *weights), needed, gradients[0])
            return first, None, *others
        gradient = in_order_of(inputs, gradients[0])
        sums = of_scale_and_shift(inputs, gradient)
        found = autograd.grad((ctx.scale, ctx.shift), ctx.leaves, sums, retain_graph=True, materialize_grads=True)
        of_mean, of_variance, *of_weights = found
        of_maps = None
        if ctx.needs_input_grad[0]:
            mean, scale = ctx.leaves[0].detach(), ctx.scale.detach()
            of_maps = of_inputs(inputs, gradient, scale, mean, of_mean, of_variance)
        return of_maps, None, *of_weights


def _moments(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of every map, (N, C) each; the variance from what is left after the mean is taken off."""
    maps, axis = by_map(inputs)
    dtype = exact(inputs.dtype)
    mean, variance = (torch.empty(inputs.shape[:2], dtype=dtype, device=inputs.device) for _ in range(2))
    for portion in portions(maps):
        numbers = maps[portion].to(dtype)
        torch.mean(numbers, axis, out=mean[portion])
        rest = numbers - mean[portion].unsqueeze(axis)
        torch.mean(rest.square_(), axis, out=variance[portion])
    return mean, variance


def _rescaled(inputs: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    outputs = torch.empty_like(inputs)
    maps, axis = by_map(inputs)
    results, _ = by_map(outputs)
    scale, shift = scale.unsqueeze(axis), shift.unsqueeze(axis)
    for portion in portions(maps):
        torch.addcmul(shift[portion], maps[portion], scale[portion], out=results[portion])
    return outputs


def of_scale_and_shift(inputs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of every map's scale and shift, (N, C) each: sums over its positions."""
    maps, axis = by_map(inputs)
    slopes, _ = by_map(gradient)
    dtype = exact(inputs.dtype)
    of_scale, of_shift = (torch.empty(inputs.shape[:2], dtype=dtype, device=inputs.device) for _ in range(2))
    for portion in portions(maps):
        slope = slopes[portion].to(dtype)
        torch.sum(slope, axis, out=of_shift[portion])
        torch.sum(slope * maps[portion], axis, out=of_scale[portion])
    return of_scale, of_shift


def of_inputs(
    inputs: Tensor, gradient: Tensor, scale: Tensor, mean: Tensor, of_mean: Tensor, of_variance: Tensor
) -> Tensor:
    """The maps' gradient: what comes straight through the scale, and by way of mean and variance, which is linear in x."""
    result = torch.empty_like(inputs)
    maps, axis = by_map(inputs)
    slopes, _ = by_map(gradient)
    results, _ = by_map(result)
    positions = max(1, maps.shape[axis])
    factor = 2 / positions * of_variance  # the variance is the mean of (x - mean)^2
    offset = (of_mean / positions - factor * mean).unsqueeze(axis)
    factor, scale = factor.unsqueeze(axis), scale.unsqueeze(axis)
    for portion in portions(maps):
        direct = slopes[portion] * scale[portion]
        torch.add(direct.add_(maps[portion] * factor[portion]), offset[portion], out=results[portion])
    return result


def _by_definition(inputs: Tensor, rule: Rule, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    maps = inputs.reshape(*inputs.shape[:2], -1).to(exact(inputs.dtype))  # (N, C, P)
    mean, variance = maps.mean(2), maps.var(2, correction=0)
    scale, shift = _per_map(mean, rule(mean, variance, *weights))
    outputs = maps * scale.unsqueeze(2) + shift.unsqueeze(2)
    return outputs.to(inputs.dtype).view(inputs.shape), mean, variance


def _per_map(mean: Tensor, found: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    scale, shift = found
    return scale.to(mean.dtype).expand_as(mean), shift.to(mean.dtype).expand_as(mean)
