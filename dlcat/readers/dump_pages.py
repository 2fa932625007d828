"""dump_pages: the articles of a MediaWiki dump, read line by line out of its bz2 file."""

from __future__ import annotations

import bz2
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlcat.readers.examples import Bad, Example
from dlcat.readers.markup import unescaped
from dlcat.readers.text_files import decoded_lines, opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dlcat.readers.text_files import Line

MOST_SIGNS = 1 << 22
"""Of one page; MediaWiki's own limit is 2 MiB of text."""


@dataclass(slots=True)
class _Page:
    """What has been read of a page so far."""

    place: str
    fields: dict[str, str] = field(default_factory=dict)
    is_redirect: bool = False
    lines: list[str] = field(default_factory=list)
    """Of its text; `text_ended` says that there are no more."""
    text_begun: bool = False
    text_ended: bool = False
    signs: int = 0
    fault: Bad | None = None


def dump_pages(path: Path, hint: str) -> Iterator[Example | Bad]:
    """The pages of namespace 0 that lead nowhere else, in the dump's order, with their markup as it is.

    Raises:
        VerificationError: the file is not there, is no bz2, or breaks off.
    """
    with opened(path, hint) as packed, bz2.BZ2File(packed) as stream:
        yield from pages(decoded_lines(stream, path.name))  # type: ignore[arg-type]  # it has what a binary stream has


def pages(lines: Iterable[Line | Bad]) -> Iterator[Example | Bad]:
    """As `dump_pages`, of lines; one that cannot be read takes its page with it."""
    page: _Page | None = None
    for line in lines:
        if isinstance(line, Bad):
            if page is None:
                yield line
            else:
                page.fault = page.fault or line
            continue
        place, text = line
        if text.strip() == "<page>":  # within a text it would be escaped
            if page is not None:
                yield Bad(page.place, "</page>", f"another page at {place}")
            page = _Page(place)
        elif page is not None and _take(page, text):
            found = _example(page)
            page = None
            if found is not None:
                yield found
    if page is not None:
        yield Bad(page.place, "</page>", "the end of the file")


def _take(page: _Page, text: str) -> bool:
    """Read one line of a page; whether it was its last."""
    page.signs += len(text)
    if page.signs > MOST_SIGNS:
        page.fault = page.fault or Bad(page.place, f"a page of at most {MOST_SIGNS} characters", "a longer one")
        page.lines.clear()
    if page.text_begun and not page.text_ended:
        _take_text(page, text)
        return False
    tag = text.strip()
    if tag.startswith("<text"):
        page.text_begun, content = True, tag.partition(">")
        if content[0].endswith("/"):
            page.text_ended = True
        else:
            _take_text(page, content[2])
    elif tag.startswith("<redirect"):
        page.is_redirect = True
    for name in ("title", "ns", "id"):
        if tag.startswith(f"<{name}>"):  # the revision and its author have ids, too, further down
            page.fields.setdefault(name, unescaped(tag.removeprefix(f"<{name}>").removesuffix(f"</{name}>")))
    return tag == "</page>"


def _take_text(page: _Page, text: str) -> None:
    content, end, _ = text.partition("</text>")
    page.text_ended = bool(end)
    if page.fault is None:
        page.lines.append(content)


def _example(page: _Page) -> Example | Bad | None:
    """The page, or why it is none; nothing for one that is no article."""
    if page.fault is not None:
        return page.fault
    missing = {"title", "ns", "id"} - set(page.fields)
    if missing or not page.text_ended:
        return Bad(page.place, "a page with title, ns, id and text", f"no {', '.join(sorted(missing)) or 'text'}")
    if page.fields["ns"] != "0" or page.is_redirect:
        return None
    record = {"title": page.fields["title"], "id": page.fields["id"], "text": unescaped("\n".join(page.lines))}
    return Example(record, None, page.place)
