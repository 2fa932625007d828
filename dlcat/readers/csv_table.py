"""CSV files with a header: fields by their columns' names, quoted ones over several lines, and a bad row spoils no other."""

from __future__ import annotations

import csv
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING

from dlcat.errors import VerificationError
from dlcat.readers.examples import Bad
from dlcat.readers.text_files import opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LINE_BYTES = 1 << 20
"""A longer line is no row."""
ROW_LINES = 100
"""A quoted field goes over no more of them: its closing quote is missing."""


@dataclass(frozen=True, slots=True)
class Row:
    """The fields that were asked for, in that order."""

    line: int
    """On which it begins; the header's is 1."""
    values: list[str]


def rows(
    path: Path, columns: Sequence[str], *, place: str = "", header_rows: int = 1, row_lines: int = ROW_LINES
) -> Iterator[Row | Bad]:
    """The rows of a UTF-8 file with a header.

    A quote that is never closed costs the row in which it stands, and no other.

    Args:
        path: of the file.
        columns: names in its header, of the fields to give; it may have others.
        place: what `Bad` calls the file; nothing: its name.
        header_rows: of which the header consists; a column's name is what they say of it, joined by dots.
        row_lines: over which a quoted field goes at most; beyond, its closing quote is missing.

    Raises:
        VerificationError: the file cannot be read, or its header lacks a column.
    """
    place = place or path.name
    with opened(path) as stream:
        records = _records(stream, place, row_lines)
        header = _header(list(islice(records, header_rows)), columns, path)
        chosen = [header.index(name) for name in columns]
        for record in records:
            yield _chosen(record, chosen, len(header), place)


def _header(found: list[Row | Bad], columns: Sequence[str], path: Path) -> list[str]:
    """The names of all columns."""
    bad = next((row.found for row in found if isinstance(row, Bad)), "" if found else "an empty file")
    told = zip(*(row.values for row in found if isinstance(row, Row)), strict=False)
    names = [".".join(filter(None, parts)) for parts in told]
    if bad or not set(columns) <= set(names):
        found_instead = bad or ",".join(names)[:200]
        raise VerificationError(f"{path}: expected a header with {','.join(columns)}, found {found_instead}")
    return names


def _chosen(record: Row | Bad, chosen: list[int], width: int, place: str) -> Row | Bad:
    if isinstance(record, Bad):
        return record
    if len(record.values) != width:
        return Bad(f"{place}:{record.line}", f"{width} fields, as in the header", f"{len(record.values)}")
    return Row(record.line, [record.values[position] for position in chosen])


def _records(stream: IO[bytes], place: str, row_lines: int) -> Iterator[Row | Bad]:
    """Every record with all its fields; where one cannot be read, reading goes on with its second line."""
    lines = _Lines(stream)
    width = 0
    while (first := lines.take()) is not None:
        number, taken = lines.number, [first]
        is_open = _opens(first)
        while is_open and len(taken) < row_lines and (line := lines.take()) is not None:
            taken.append(line)
            is_open ^= _opens(line)
        record = Bad(f"{place}:{number}", "a closing quote", "none") if is_open else _record(taken, number, place)
        if isinstance(record, Row) and not record.values:
            continue  # an empty line
        width = width or (len(record.values) if isinstance(record, Row) else 0)
        if isinstance(record, Bad) or len(record.values) != width:
            lines.give_back(taken[1:])
        yield record


def _opens(line: bytes) -> bool:
    """Whether a quote is open after the line that was closed before it, and the other way round."""
    return line.count(b'"') % 2 == 1


def _record(taken: list[bytes], number: int, place: str) -> Row | Bad:
    where = f"{place}:{number}"
    if len(taken[0]) > LINE_BYTES:
        return Bad(where, f"a line of at most {LINE_BYTES:,} bytes", "a longer one")
    try:
        found = list(csv.reader([b"".join(taken).decode()], strict=True))
    except UnicodeDecodeError as error:
        return Bad(where, "UTF-8", f"byte 0x{error.object[error.start]:02x}")
    except csv.Error as error:
        return Bad(where, "comma-separated fields, quoted as RFC 4180 has it", str(error))
    if len(found) != 1:
        return Bad(where, "one row", f"{len(found)}") if found else Row(number, [])
    return Row(number, found[0])


class _Lines:
    """The lines of a file, of which some may be given back."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept: deque[bytes] = deque()
        self.number = 0
        """Of the line taken last, from 1."""

    def take(self) -> bytes | None:
        """The next line, or the beginning of one that is too long; None at the end."""
        line = self._kept.popleft() if self._kept else self._read()
        if not line:
            return None
        if not self.number:
            line = line.removeprefix(b"\xef\xbb\xbf")
        self.number += 1
        return line

    def give_back(self, lines: list[bytes]) -> None:
        """They are taken again, before others."""
        self._kept.extendleft(reversed(lines))
        self.number -= len(lines)

    def _read(self) -> bytes:
        line = self._stream.readline(LINE_BYTES + 1)
        while len(line) > LINE_BYTES and not line.endswith(b"\n"):  # pass over the rest
            rest = self._stream.readline(LINE_BYTES)
            if not rest or rest.endswith(b"\n"):
                break
        return line
