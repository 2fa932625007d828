"""Receptive fields: which positions of the input a number depends on, followed exactly from operation to operation.

What a position sees along one axis of the input is an interval; the next position sees the same, moved by the jump. A
window of k positions, d apart, with stride s and padding p makes of (start, size, jump)

    start - p * jump,   size + d * (k - 1) * jump,   jump * s

and where paths meet, what is seen is the smallest interval that holds what was seen on each (Araujo et al. 2019,
doi:10.23915/distill.00021, for layers). Here it is every operation of ATen that is followed, so that shortcuts, pads and
slices between layers have their part in it. Where positions see windows that are not all alike, as behind an upsampling, the
interval holds what each of them sees, and moves evenly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor, prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class Sight:
    """What the positions of a tensor see along one axis of the input."""

    length: int
    """Of the input's axis."""
    dim: int | None
    """The tensor's dimension along which it moves; None where all positions see the same."""
    start: Fraction = Fraction(0)
    """The first input position that the first position sees; below 0 in the padding."""
    size: Fraction = Fraction(1)
    """How many input positions each sees; beyond the border as well."""
    jump: Fraction = Fraction(1)
    """How far it moves from one position to the next; 0 where all see the same."""


Field = tuple[Sight, ...]
"""One sight for each axis of the input."""


class ReceptiveFields:
    """The fields of all tensors that come from one input: signals (N, C, ...), or tokens (N, T), which are integers."""

    def __init__(self, inputs: Tensor) -> None:
        self._fields: MutableMapping[Tensor, Field] = WeakTensorKeyDictionary()
        self._are_tokens = not inputs.is_floating_point()
        before = 1 if self._are_tokens else 2
        self[inputs] = tuple(Sight(length, before + axis) for axis, length in enumerate(inputs.shape[before:]))

    def __setitem__(self, tensor: Tensor, field: Field) -> None:
        self._fields[tensor] = field

    def __contains__(self, tensor: Tensor) -> bool:
        return tensor in self._fields

    def __getitem__(self, tensor: Tensor) -> Field:
        return self._fields[tensor]

    def get(self, tensor: Tensor) -> Field | None:
        """The tensor's field; None where it does not come from the input."""
        return self._fields.get(tensor)

    def follow(self, operation: Any, arguments: Sequence[Any], result: Any, *, pointwise: bool) -> None:
        """Note what the results of an operation see.

        What is only asked of tokens, as which of them are filling, is not followed: all would see where the text ends.

        Args:
            operation: of ATen, as `aten.convolution`. One that is not known here lets every position see everything.
            arguments: its positional arguments.
            result: what it gave.
            pointwise: whether every number of the result depends on the numbers at its own place only.
        """
        sources = [tensor for tensor in tensors(arguments) if tensor in self and operation not in _SHAPE_ONLY]
        rule = _RULES.get(operation)
        for target in tensors(result) if sources else ():
            if self._are_tokens and target.dtype == torch.bool:
                continue
            if pointwise or operation in _PASSING:
                fields = [_broadcast(self[source], source, target) for source in sources]
            elif rule is not None:
                fields = [_followed(self[sources[0]], rule, sources[0], arguments, target)]
            else:
                fields = [everything(self[source], source) for source in sources]
            self[target] = _hull(fields, target)


def tensors(values: Any) -> Iterator[Tensor]:
    """The tensors among values and in lists of them."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from tensors(value)


def everything(field: Field, tensor: Tensor) -> Field:
    """What all positions of a tensor see together."""
    return tuple(_fixed(sight, tensor) for sight in field)


def _fixed(sight: Sight, tensor: Tensor) -> Sight:
    if sight.dim is None:
        return sight
    first = max(0, ceil(sight.start))
    after = floor(sight.start + (tensor.shape[sight.dim] - 1) * sight.jump + sight.size)
    size = max(0, min(sight.length, after) - first)
    return replace(sight, dim=None, start=Fraction(first), size=Fraction(size), jump=Fraction(0))


def _hull(fields: Sequence[Field], tensor: Tensor) -> Field:
    return tuple(_held(sights, tensor) for sights in zip(*fields, strict=True))


def _held(sights: Sequence[Sight], tensor: Tensor) -> Sight:
    """The smallest interval that holds all; where they do not move together, of what all positions see."""
    if len({(sight.dim, sight.jump) for sight in sights}) > 1:
        sights = [_fixed(sight, tensor) for sight in sights]
    start = min(sight.start for sight in sights)
    return replace(sights[0], start=start, size=max(sight.start + sight.size for sight in sights) - start)


def _broadcast(field: Field, source: Tensor, target: Tensor) -> Field:
    """Dimensions are counted from the last; a position that stands for many, or that many stand for, is fixed."""
    further = target.dim() - source.dim()

    def carried(sight: Sight) -> Sight:
        if sight.dim is None:
            return sight
        if further < 0 or target.shape[sight.dim + further] != source.shape[sight.dim]:
            return _fixed(sight, source)
        return replace(sight, dim=sight.dim + further)

    return tuple(map(carried, field))


@dataclass(frozen=True, slots=True)
class _Step:
    """One operation as a sight meets it."""

    source: Tensor
    dim: int
    """Of the source: along which the sight moves."""
    arguments: Sequence[Any]
    """The operation's, the source first."""
    target: Tensor

    def given(self, *defaults: Any) -> tuple[Any, ...]:
        """The arguments behind the source, as many as there are defaults; these stand in for what is not there."""
        found = tuple(self.arguments[1 : 1 + len(defaults)])
        return found + defaults[len(found) :]


