"""What a study varies: some keys of a recipe over some values each, and the seed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from dlcat.errors import UsageError
from dlcat.recipe import PARTS
from dlcat.study.groups import SEED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OPENING, _CLOSING = "{[", "}]"


@dataclass(frozen=True, slots=True)
class Axis:
    """One key of a recipe, and what it is set to in turn."""

    key: str
    values: tuple[str, ...]
    """As `--set` takes them."""


def axis(text: str) -> Axis:
    """`norm=batch,group` or `train.batch_size=2,8,32`; a part of the model goes without `model.`.

    >>> axis("norm=batch,{name: group, groups: 8}")
    Axis(key='model.norm', values=('batch', '{name: group, groups: 8}'))

    Raises:
        UsageError: there is no key, no value, or one twice.
    """
    key, equals, rest = text.partition("=")
    key, values = key.strip(), tuple(_split(rest))
    if not equals or not key or "" in values:
        raise UsageError(f"--over {text}: expected KEY=VALUE,VALUE", hint="for example --over norm=batch,group")
    if len(set(values)) < len(values):
        raise UsageError(f"--over {text}: expected every value once")
    if key == SEED:
        raise UsageError(f"--over {text}: seeds are not compared", hint="--seeds 3 trains everything three times")
    return Axis(f"model.{key}" if key.partition(".")[0] in PARTS else key, values)


def cells(axes: Sequence[Axis]) -> list[tuple[str, ...]]:
    """Every combination, as overrides; the last axis changes first.

    Raises:
        UsageError: two axes are of one key.
    """
    keys = [each.key for each in axes]
    if len(set(keys)) < len(keys):
        raise UsageError(f"--over {keys}: expected every key once")
    chosen = product(*(each.values for each in axes))
    return [tuple(f"{key}={value}" for key, value in zip(keys, values, strict=True)) for values in chosen]


def _split(text: str) -> Iterator[str]:
    """At commas that are in no brackets."""
    depth, start = 0, 0
    for position, sign in enumerate(text):
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if sign == "," and depth == 0:
            yield text[start:position].strip()
            start = position + 1
    yield text[start:].strip()
