"""JSON files too large to hold: one object whose arrays are read element by element, and found again by a number in them."""

from __future__ import annotations

import json
import re
from array import array
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, NoReturn

from dlcat.errors import VerificationError
from dlcat.readers.positions import Positions
from dlcat.readers.text_files import opened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

CHUNK_BYTES = 1 << 20
"""Read at a time."""
ELEMENT_BYTES = 1 << 25
"""The longest element that is believed: 32 MiB. COCO's longest outline is below 1 MiB."""
CUT = 16
"""A fault, or a number's end, so near to the end of what was read may come from that end: \\uXXXX, -Infinity, 1.5e-7."""
_SPACE = re.compile(r"[ \t\r\n]*")


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


@dataclass(frozen=True, slots=True)
class Element:
    """One element of an array, and where it is."""

    offset: int
    """Of its first byte in the file."""
    text: str
    """Its bytes, as so many characters (Latin-1)."""
    value: Any
    """What it says; words that are not ASCII are garbled, numbers and names of fields are right."""

    def decoded(self) -> Any:
        """What it says, exactly.

        Raises:
            ValueError: it is no UTF-8.
        """
        return self.value if self.text.isascii() else json.loads(self.text.encode("latin-1").decode())


def elements(path: Path, keys: Collection[str]) -> Iterator[tuple[str, Element]]:
    """The elements of the arrays with these names in the file's outermost object, each with its array's name, in order.

    No more than one element is held. What comes after the last of these arrays is not looked at.

    Raises:
        VerificationError: the file cannot be read, is no such object, or an array is missing; says at which byte.
    """
    missing = set(keys)
    with opened(path) as stream:
        scanner = _Scanner(stream, path)
        for name in scanner.names():
            if name in missing and scanner.peek() != "[":
                scanner.fail(f"an array for {name!r}")
            for element in scanner.items():
                if name in missing:
                    yield name, element
            missing.discard(name)
            if not missing:
                return
        scanner.fail(f"arrays named {', '.join(sorted(missing))}", "none")


@dataclass(slots=True)
class Index:
    """Which elements of an array belong to a number, an image's for example: 24 bytes for each, whatever its length."""

    stream: IO[bytes]
    """The file they are in, opened for reading: where they are read again."""
    positions: Positions = field(default_factory=Positions)
    """In the array, by number."""
    _offsets: array[int] = field(default_factory=lambda: array("q"))
    _lengths: array[int] = field(default_factory=lambda: array("q"))

    def add(self, number: int, element: Element) -> None:
        """Note that the next element of the array belongs to the number, or to `positions.NOTHING`."""
        self.positions.add(number)
        self._offsets.append(element.offset)
        self._lengths.append(len(element.text))

    def read(self, position: int) -> Any:
        """The element at a position of the array, exactly.

        Raises:
            ValueError: it is no UTF-8, or no longer JSON.
        """
        self.stream.seek(self._offsets[position])
        return json.loads(self.stream.read(self._lengths[position]).decode())


class _Scanner:
    """Takes JSON apart at its outermost level, holding one element and a chunk."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path
        self._text = ""
        self._at = 0
        self._start = 0  # of the text, in the file

    def names(self) -> Iterator[str]:
        """The names in the object that begins here; whoever asks for the next has taken the value of the last."""
        self._take("{")
        if self.peek() == "}":
            return
        while True:
            if self.peek() != '"':
                self.fail("a name in quotes")
            name = self._name()
            self._take(":")
            yield name
            if self.peek() == "}":
                return
            self._take(",")

    def _name(self) -> str:
        element = self._value()
        try:
            return str(element.decoded())
        except UnicodeDecodeError:
            self.fail("a name in UTF-8", repr(element.value))

    def items(self) -> Iterator[Element]:
        """The elements of the array after the colon; of any other value, which is passed over, none."""
        if self.peek() != "[":
            self._value()
            return
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        while True:
            yield self._value()
            if self.peek() == "]":
                break
            self._take(",")
        self._take("]")

    def peek(self) -> str:
        """The next character that is no white space; nothing at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            assert space is not None
            self._at = space.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def fail(self, expected: str, found: str = "") -> NoReturn:
        """Say what is wrong here."""
        ahead = self._text[self._at : self._at + 20]
        found = found or (repr(ahead) if ahead else "the end")
        where = f"{self._path}, byte {self._start + self._at:,}"
        raise VerificationError(
            f"{where}: expected {expected}, found {found}", hint="fetch it again with `dlcat fetch NAME --force`"
        )

    def _take(self, character: str) -> None:
        if self.peek() != character:
            self.fail(repr(character))
        self._at += 1

    def _value(self) -> Element:
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if not (self._is_cut(error) and self._more()):
                    self.fail(f"JSON ({_reason(error)})")
                continue
            length = end - self._at
            if type(value) in (int, float) and end > len(self._text) - CUT and self._more():
                continue  # it may go on: 1, 1.5, 1.5e-7
            element = Element(self._start + self._at, self._text[self._at : self._at + length], value)
            self._at += length
            return element

    def _is_cut(self, error: Exception) -> bool:
        """Whether the fault may be that the rest was not read yet."""
        if not isinstance(error, json.JSONDecodeError) or len(self._text) - self._at > ELEMENT_BYTES:
            return False
        return error.pos > len(self._text) - CUT or error.msg.startswith("Unterminated")

    def _more(self) -> bool:
        """Read on, at least as much as is held; whether there was something left."""
        held = self._text[self._at :]
        content = self._stream.read(max(CHUNK_BYTES, len(held)))
        self._start += self._at
        self._text = held + content.decode("latin-1")
        self._at = 0
        return bool(content)


def _reason(error: Exception) -> str:
    return (
        error.msg if isinstance(error, json.JSONDecodeError) else (str(error).partition(";")[0] or "no deeper nesting")
    )
