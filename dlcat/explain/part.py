"""What every explanation begins with: which member of which family, with which options, in the words of its docstring."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from dlcat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from dlcat.registry import Choice, Family


@dataclass(frozen=True, slots=True)
class Part:
    """A member of a family as it was chosen."""

    family: str
    name: str
    options: dict[str, Any]
    """Those it was given, and the defaults of all others that have one."""
    text: str
    """Its docstring without the errors it raises: formulas, shapes, the paper."""


def part(family: Family, choice: Choice) -> Part:
    """The chosen member, named and described.

    Raises:
        InvalidError: no such member.
    """
    defaults = {option.name: option.default for option in family.options(choice.name).values() if not option.required}
    return Part(family.noun, choice.name, defaults | choice.options, _text(family[choice.name]))


@contextmanager
def refusals(chosen: Part, hint: str) -> Iterator[None]:
    """Turn a member's refusal of what it was asked for into a fault of the command line.

    Raises:
        UsageError: the member raised a ValueError.
    """
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{chosen.family} {chosen.name!r}: {error}", hint=hint) from error


@torch.no_grad()
def disturb(module: nn.Module, generator: torch.Generator, spread: float) -> None:
    """Move every weight a little, by normal numbers: a weight that begins at 0 would hide what it is multiplied with."""
    for parameter in module.parameters():
        parameter.add_(noise(generator, *parameter.shape), alpha=spread)


def noise(generator: torch.Generator, *shape: int) -> Tensor:
    """Normal numbers in float64."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _text(member: Any) -> str:
    return (inspect.getdoc(member) or "").partition("\n\nRaises:")[0].strip()
