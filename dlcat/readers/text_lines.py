"""Text files line by line: numbered, decoded one at a time, and never more of one in memory than a line may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from dlcat.errors import VerificationError
from dlcat.readers.examples import Bad

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINE_BYTES = 1 << 16
"""A longer line is none of a list or a transcript."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that says something."""

    number: int
    """From 1."""
    text: str
    """Without the end of the line and spaces around it."""


def lines(path: Path, *, place: str = "") -> Iterator[Line | Bad]:
    """The lines of a UTF-8 file that are not empty; a `Bad` for one that is no UTF-8 or too long, and on it goes.

    Args:
        path: of the file.
        place: what `Bad` calls the file; nothing: its name.

    Raises:
        VerificationError: the file is not there, or cannot be read.
    """
    place = place or path.name
    try:
        with open(path, "rb") as stream:
            for number, line in enumerate(_bounded(stream), start=1):
                found = _decoded(line, number, f"{place}:{number}")
                if isinstance(found, Bad) or found.text:
                    yield found
    except OSError as error:
        raise VerificationError(
            f"{path}: cannot be read: {error.strerror}", hint="`dlcat verify NAME` says what is missing"
        ) from error


def required_lines(path: Path) -> Iterator[Line]:
    """As `lines`, of a file that is of use only where every line can be read.

    Raises:
        VerificationError: the file is not there, or a line is no UTF-8 or too long.
    """
    for line in lines(path):
        if isinstance(line, Bad):
            raise VerificationError(f"{path.parent / line.place}: expected {line.expected}, found {line.found}")
        yield line


def _decoded(line: bytes, number: int, place: str) -> Line | Bad:
    if len(line) > LINE_BYTES:
        return Bad(place, f"a line of at most {LINE_BYTES:,} bytes", "a longer one")
    try:
        return Line(number, line.decode().strip())
    except UnicodeDecodeError as error:
        return Bad(place, "UTF-8", f"byte 0x{line[error.start]:02x}")


def _bounded(stream: IO[bytes]) -> Iterator[bytes]:
    """Every line; of one that is too long its beginning, one byte longer than may be."""
    while line := stream.readline(LINE_BYTES + 1):
        yield line
        while len(line) > LINE_BYTES and not line.endswith(b"\n"):
            line = stream.readline(LINE_BYTES + 1)
