"""An activation explained: its curve, its slope, and what they say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dlcat.explain.part import Part, part, refusals
from dlcat.layers.activations import activation

if TYPE_CHECKING:
    from dlcat.registry import Choice

REACH, POINTS = 5.0, 161
WIDE = 1e3
"""Where an activation is looked at to see how it goes on."""


@dataclass(frozen=True, slots=True)
class ActivationFacts:
    """What there is to say about an activation."""

    part: Part
    points: tuple[tuple[float, float, float], ...]
    """(x, value, slope) from -5 to 5."""
    lowest: tuple[float, float]
    """(x, value) of the least value in between."""
    ends: tuple[float, float]
    """The slopes at -1000 and 1000: 0 where it levels off."""


def explain(choice: Choice) -> ActivationFacts:
    """The facts of an activation, computed in float64.

    Raises:
        InvalidError: no such member or option.
        UsageError: the member refuses its options.
    """
    chosen = part(activation, choice)
    with refusals(chosen, "options stand with the name: '{name: leaky_relu, slope: 0.1}'"):
        module = activation.bind(choice)().double()
    places = torch.cat([torch.linspace(-REACH, REACH, POINTS), torch.tensor([-WIDE, WIDE])]).double()
    inputs = places.requires_grad_()
    values = module(inputs.clone())  # a copy, for it may overwrite what it is given
    (slopes,) = torch.autograd.grad(values.sum(), inputs)
    rows = list(zip(inputs.tolist(), values.tolist(), slopes.tolist(), strict=True))
    curve, ends = tuple(rows[:POINTS]), rows[POINTS:]
    lowest = min(curve, key=lambda row: row[1])
    return ActivationFacts(chosen, curve, lowest[:2], (ends[0][2], ends[1][2]))
