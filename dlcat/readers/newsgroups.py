"""newsgroups: messages to Usenet groups, a folder per group and a file per message (Lang 1995)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Literal

from dlcat.errors import VerificationError
from dlcat.readers.examples import Bad, Example, expect, for_split, reader
from dlcat.readers.text_files import numbered_files, whole_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Giveaway = Literal["headers", "footers", "quotes"]
BYDATE = "dlcat fetch twenty-newsgroups"
SPLITS = {
    "train": (("20news-bydate-train",), BYDATE),
    "test": (("20news-bydate-test",), BYDATE),
    "all-18828": (("20news-18828",), f"{BYDATE} --part all-18828"),
    # UCI's archive holds another, which unpacks into a folder of its own.
    "all-19997": (("20_newsgroups", "20_newsgroups/20_newsgroups"), f"{BYDATE} --part all-19997"),
}
"""Where the groups of each split are, and how to get them."""
_QUOTE = re.compile(r"^(?:>|\||In article|Quoted from)|writes in|writes:|wrote:|says:|said:")


@reader(gives="texts")
def newsgroups(folder: Path, split: str, *, strip: tuple[Giveaway, ...] = ()) -> Iterator[Example | Bad]:
    """Messages in <packing>/<group>/<number>, in Latin-1; `strip` takes off what betrays the group beside the text.

    Headers end with the first empty line; a footer begins with the last line that is empty or only hyphens; quotes are
    the lines that are marked as such, and those that introduce them. That is what the field means since scikit-learn
    took them off (`fetch_20newsgroups(remove=...)`), and they are taken off in this order, however they are named.
    """
    places, hint = for_split(split, SPLITS)
    top = _top(folder, places, hint)
    groups = sorted(each.name for each in os.scandir(folder / top) if each.is_dir() and not each.name.startswith("."))
    expect(len(groups) > 0, folder / top, "a folder for every group", "none")
    for group in groups:
        for name in numbered_files(folder / top / group, "messages"):
            yield _message(folder, f"{top}/{group}/{name}", strip)


def _top(folder: Path, places: tuple[str, ...], hint: str) -> str:
    """The innermost of these folders that is there."""
    for place in reversed(places):
        if (folder / place).is_dir():
            return place
    raise VerificationError(f"{folder / places[0]}: expected a folder with one folder per group, found none", hint=hint)


def _message(folder: Path, place: str, strip: tuple[Giveaway, ...]) -> Example | Bad:
    group, name = place.split("/")[-2:]
    if not (name.isascii() and name.isdigit()):
        return Bad(place, "a message's number for a name", name)
    text = whole_text(folder, place, encoding="latin-1")
    if isinstance(text, Bad):
        return text
    for giveaway, without in WITHOUT.items():
        if giveaway in strip:
            text = without(text)
    return Example(text, group, place)


def without_headers(text: str) -> str:
    """What follows the first empty line; nothing where there is none."""
    return text.partition("\n\n")[2]


def without_footers(text: str) -> str:
    """What comes before the last line that is empty or only hyphens; all of it where that is the first line or none is."""
    lines = text.strip().split("\n")
    last = next((number for number in reversed(range(len(lines))) if not lines[number].strip().strip("-")), 0)
    return "\n".join(lines[:last]) if last else text


def without_quotes(text: str) -> str:
    """The lines that are no quotes, and do not introduce any."""
    return "\n".join(line for line in text.split("\n") if not _QUOTE.search(line))


WITHOUT = {"headers": without_headers, "footers": without_footers, "quotes": without_quotes}