def _followed(field: Field, rule: Rule, source: Tensor, arguments: Sequence[Any], target: Tensor) -> Field:
    return tuple(
        sight if sight.dim is None else rule(sight, _Step(source, sight.dim, arguments, target)) for sight in field
    )


def _window(sight: Sight, kernel: int, stride: int, padding: int, dilation: int) -> Sight:
    reach = dilation * (kernel - 1)
    return _between(sight, Fraction(-padding), Fraction(reach - padding), Fraction(stride))


def _stamp(sight: Sight, kernel: int, stride: int, padding: int, dilation: int) -> Sight:
    """Output o of a transposed convolution is reached by the inputs from (o + p - d (k - 1)) / s to (o + p) / s."""
    reach = dilation * (kernel - 1)
    return _between(sight, Fraction(padding - reach, stride), Fraction(padding, stride), Fraction(1, stride))


def _between(sight: Sight, first: Fraction, last: Fraction, step: Fraction) -> Sight:
    """What output o sees, where it sees the inputs from `first` + o `step` to `last` + o `step`, or fewer of them."""
    return replace(
        sight,
        start=sight.start + first * sight.jump,
        size=sight.size + (last - first) * sight.jump,
        jump=sight.jump * step,
    )


def _convolution(sight: Sight, step: _Step) -> Sight:
    weight, _, stride, padding, dilation, transposed = step.given(*[None] * 6)
    axis = step.dim - 2
    if axis < 0:
        return _fixed(sight, step.source)
    settings = (_of_axis(setting, axis) for setting in (stride, padding, dilation))
    return (_stamp if transposed else _window)(sight, weight.shape[step.dim], *settings)


def _max_pool(sight: Sight, step: _Step) -> Sight:
    kernel, stride, padding, dilation = step.given((), (), 0, 1)
    return _pooled(sight, step, kernel, stride, padding, dilation)


def _average_pool(sight: Sight, step: _Step) -> Sight:
    kernel, stride, padding = step.given((), (), 0)
    return _pooled(sight, step, kernel, stride, padding, 1)


def _pooled(sight: Sight, step: _Step, kernel: Sequence[int], stride: Any, padding: Any, dilation: Any) -> Sight:
    axis = step.dim - (step.source.dim() - len(kernel))
    if axis < 0:
        return sight
    stride, padding, dilation = (_of_axis(setting, axis) for setting in (stride or kernel, padding, dilation))
    return _window(sight, kernel[axis], stride, padding, dilation)


def _adaptive_pool(sight: Sight, step: _Step) -> Sight:
    """Output o of m takes the inputs floor(o n / m) to ceil((o + 1) n / m) - 1."""
    ratio, rounding = _ratio(step)
    return _between(sight, -rounding, ratio - 1 + rounding, ratio)


def _nearest(sight: Sight, step: _Step) -> Sight:
    """Output o of m takes input floor(o n / m)."""
    ratio, rounding = _ratio(step)
    return _between(sight, -rounding, Fraction(0), ratio)


def _linear(sight: Sight, step: _Step) -> Sight:
    """Output o of m lies at (o + 1/2) n / m - 1/2, and takes the inputs next to it."""
    ratio, _ = _ratio(step)
    return _between(sight, ratio / 2 - Fraction(3, 2), ratio / 2 + Fraction(1, 2), ratio)


def _ratio(step: _Step) -> tuple[Fraction, Fraction]:
    """Positions before for each behind, n / m, and by how much o n / m is rounded at most."""
    ratio = Fraction(step.source.shape[step.dim], step.target.shape[step.dim])
    return ratio, 1 - Fraction(1, ratio.denominator)


def _slice(sight: Sight, step: _Step) -> Sight:
    sliced, *ends = step.given(0, None, None, 1)
    if sliced % step.source.dim() != step.dim:
        return sight
    first, _, every = slice(*ends).indices(step.source.shape[step.dim])
    return replace(sight, start=sight.start + first * sight.jump, jump=sight.jump * every)


