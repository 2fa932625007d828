"""wikitext: Wikipedia in the forms used to model language: WikiText's tokens, enwik8 and its relatives, and the dump."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from dlcat.readers.dump_pages import dump_pages
from dlcat.readers.examples import Bad, Example, expect, for_split, reader
from dlcat.readers.text_files import opened, text_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dlcat.readers.text_files import Line

Part = Literal[
    "wikitext-2", "wikitext-103", "wikitext-2-raw", "wikitext-103-raw", "enwik8", "enwik9", "text8", "dump-latest"
]
SPLITS = {"train": (0.0, 0.9), "valid": (0.9, 0.95), "test": (0.95, 1.0)}
"""What the field takes of enwik8 and text8, which have no official split: 90 %, 5 % and 5 % of the bytes, in whole
characters."""
DUMP = "enwiki-latest-pages-articles.xml.bz2"
PIECE_BYTES = 1 << 16
_CONTINUATION = bytes(range(0x80, 0xC0))
MOST_SIGNS = 1 << 22
"""Of one article."""


@reader(gives="records")
def wikitext(folder: Path, split: str, *, part: Part = "wikitext-2") -> Iterator[Example | Bad]:
    """Articles with their headings and paragraphs (Merity et al. 2016, arXiv:1609.07843); `part` takes another form.

    A record of WikiText has `title` and `sections`, each with `level` (1 for the title's), `heading` and `paragraphs`.
    Of enwik8, enwik9 and text8 it is a piece of the text with its `offset` in bytes: all pieces of a split, one after
    another, are its bytes. Of the dump it is a page: `title`, `id` and `text` in wiki markup; all of it is `train`.
    """
    hint = f"dlcat fetch wikipedia --part {part}"
    if part.startswith("wikitext"):
        ending = for_split(split, dict.fromkeys(SPLITS, "raw" if part.endswith("raw") else "tokens"))
        return _articles(text_lines(folder / part / f"wiki.{split}.{ending}", folder, hint=hint))
    if part == "dump-latest":
        return dump_pages(folder / for_split(split, {"train": DUMP}), hint)
    return _pieces(folder / part, *for_split(split, SPLITS), hint)


@dataclass(slots=True)
class _Article:
    """What has been read of an article so far."""

    place: str
    title: str
    sections: list[dict[str, Any]] = field(default_factory=list)
    signs: int = 0
    fault: Bad | None = None

    def add(self, text: str, level: int) -> None:
        """A heading of some level, or a paragraph, which has none."""
        self.signs += len(text)
        if self.signs > MOST_SIGNS:
            self.fault = Bad(self.place, f"an article of at most {MOST_SIGNS} characters", "a longer one")
        elif level:
            self.sections.append({"level": level, "heading": text, "paragraphs": []})
        else:
            self.sections[-1]["paragraphs"].append(text)

    def example(self) -> Example | Bad:
        return self.fault or Example({"title": self.title, "sections": self.sections}, None, self.place)


def _articles(lines: Iterable[Line | Bad]) -> Iterator[Example | Bad]:
    """The lines of each article put together; one that holds a line that cannot be read is `Bad` as a whole."""
    article: _Article | None = None
    for line, level in _with_levels(lines):
        if isinstance(line, Bad):
            if article is None:
                yield line
            else:
                article.fault = article.fault or line
            continue
        place, text = line
        if level == 1:
            if article is not None:
                yield article.example()
            article = _Article(place, _heading(text))
        if article is None:
            yield Bad(place, "a title such as ' = Title = '", repr(text[:60]))
        else:
            article.add(_heading(text) if level else text.strip(), level)
    if article is not None:
        yield article.example()


def _with_levels(lines: Iterable[Line | Bad]) -> Iterator[tuple[Line | Bad, int]]:
    """Every line that is not empty, with its level as a heading: between empty lines, and in as many = on both sides.

    Formulas have lines that begin and end with = too, but stand within paragraphs.
    """
    held: Line | Bad | None = None
    after_empty = held_after_empty = True
    for line in lines:
        empty = not isinstance(line, Bad) and not line[1].strip()
        if held is not None:
            yield held, _level(held) if held_after_empty and empty else 0
        held, held_after_empty = (None if empty else line), after_empty
        after_empty = empty
    if held is not None:
        yield held, 0


def _level(line: Line | Bad) -> int:
    if isinstance(line, Bad):
        return 0
    words = line[1].split()
    level = 0
    while 2 * level + 2 < len(words) and words[level] == words[-1 - level] == "=":
        level += 1
    return level


def _heading(text: str) -> str:
    return text.strip(" =")


def _pieces(path: Path, first: float, last: float, hint: str) -> Iterator[Example | Bad]:
    """The text between two shares of a file, in pieces that end with a line or a word.

    Raises:
        VerificationError: the file is not there.
    """
    name = path.name
    with opened(path, hint) as stream:
        size = stream.seek(0, 2)
        expect(size > 0, path, "text", "an empty file")
        start, end = (_next_character(stream, round(size * share)) for share in (first, last))
        while start < end:
            stop = _piece_end(stream, start, end)
            stream.seek(start)
            yield _piece(stream.read(stop - start), start, name)
            start = stop


def _piece_end(stream: BinaryIO, start: int, end: int) -> int:
    if end - start <= PIECE_BYTES:
        return end
    stream.seek(start)
    content = stream.read(PIECE_BYTES)
    length = max(content.rfind(b"\n"), content.rfind(b" ")) + 1
    return start + length if length else _next_character(stream, start + PIECE_BYTES)


def _next_character(stream: BinaryIO, position: int) -> int:
    """The first position from here on where a character of UTF-8 may begin: three bytes further at most."""
    stream.seek(position)
    following = stream.read(3)
    return position + len(following) - len(following.lstrip(_CONTINUATION))


def _piece(content: bytes, offset: int, name: str) -> Example | Bad:
    try:
        return Example({"offset": offset, "text": content.decode()}, None, name)
    except UnicodeDecodeError as error:
        byte = content[error.start]
        return Bad(name, "UTF-8", f"byte 0x{byte:02x} at byte {offset + error.start + 1} of the file")
