"""Text files, whole or line by line: no line without a bound, no byte replaced, and what is wrong named by its line."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from dlcat.errors import VerificationError
from dlcat.readers.examples import Bad, expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    Line = tuple[str, str]
    """Where a line is (`file:line`), and its text without its end."""

MOST_BYTES = 1 << 22
"""Of one line, and of a text that has a file of its own: the longest known (an article of Wikipedia) has half of it."""
BLOCK_BYTES = 1 << 18
"""Read at a time."""
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
    number = 1
    for block in _blocks(stream):
        lines = (
            [Bad("", f"a line of at most {MOST_BYTES} bytes", "a longer one")]
            if block is None
            else _split(block, encoding)
        )
        for number, line in enumerate(lines, number):  # noqa: B020  # it goes on where the last block ended
            place = f"{name}:{number}"
            yield (place, line) if isinstance(line, str) else replace(line, place=place)
        number += 1


def _split(block: bytes, encoding: str) -> Sequence[str | Bad]:
    """The lines of a block; decoded at once where all of it is text, which takes a third of the time."""
    try:
        lines: Sequence[str | Bad] = block.decode(encoding).removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        lines = [decoded(line, "", encoding) for line in block.removesuffix(b"\n").split(b"\n")]
    if b"\r" in block:
        lines = [line.removesuffix("\r") if isinstance(line, str) else line for line in lines]
    return lines


def _blocks(stream: BinaryIO) -> Iterator[bytes | None]:
    """The stream in pieces of whole lines; None stands for a line that is too long."""
    while block := stream.read(BLOCK_BYTES):
        if block.endswith(b"\n"):
            yield block
            continue
        whole, newline, begun = block.rpartition(b"\n")
        line = begun + stream.readline(MOST_BYTES)
        if len(line.removesuffix(b"\n")) <= MOST_BYTES:
            yield whole + newline + line
            continue
        if whole:
            yield whole + newline
        while not line.endswith(b"\n") and line:
            line = stream.readline(MOST_BYTES)
        yield None


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
