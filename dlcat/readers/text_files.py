"""Text files, whole or line by line: no line without a bound, no byte replaced, and what is wrong named by its line."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from dlcat.errors import VerificationError
from dlcat.readers.examples import Bad, expect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Line = tuple[str, str]
    """Where a line is (`file:line`), and its text without its end."""

MOST_BYTES = 1 << 22
"""Of one line, and of a text that has a file of its own: the longest known (an article of Wikipedia) has half of it."""
MISSING = "`dlcat verify NAME` says what is missing"


@contextmanager
def opened(path: str | Path, hint: str = MISSING) -> Iterator[BinaryIO]:
    """A file that the dataset's folder must hold.

    Raises:
        VerificationError: it is not there, or cannot be read to its end.
    """
    try:
        with open(path, "rb") as stream:
            yield stream
    except (OSError, EOFError) as error:  # of what is packed, too
        reason = getattr(error, "strerror", None) or error
        raise VerificationError(f"{path}: cannot be read: {reason}", hint=hint) from error


def text_lines(path: Path, folder: Path, *, encoding: str = "utf-8", hint: str = MISSING) -> Iterator[Line | Bad]:
    """Every line of a file, in order; `Bad` stands for one that is too long or not in the encoding.

    A line ends with a line feed, and a carriage return before it; signs that only Unicode takes for line ends are text.

    Raises:
        VerificationError: the file is not there, or cannot be read to its end.
    """
    with opened(path, hint) as stream:
        yield from decoded_lines(stream, path.relative_to(folder).as_posix(), encoding=encoding)


def filled_lines(path: Path, folder: Path) -> Iterator[Line | Bad]:
    """As `text_lines`, without empty lines, and without spaces around the others."""
    for line in text_lines(path, folder):
        if isinstance(line, Bad):
            yield line
        elif text := line[1].strip():
            yield line[0], text


def required_lines(path: Path, folder: Path) -> Iterator[Line]:
    """As `filled_lines`, of a file that is of use only where every line can be read.

    Raises:
        VerificationError: the file is not there, or a line is too long or no UTF-8.
    """
    for line in filled_lines(path, folder):
        if isinstance(line, Bad):
            raise VerificationError(f"{folder / line.place}: expected {line.expected}, found {line.found}")
        yield line


def decoded_lines(stream: BinaryIO, name: str, *, encoding: str = "utf-8") -> Iterator[Line | Bad]:
    """As `text_lines`, of a stream that has this name."""
    for number, line in byte_lines(stream):
        place = f"{name}:{number}"
        if line is None:
            yield Bad(place, f"a line of at most {MOST_BYTES} bytes", "a longer one")
            continue
        text = decoded(line, place, encoding)
        yield text if isinstance(text, Bad) else (place, text.removesuffix("\n").removesuffix("\r"))


def byte_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """The number of every line, from 1, and the line with its end; None instead of one that is too long."""
    number = 0
    while line := stream.readline(MOST_BYTES):
        number += 1
        if len(line) < MOST_BYTES or line.endswith(b"\n"):
            yield number, line
            continue
        rest = stream.readline(MOST_BYTES)
        if rest:
            while rest and not rest.endswith(b"\n"):
                rest = stream.readline(MOST_BYTES)
            yield number, None
        else:  # the last line, and just as long as may be
            yield number, line


def decoded(content: bytes, place: str, encoding: str = "utf-8") -> str | Bad:
    """Text, or which byte is the first that is none."""
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        byte = content[error.start]
        return Bad(place, encoding.upper(), f"byte 0x{byte:02x} at byte {error.start + 1} of {len(content)}")


def whole_text(folder: Path, place: str, *, encoding: str = "utf-8") -> str | Bad:
    """The text of a file below the folder that holds one example.

    Raises:
        VerificationError: it cannot be read.
    """
    with opened(f"{folder}/{place}") as stream:  # thousands of them: a Path each would take longer than the reading
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        return Bad(place, f"a text of at most {MOST_BYTES} bytes", "a longer one")
    return decoded(content, place, encoding)


def numbered_files(folder: Path, expected: str, hint: str = MISSING) -> list[str]:
    """The names of the files in a folder, by the number they begin with; hidden ones are left out.

    Raises:
        VerificationError: there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise VerificationError(f"{folder}: expected a folder with {expected}, found none", hint=hint)
    with os.scandir(folder) as scan:
        names = [each.name for each in scan if not each.name.startswith(".") and each.is_file()]
    expect(len(names) > 0, folder, expected, "none")
    return sorted(names, key=_number_first)


def _number_first(name: str) -> tuple[int, bytes]:
    digits = len(name) - len(name.lstrip("0123456789"))
    return digits, os.fsencode(name)
