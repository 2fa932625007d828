"""What a study varies: axes of a recipe, each with its variants, and every combination of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from dlcat import document
from dlcat.errors import InvalidError, UsageError
from dlcat.recipe import PARTS
from dlcat.study.trials import FOLD, FOLDS, SEED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_OPENING, _CLOSING = "{[", "}]"
_DRAWN = (SEED, FOLD, FOLDS)
"""What repeats a training, and is not compared."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One place on an axis."""

    name: str
    overrides: tuple[str, ...]
    """As `--set` takes them."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What is varied: a key of a recipe, or keys that change together under one name."""

    name: str
    variants: tuple[Variant, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One variant of every axis."""

    variants: tuple[tuple[str, str], ...]
    """Axis and variant, by name."""
    overrides: tuple[str, ...]


def axis(text: str) -> Axis:
    """`norm=batch,group` or `train.batch_size=2,8,32`; a part of the model goes without `model.`.

    >>> [variant.name for variant in axis("norm=batch,{name: group, groups: 8}").variants]
    ['batch', 'group']

    Raises:
        UsageError: there is no key, no value, or one twice.
    """
    key, equals, rest = text.partition("=")
    key, values = key.strip(), list(_split(rest))
    if not equals or not key or "" in values:
        raise UsageError(f"--over {text}: expected KEY=VALUE,VALUE", hint="for example --over norm=batch,group")
    try:
        return _of_one_key(key, values)
    except ValueError as error:
        raise UsageError(f"--over {text}: {error}") from error


def written(name: str, content: Sequence[Any] | Mapping[str, Mapping[str, Any]]) -> Axis:
    """An axis as a recipe's `study.over` has it: a key and its values, or a name and its variants.

    >>> written("step", {"small": {"train.batch_size": 2, "optimizer.lr": 0.1}}).variants[0].overrides
    ('train.batch_size=2', 'optimizer.lr=0.1')

    Raises:
        ValueError: it names what repeats a training, or a variant twice.
    """
    if not isinstance(content, dict):
        return _of_one_key(name, [_text(value) for value in content])
    every = []
    for variant, changes in content.items():
        keys = [_varied(key) for key in changes]
        every.append(Variant(variant, tuple(map(_override, keys, map(_text, changes.values())))))
    return Axis(name, tuple(every))


def cells(axes: Sequence[Axis]) -> list[Cell]:
    """Every combination; the last axis changes first. Of no axis, one: the recipe as it is.

    Raises:
        ValueError: two axes have one name.
    """
    names = [each.name for each in axes]
    if len(set(names)) < len(names):
        raise ValueError(f"{', '.join(names)}: expected every axis once")
    combinations = product(*(each.variants for each in axes))
    return [Cell(tuple(zip(names, _names(chosen), strict=True)), _overrides(chosen)) for chosen in combinations]


def full_key(name: str) -> str:
    """A key as a recipe has it; the model's parts go without saying whose they are."""
    return f"model.{name}" if name.partition(".")[0] in PARTS else name


def _of_one_key(name: str, values: Sequence[str]) -> Axis:
    key = _varied(name)
    if len(set(values)) < len(values):
        raise ValueError("expected every value once")
    short = [_short(value) for value in values]
    names = [each if short.count(each) == 1 else value for each, value in zip(short, values, strict=True)]
    every = [Variant(name, (_override(key, value),)) for name, value in zip(names, values, strict=True)]
    return Axis(key, tuple(every))


def _varied(name: str) -> str:
    """The key in full, where it may be varied."""
    key = full_key(name)
    if key in _DRAWN:
        raise ValueError(f"{key} repeats a training and is not compared; `seeds` and `folds` say how often")
    return key


def _override(key: str, value: str) -> str:
    return f"{key}={value}"


def _overrides(chosen: Iterable[Variant]) -> tuple[str, ...]:
    return tuple(override for variant in chosen for override in variant.overrides)


def _names(chosen: Iterable[Variant]) -> list[str]:
    return [variant.name for variant in chosen]


def _text(value: Any) -> str:
    """A value of a YAML file as `--set` takes it."""
    if isinstance(value, str) and document.scalar(value) == value and value.strip(" _.").replace("_", "a").isalnum():
        return value
    return json.dumps(value, ensure_ascii=False)


def _short(value: str) -> str:
    """What a value is called: a choice with options by its name."""
    try:
        plain = document.parse(f"value: {value}").data["value"]
    except InvalidError:  # said with its place when the recipe is read
        return value
    return str(plain["name"]) if isinstance(plain, dict) and "name" in plain else value


def _split(text: str) -> Iterator[str]:
    """At commas that are in no brackets."""
    depth, start = 0, 0
    for position, sign in enumerate(text):
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if sign == "," and depth == 0:
            yield text[start:position].strip()
            start = position + 1
    yield text[start:].strip()
