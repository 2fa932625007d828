"""Normalization within an example: over groups of channels, and its two ends, all channels together and each alone."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, autograd, nn

from dlcat.layers.norms import Epsilon, norm
from dlcat.layers.norms.maps import exact, have_channels_last, in_order_of
from dlcat.layers.norms.rescaling import differentiable_gradients, of_inputs, of_scale_and_shift, pooled, rescale

Groups = Annotated[int, Ge(1)]


@norm(averages_positions=True)
def group(channels: int, *, groups: Groups = 32, eps: Epsilon = 1e-5) -> nn.Module:
    """Within groups of channels of one example, whatever the batch size (Wu & He 2018, arXiv:1803.08494).

    Raises:
        ValueError: the groups do not divide the channels.
    """
    if channels % groups:
        raise ValueError(f"{groups} groups do not divide {channels} channels")
    return GroupNorm(groups, channels, eps=eps)


@norm(averages_positions=True)
def layer(channels: int, *, eps: Epsilon = 1e-5) -> nn.Module:
    """Over all channels and positions of one example (Ba et al. 2016, arXiv:1607.06450)."""
    return GroupNorm(1, channels, eps=eps)


@norm(averages_positions=True)
def instance(channels: int, *, eps: Epsilon = 1e-5) -> nn.Module:
    """Over the positions of one channel of one example (Ulyanov et al. 2016, arXiv:1607.08022).

    Where a map has one position, nothing but the shift is left of it.
    """
    return GroupNorm(channels, channels, eps=eps)


class GroupNorm(nn.GroupNorm):
    """Torch's group normalization, and our own where channels come last in memory.

    There torch's gradients take several times as long on a processor, and a GPU gives back another order of memory.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name is torch's
        """(N, C, ...) to the same shape."""
        if not have_channels_last(input):
            # Not functional.group_norm, which refuses one number per group even in evaluation.
            return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)
        if input.is_cpu and input.dim() == 4 and not torch.compiler.is_compiling():
            outputs: Tensor = _GroupNorm.apply(input, self.weight, self.bias, self.num_groups, self.eps)  # type: ignore[no-untyped-call]
            return outputs
        return rescale(input, partial(within_groups, groups=self.num_groups, eps=self.eps), self.weight, self.bias)[0]


class _GroupNorm(autograd.Function):
    """Torch's outputs with gradients of our own, for images on a processor whose channels come last in memory."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        examples, channels, *size = inputs.shape
        learned = (weight.to(exact(inputs.dtype)), bias.to(exact(inputs.dtype)))  # the statistics are of their type
        outputs, mean, inverse = torch.native_group_norm(inputs, *learned, examples, channels, prod(size), groups, eps)
        ctx.groups, ctx.eps = groups, eps
        ctx.save_for_backward(inputs, weight, bias, mean, inverse)
        result: Tensor = outputs
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, bias, mean, inverse = ctx.saved_tensors
        if torch.is_grad_enabled():  # what is returned will be differentiated, and a closed form would hide the maps
            outputs = torch.group_norm(inputs, ctx.groups, weight, bias, ctx.eps)
            found = differentiable_gradients(outputs, (inputs, weight, bias), ctx.needs_input_grad[:3], gradients[0])
            return *found, None, None
        gradient = in_order_of(inputs, gradients[0])
        with torch.enable_grad():
            leaves = [tensor.detach().requires_grad_() for tensor in (mean, inverse, weight, bias)]
            scale, shift = _scale_and_shift(*leaves)
        sums = of_scale_and_shift(inputs, gradient)
        of_mean, of_inverse, of_weight, of_bias = autograd.grad((scale, shift), leaves, sums)
        # A map has a share of its group's mean and variance; and the inverse is (variance + eps) ** (-1 / 2).
        share = ctx.groups / inputs.shape[1]
        of_variance = of_inverse * inverse.pow(3) / -2
        by_map = [_to_maps(each, scale) for each in (mean, share * of_mean, share * of_variance)]
        return of_inputs(inputs, gradient, scale.detach(), *by_map), of_weight, of_bias, None, None


def _scale_and_shift(mean: Tensor, inverse: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift of every map, (N, C) each, by its group's mean and inverse deviation, (N, G) each."""
    grouped = (mean.shape[1], -1)
    scale = inverse.unsqueeze(2) * weight.view(grouped)  # (N, G, C / G)
    shift = bias.view(grouped) - scale * mean.unsqueeze(2)
    return scale.flatten(1), shift.flatten(1)


def within_groups(
    mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor, *, groups: int, eps: float
) -> tuple[Tensor, Tensor]:
    """The rule: scale and shift of every map, (N, C) each, by the mean and variance of its group."""
    grouped = (len(mean), groups, -1)
    centre, spread = pooled(mean.view(grouped), variance.view(grouped), 2)  # (N, G, 1)
    return _scale_and_shift(centre.squeeze(2), (spread.squeeze(2) + eps).rsqrt(), weight, bias)


def _to_maps(of_groups: Tensor, maps: Tensor) -> Tensor:
    """(N, G) to (N, C), every map having what its group has."""
    return of_groups.repeat_interleave(maps.shape[1] // of_groups.shape[1], dim=1)
