"""Comma-separated values of which every row is one line, as RFC 4180 quotes them; a quote that is missing has a line."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from dlcat.readers.examples import Bad

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dlcat.readers.text_files import Line

    Row = tuple[str, list[str]]
    """Where a row is (`file:line`), and its fields."""


def csv_rows(lines: Iterable[Line | Bad], columns: int) -> Iterator[Row | Bad]:
    """The rows of so many fields; `Bad` stands for a line that is none. Empty lines are passed over.

    The parser of the standard library is given one line at a time and no other when it asks for more, as it does within
    quotes: so a quote that is missing costs its own line, and not all that follow up to the next one.
    """
    waiting: list[str] = []
    parse = csv.reader(iter(waiting.pop, None), strict=True).__next__
    for line in lines:
        if isinstance(line, Bad):
            yield line
            continue
        place, text = line
        waiting.append(text)
        try:
            fields = parse()
        except IndexError:  # nothing is waiting any more
            yield Bad(place, "a quote that closes the last field", "the end of the line")
        except csv.Error as error:
            yield Bad(place, "comma-separated fields, whole ones in quotes or none", str(error))
        else:
            if len(fields) == columns:
                yield place, fields
            elif fields:
                yield Bad(place, f"{columns} fields", f"{len(fields)}")
