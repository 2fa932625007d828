"""sentiment140: tweets in two CSV files without a header, labelled by the emoticon they held (Go et al. 2009)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcat.readers.csv_rows import csv_rows
from dlcat.readers.examples import Bad, Example, for_split, reader
from dlcat.readers.text_files import text_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POLARITIES = {"0": "negative", "2": "neutral", "4": "positive"}
SPLITS = {
    "train": ("training.1600000.processed.noemoticon.csv", ("0", "4")),
    "test": ("testdata.manual.2009.06.14.csv", ("0", "2", "4")),
}
"""The file of each split, and the polarities that stand in it: emoticons tell of no neutral tweet."""
COLUMNS = 6


@reader(gives="texts")
def sentiment140(folder: Path, split: str) -> Iterator[Example | Bad]:
    """Rows of polarity, id, date, query, user and text, in Latin-1; the group is the user (Go et al. 2009).

    HTML entities such as `&amp;` are left in the text.
    """
    file, known = for_split(split, SPLITS)
    for row in csv_rows(text_lines(folder / file, folder, encoding="latin-1"), COLUMNS):
        if isinstance(row, Bad):
            yield row
            continue
        place, (polarity, _, _, _, user, text) = row
        if polarity in known:
            yield Example(text, POLARITIES[polarity], place, user)
        else:
            yield Bad(place, f"a polarity of {', '.join(known)}", repr(polarity[:20]))
