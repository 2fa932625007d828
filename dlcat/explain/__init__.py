"""What a part does, computed rather than told: the facts behind `dlcat explain`, one module per family.

Every fact is found by running the member, so that it is true for members of other packages too.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol

from dlcat.errors import UsageError, nearest
from dlcat.explain import activation, conv, norm, optimizer, schedule
from dlcat.layers.activations import activation as activations
from dlcat.layers.convs import conv as convs
from dlcat.layers.norms import norm as norms
from dlcat.optim.optimizers import optimizer as optimizers
from dlcat.optim.schedules import schedule as schedules

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlcat.explain.part import Part
    from dlcat.registry import Choice, Family


class Facts(Protocol):
    """A record of plain values, whichever family it is of."""

    @property
    def part(self) -> Part: ...


EXPLAINED: dict[str, tuple[Family, Callable[..., Facts]]] = {
    "conv": (convs, conv.explain),
    "norm": (norms, norm.explain),
    "activation": (activations, activation.explain),
    "optimizer": (optimizers, optimizer.explain),
    "schedule": (schedules, schedule.explain),
}
"""The families that can be explained, each with the function that does it."""


def family(noun: str) -> Family:
    """The family of that name.

    Raises:
        UsageError: there is none that can be explained.
    """
    return _explained(noun)[0]


def settings(noun: str) -> frozenset[str]:
    """What `explain` may be told besides the member: the keyword-only parameters of the family's own function."""
    parameters = inspect.signature(_explained(noun)[1]).parameters.values()
    return frozenset(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)


def explain(noun: str, choice: Choice, **asked: Any) -> Facts:
    """The facts of a member of a family.

    Args:
        noun: the family: conv, norm, activation, optimizer or schedule.
        choice: the member and its options.
        asked: some of `settings(noun)`.

    Raises:
        UsageError: no such family, or the member refuses what is asked.
        InvalidError: no such member or option.
    """
    return _explained(noun)[1](choice, **asked)


def _explained(noun: str) -> tuple[Family, Callable[..., Facts]]:
    if noun not in EXPLAINED:
        raise UsageError(f"no family named {noun!r} to explain", hint=nearest(noun, EXPLAINED))
    return EXPLAINED[noun]
