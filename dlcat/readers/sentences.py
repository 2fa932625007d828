"""Sentences and their translations, in the four forms that corpora come in: two files of lines, columns, SGML and TMX."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from dlcat.errors import VerificationError
from dlcat.readers.examples import Bad
from dlcat.readers.markup import opening, unescaped
from dlcat.readers.text_files import MISSING, text_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Pair = tuple[str, str, str, str]
    """Where it is, the two sentences, and the document they are from, or nothing."""
    Segment = tuple[str, str, str, str]
    """Where it is, its document and number, and its text."""


def line_pairs(first: Path, second: Path, folder: Path, hint: str = MISSING) -> Iterator[Pair | Bad]:
    """Two files of as many lines, one sentence each.

    Raises:
        VerificationError: one is not there, or has fewer lines than the other, so that all may be shifted.
    """
    sides = zip_longest(text_lines(first, folder, hint=hint), text_lines(second, folder, hint=hint))
    for number, (one, other) in enumerate(sides, 1):
        if one is None or other is None:
            short, long = (first, second) if one is None else (second, first)
            raise VerificationError(
                f"{short}: expected as many lines as {long.name}, found {number - 1}",
                hint="fetch it again with `dlcat fetch NAME --force`",
            )
        if isinstance(one, Bad) or isinstance(other, Bad):
            yield one if isinstance(one, Bad) else other  # type: ignore[misc]
        else:
            yield one[0], one[1].strip(), other[1].strip(), ""


def column_pairs(path: Path, folder: Path, separator: str, hint: str = MISSING) -> Iterator[Pair | Bad]:
    """One file with both sentences on a line."""
    for line in text_lines(path, folder, hint=hint):
        if isinstance(line, Bad):
            yield line
            continue
        place, text = line
        columns = text.split(separator)
        if len(columns) == 2:
            yield place, columns[0].strip(), columns[1].strip(), ""
        else:
            yield Bad(place, f"two sentences with {separator!r} between them", f"{len(columns)} columns")


def sgml_pairs(first: Path, second: Path, folder: Path, hint: str = MISSING) -> Iterator[Pair | Bad]:
    """Two SGML files of as many segments; document and number of a segment must be those of its translation.

    Raises:
        VerificationError: one is not there, or has fewer segments than the other.
    """
    for one, other in zip_longest(_segments(first, folder, hint), _segments(second, folder, hint)):
        if one is None or other is None:
            short, long = (first, second) if one is None else (second, first)
            raise VerificationError(
                f"{short}: expected as many segments as {long.name}, found fewer",
                hint="fetch it again with `dlcat fetch NAME --force`",
            )
        if isinstance(one, Bad) or isinstance(other, Bad):
            yield one if isinstance(one, Bad) else other
        elif one[1:3] != other[1:3]:
            expected, found = (f"segment {each[2]} of document {each[1]}" for each in (one, other))
            yield Bad(other[0], expected, found)
        else:
            yield one[0], one[3], other[3], one[1]


def _segments(path: Path, folder: Path, hint: str) -> Iterator[Segment | Bad]:
    """Upstream writes a segment on a line; its files are no XML, since some text is escaped and some is not."""
    document = ""
    for line in text_lines(path, folder, hint=hint):
        if isinstance(line, Bad):
            yield line
            continue
        place, text = line
        if begun := opening(text, "doc", " docid") or opening(text, "DOC", " docid"):
            document = begun[0]
        if "<seg" not in text:
            continue
        tag, end = opening(text, "seg", " id"), text.rfind("</seg>")
        if tag is None or end < tag[1]:
            yield Bad(place, '<seg id="..."> and </seg> on one line', repr(text.strip()[:60]))
        else:
            yield place, document, tag[0], unescaped(text[tag[1] : end].strip())


def tmx_pairs(path: Path, folder: Path, languages: tuple[str, str], hint: str = MISSING) -> Iterator[Pair | Bad]:
    """A translation memory as OPUS writes it: units of variants, each on a line with its language and its segment."""
    begun, variants = "", dict[str, str]()
    for line in text_lines(path, folder, hint=hint):
        if isinstance(line, Bad):
            yield line
            continue
        place, text = line
        if "<tu>" in text or "<tu " in text:
            begun, variants = place, {}
        if begun and (tag := opening(text, "tuv", "lang")) and tag[0] in languages:
            _, _, segment = text[tag[1] :].partition("<seg>")
            segment, closed, _ = segment.partition("</seg>")
            if closed:
                variants[tag[0]] = unescaped(segment).strip()
        if "</tu>" in text and begun:
            if variants.keys() >= set(languages):
                yield begun, variants[languages[0]], variants[languages[1]], ""
            else:
                yield Bad(begun, f"a unit in {' and '.join(languages)}", f"one in {', '.join(variants) or 'none'}")
            begun = ""
    if begun:
        yield Bad(begun, "</tu>", "the end of the file")
