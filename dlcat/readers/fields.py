"""Fields of plain values, as JSON has them: each is what the format promises, or it is said what it is."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, TypeVar

from dlcat.readers.examples import Bad

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")
LIMIT = 1 << 63
"""Whole numbers beyond it are none that a format means."""
LENGTH = 60
"""Letters of what was found that are shown."""


class UnfitError(Exception):
    """A value is not what the format promises."""

    def __init__(self, expected: str, found: object) -> None:
        super().__init__(expected)
        text = found if isinstance(found, str) else repr(found)
        self.expected = expected
        self.found = text if len(text) <= LENGTH else f"{text[:LENGTH]}..."


def field(record: Any, name: str, kind: type[Value]) -> Value:
    """The field of that name.

    Raises:
        UnfitError: there is none, or it is of another kind; true and false are no numbers.
    """
    if type(record) is not dict:
        raise UnfitError(f"an object with {name!r}", record)
    value = record.get(name)
    if type(value) is not kind or (isinstance(value, int) and not _is_number(value)):
        raise UnfitError(f"{name!r}, of type {kind.__name__}", value)
    return value


def numbers(record: Any, name: str) -> list[float]:
    """A field that is a list of finite numbers.

    Raises:
        UnfitError: it is something else.
    """
    found = field(record, name, list)
    if not all(_is_number(each) for each in found):
        raise UnfitError(f"{name!r}, finite numbers", found)
    return found


def number(record: Any, name: str) -> float:
    """A field that is one finite number.

    Raises:
        UnfitError: it is something else.
    """
    found = record.get(name)
    if not _is_number(found):
        raise UnfitError(f"{name!r}, a finite number", found)
    value: float = found
    return value


def _is_number(value: Any) -> bool:
    return isfinite(value) if type(value) is float else type(value) is int and abs(value) < LIMIT


def box(record: Any, name: str = "bbox") -> list[float]:
    """A field that is left, top, width and height.

    Raises:
        UnfitError: it is something else.
    """
    found = numbers(record, name)
    if len(found) != 4 or found[2] < 0 or found[3] < 0:
        raise UnfitError(f"{name!r}, left, top, width and height", found)
    return found


def attempt(make: Callable[[], Value], place: str) -> Value | Bad:
    """What it makes, or why it cannot.

    Args:
        make: may raise `UnfitError`, or ValueError where text is no UTF-8.
        place: of what it is made from.
    """
    try:
        return make()
    except UnfitError as error:
        return Bad(place, error.expected, error.found)
    except (ValueError, RecursionError) as error:
        return Bad(place, "UTF-8 in JSON", str(error).partition("\n")[0][:LENGTH])
