"""tweets_csv: the tweets of a contest at Analytics Vidhya, in two CSV files with headers (2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcat.readers.csv_rows import csv_rows
from dlcat.readers.examples import Bad, Example, expect, for_split, reader
from dlcat.readers.text_files import text_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPLITS = {
    "train": ("train_E6oV3lV.csv", ["id", "label", "tweet"]),
    "test": ("test_tweets_anuFYb8.csv", ["id", "tweet"]),
}
LABELS = {"0": 0, "1": 1}
BY_HAND = "`dlcat show twitter-sentiment` says where to ask for it"


@reader(gives="texts")
def tweets_csv(folder: Path, split: str, *, repair: bool = False) -> Iterator[Example | Bad]:
    """Rows of id, label and tweet; the contest tells no labels of its test split. A tweet is the group of its repetitions.

    Signs that are not ASCII were encoded twice; `repair` decodes them once more where that gives text.
    """
    file, header = for_split(split, SPLITS)
    rows = csv_rows(text_lines(folder / file, folder, hint=BY_HAND), len(header))
    first = next(rows, "an empty file")
    found = str(first) if isinstance(first, str | Bad) else ",".join(first[1])
    expect(found == ",".join(header), folder / file, f"the header {','.join(header)}", found[:100])
    for row in rows:
        if isinstance(row, Bad):
            yield row
            continue
        place, (_, *label, text) = row
        if label and label[0] not in LABELS:
            yield Bad(place, "the label 0 or 1", repr(label[0][:20]))
        else:
            target = LABELS[label[0]] if label else None
            yield Example(_decoded_once_more(text) if repair else text, target, place, text)


def _decoded_once_more(text: str) -> str:
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
