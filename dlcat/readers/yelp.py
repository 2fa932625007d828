"""yelp: reviews with their stars, as the CSV files of Zhang et al. (2015) or as the lines of JSON that Yelp gives out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from dlcat.errors import InvalidError
from dlcat.readers.csv_rows import csv_rows
from dlcat.readers.examples import Bad, Example, for_split, reader
from dlcat.readers.text_files import text_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlcat.readers.text_files import Line

SETS = {"stars": ("yelp_review_full_csv", "full", 5), "polarity": ("yelp_review_polarity_csv", "polarity", 2)}
"""Folder, part of the catalog and number of classes behind each target."""
OPEN_FILE = "yelp_academic_dataset_review.json"


@reader(gives="texts")
def yelp(
    folder: Path, split: str, *, target: Literal["stars", "polarity"] = "stars", unescape: bool = True
) -> Iterator[Example | Bad]:
    """Reviews and their stars (Review Full), or whether they are positive (Review Polarity; Zhang et al. 2015, arXiv:1509.01626).

    In the CSV files a line break is written as backslash and n, a quote as backslash and quote: `unescape` turns both
    back. The split `open` is Yelp's own dataset, lines of JSON, with the business as group; the CSV files tell of none.
    """
    file = for_split(split, {"train": "train.csv", "test": "test.csv", "open": OPEN_FILE})
    if split == "open":
        if target != "stars":
            raise InvalidError("Yelp's own dataset has stars only", hint="the splits train and test have polarity")
        hint = "`dlcat show yelp` says how to get Yelp's own dataset"
        for line in text_lines(folder / file, folder, hint=hint):
            yield line if isinstance(line, Bad) else _object(line)
        return
    inside, part, classes = SETS[target]
    lines = text_lines(folder / inside / file, folder, hint=f"dlcat fetch yelp --part {part}")
    labels = {str(number + 1): number for number in range(classes)}
    for row in csv_rows(lines, 2):
        if isinstance(row, Bad):
            yield row
            continue
        place, (label, text) = row
        if label in labels:
            yield Example(_unescaped(text) if unescape else text, labels[label], place)
        else:
            yield Bad(place, f"a class from 1 to {classes}", repr(label[:20]))


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n").replace('\\"', '"') if "\\" in text else text


def _object(line: Line) -> Example | Bad:
    """A review as Yelp itself gives it out."""
    place, text = line
    try:
        review: dict[str, Any] = json.loads(text)
        stars, words, business = review["stars"], review["text"], review["business_id"]
        words.encode()  # escapes may make halves of signs, which no file can hold
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Bad(place, "an object with stars, text and business_id", f"{type(error).__name__}: {str(error)[:100]}")
    if type(stars) not in (int, float) or stars not in (1, 2, 3, 4, 5) or not isinstance(business, str):
        return Bad(place, "1 to 5 stars and a business", f"stars {stars!r:.20}, business {business!r:.40}")
    return Example(words, int(stars) - 1, place, business)
