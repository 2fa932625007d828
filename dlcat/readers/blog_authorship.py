"""blog_authorship: posts of bloggers, a file per author that looks like XML and is none (Schler et al. 2006)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from dlcat.readers.examples import Bad, Example, expect, for_split, reader
from dlcat.readers.text_files import numbered_files, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INSIDE = "blogs"
AGES = {"10s": range(13, 18), "20s": range(23, 28), "30s": range(33, 49)}
"""The three groups, with nobody between them; the paper names 33 to 47, and the files have some of 48."""
DATE = b"<date>"
MOST_BYTES = 1 << 26
"""Of one author's file."""
NAME = "a name ID.GENDER.AGE.INDUSTRY.SIGN.xml with the gender female or male and the age 13-17, 23-27 or 33-48"


@dataclass(frozen=True, slots=True)
class Author:
    """What the name of a file tells of who wrote it."""

    file: str
    id: str
    gender: str
    age: str
    """The group."""


@reader(gives="texts")
def blog_authorship(
    folder: Path,
    split: str,
    *,
    target: Literal["gender", "age", "author"] = "gender",
    authors: Annotated[int, Ge(2)] = 50,
) -> Iterator[Example | Bad]:
    """Posts in blogs/ID.GENDER.AGE.INDUSTRY.SIGN.xml, each with its author as group (Schler et al. 2006).

    For `gender` and `age` a fair split has an author on one side only, hence the group. For `author`, which is one of
    the `authors` with most posts, by their rank, every author must stand on both sides: there is no group, and a fair
    split gives the posts of each in their order, the later ones to the test, since posts of one day speak of one thing.
    A post is UTF-8 where it can be, else Windows-1252, else Latin-1. Links are the word urllink, as upstream has them.
    """
    for_split(split, {"all": None})
    ranks = _ranks(folder, authors) if target == "author" else {}
    for file in numbered_files(folder / INSIDE, "files ID.GENDER.AGE.INDUSTRY.SIGN.xml"):
        author = _author(file)
        if isinstance(author, Bad):
            yield author
        elif target != "author":
            told = author.gender if target == "gender" else author.age
            yield from _posts(folder, author.file, told, author.id)
        elif author.id in ranks:
            yield from _posts(folder, author.file, ranks[author.id], "")


def _author(file: str) -> Author | Bad:
    place, parts = f"{INSIDE}/{file}", file.split(".")
    if len(parts) == 6 and parts[5] == "xml" and parts[1] in ("female", "male") and parts[0].isdecimal():
        for group, ages in AGES.items():
            if parts[2] in map(str, ages):
                return Author(place, parts[0], parts[1], group)
    return Bad(place, NAME, file)


def _ranks(folder: Path, authors: int) -> dict[str, int]:
    """The authors with most posts, by their rank from 0; of two with as many, the lower id comes first."""
    counts = []
    for file in numbered_files(folder / INSIDE, "files ID.GENDER.AGE.INDUSTRY.SIGN.xml"):
        author = _author(file)
        if not isinstance(author, Bad):
            posts = sum(isinstance(each, Example) for each in _posts(folder, author.file, 0, ""))
            counts.append((-posts, int(author.id), author.id))
    expect(len(counts) >= authors, folder / INSIDE, f"{authors} authors or more", len(counts))
    return {author: rank for rank, (_, _, author) in enumerate(sorted(counts)[:authors])}


def _posts(folder: Path, file: str, target: str | int, group: str) -> Iterator[Example | Bad]:
    """The posts of a file, in its order: what stands between `<post>` and `</post>` after a `<date>`.

    The text within is no XML: its signs are not escaped, so every mark is looked for by itself, once.
    """
    with opened(folder / file) as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        yield Bad(file, f"at most {MOST_BYTES} bytes", "more")
        return
    start = content.find(DATE)
    if start < 0:
        yield Bad(file, "posts, each after its <date>", "none")
    line = 1 + content.count(b"\n", 0, max(start, 0))
    while start >= 0:
        end = content.find(DATE, start + len(DATE))
        entry = content[start:end] if end >= 0 else content[start:]
        yield _post(entry, f"{file}:{line}", target, group)
        line += entry.count(b"\n")
        start = end


def _post(entry: bytes, place: str, target: str | int, group: str) -> Example | Bad:
    _, opening, rest = entry.partition(b"<post>")
    text, closing, _ = rest.rpartition(b"</post>")
    if not opening or not closing:
        return Bad(place, "<post> and </post> after the date", f"no {'</post>' if opening else '<post>'}")
    return Example(_decoded(text).strip(), target, place, group)


def _decoded(text: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return text.decode(encoding)
        except UnicodeDecodeError:
            continue
    return text.decode("latin-1")