def _select(sight: Sight, step: _Step) -> Sight:
    removed, place = step.given(0, 0)
    removed %= step.source.dim()
    if removed != step.dim:
        return replace(sight, dim=step.dim - (removed < step.dim))
    place %= step.source.shape[step.dim]
    return replace(sight, dim=None, start=sight.start + place * sight.jump, jump=Fraction(0))


def _embedding(sight: Sight, step: _Step) -> Sight:  # noqa: ARG001 - as the others
    """A vector in the place of each token: (N, T) to (N, T, C)."""
    return sight


def _split(sight: Sight, step: _Step) -> Sight:
    _, dim = step.given(0, 0)
    return _fixed(sight, step.source) if dim % step.source.dim() == step.dim else sight


def _pad(sight: Sight, step: _Step) -> Sight:
    (pads,) = step.given(())  # of the last dimension first: before, after
    place = 2 * (step.source.dim() - 1 - step.dim)
    return replace(sight, start=sight.start - pads[place] * sight.jump) if place < len(pads) else sight


def _reshape(sight: Sight, step: _Step) -> Sight:
    """A dimension stays one where as many numbers as before stand before it and in it."""
    before = prod(step.source.shape[: step.dim])
    for place, length in enumerate(step.target.shape):
        if length == step.source.shape[step.dim] and prod(step.target.shape[:place]) == before:
            return replace(sight, dim=place)
    return _fixed(sight, step.source)


def _permute(sight: Sight, step: _Step) -> Sight:
    (order,) = step.given(())
    return replace(sight, dim=[place % step.source.dim() for place in order].index(step.dim))


def _transpose(sight: Sight, step: _Step) -> Sight:
    one, other = (place % step.source.dim() for place in step.given(0, 1))
    return replace(sight, dim={one: other, other: one}.get(step.dim, step.dim))


def _reduce(sight: Sight, step: _Step) -> Sight:
    """What is summed up over some dimensions is fixed along those; the others stay, or move up where those are gone."""
    (given,) = step.given(None)
    chosen = [given] if isinstance(given, int) else given or range(step.source.dim())
    reduced = {place % step.source.dim() for place in chosen}
    if step.dim in reduced:
        return _fixed(sight, step.source)
    gone = sum(place < step.dim for place in reduced) if step.target.dim() < step.source.dim() else 0
    return replace(sight, dim=step.dim - gone)


def _of_axis(setting: Any, axis: int) -> int:
    """One value of a setting that is a number for all axes, or a list of one for all or each."""
    values: Sequence[int] = setting if isinstance(setting, list | tuple) else [setting]
    return values[axis % len(values)]


Rule = Callable[[Sight, _Step], Sight]
"""How a sight of the source becomes one of the target."""

_PASSING = frozenset({
    aten.clone, aten.detach, aten.alias, aten._to_copy, aten.copy_, aten.lift_fresh, aten.expand, aten.cat,
    aten.native_dropout, aten.native_batch_norm, aten.native_group_norm, aten.native_layer_norm,
})  # fmt: skip
"""What leaves everything at its place; and torch's norms, whose statistics would let every position see everything."""

_SHAPE_ONLY = frozenset({
    aten.empty_like, aten.zeros_like, aten.ones_like, aten.full_like, aten.rand_like, aten.randn_like,
    aten.new_empty, aten.new_zeros, aten.new_ones, aten.new_full,
})  # fmt: skip
"""What takes no number of its argument, such as the mask of a dropout."""

_RULES: dict[Any, Rule] = {
    aten.convolution: _convolution,
    aten.max_pool2d_with_indices: _max_pool,  # torch makes pools of one dimension out of these
    aten.max_pool3d_with_indices: _max_pool,
    aten.avg_pool2d: _average_pool,
    aten.avg_pool3d: _average_pool,
    aten._adaptive_avg_pool2d: _adaptive_pool,
    aten.adaptive_max_pool2d: _adaptive_pool,
    aten.upsample_nearest1d: _nearest,
    aten.upsample_nearest2d: _nearest,
    aten.upsample_linear1d: _linear,
    aten.upsample_bilinear2d: _linear,
    aten.embedding: _embedding,
    aten.slice: _slice,
    aten.select: _select,
    aten.split: _split,
    aten.split_with_sizes: _split,
    aten.constant_pad_nd: _pad,
    **dict.fromkeys((aten.view, aten._unsafe_view, aten.unsqueeze, aten.squeeze), _reshape),
    aten.permute: _permute,
    aten.transpose: _transpose,
    **dict.fromkeys((aten.mean, aten.sum, aten.amax, aten.amin, aten.var, aten.var_mean, aten._softmax), _reduce),
}
