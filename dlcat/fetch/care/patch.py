"""What to change in a catalog file about URLs that have died: a unified diff, exact to the line.

A dead URL goes behind those that live; where it is last already, it goes altogether; the only one of a file stays, for
there is nothing to put in its place. Nothing but these lines moves: the patched text is read again, and a diff that does
not say exactly what was meant is not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcat import document
from dlcat.errors import InvalidError
from dlcat.fetch.care.links import key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from dlcat.document import Document, Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """What to change in one catalog file."""

    path: Path
    diff: str
    """Unified diff, for `patch -p1` in the file's folder; empty where no line can be changed for the better."""
    by_hand: tuple[str, ...] = ()
    """What a person has to look at: `file:line: dataset.artifacts[0].urls` and why."""


def suggest(paths: Sequence[Path], quarantined: Collection[str]) -> Iterator[Patch]:
    """A patch for each catalog file that names one of the URLs (by their `links.key`).

    Args:
        paths: catalog files as they are merged: a later one replaces entries whole.
        quarantined: keys of the URLs that should not be first any more.

    Raises:
        InvalidError: a file cannot be read.
    """
    replaced: set[str] = set()
    patches = []
    for path in reversed(paths):
        found = document.load(path)
        patch = _patch(path, found, quarantined, replaced)
        replaced |= found.data.keys()
        if patch.diff or patch.by_hand:
            patches.append(patch)
    yield from reversed(patches)


def reordered(urls: Sequence[str], quarantined: Collection[str]) -> list[str] | None:
    """The URLs as they should stand; None where nothing can be done for them.

    >>> reordered(["https://a/f", "https://b/f"], {"https://a/f"})
    ['https://b/f', 'https://a/f']
    >>> reordered(["https://b/f", "https://a/f"], {"https://a/f"})
    ['https://b/f']
    """
    living = [url for url in urls if key(url) not in quarantined]
    wanted = [*living, *(url for url in urls if key(url) in quarantined)]
    if not living:
        return None
    return living if wanted == list(urls) else wanted


def _patch(path: Path, found: Document, quarantined: Collection[str], replaced: Collection[str]) -> Patch:
    with open(path, encoding="utf-8", newline="") as stream:
        before = after = stream.read()
    by_hand = []
    for where, urls in reversed(
        list(_lists(found.data, replaced))
    ):  # from below, so that the lines above keep their numbers
        if not any(key(url) in quarantined for url in urls):
            continue
        wanted = reordered(urls, quarantined)
        changed = None if wanted is None else _changed(after, found, where, urls, wanted)
        if changed is None:
            reason = "there is no other source" if wanted is None else "the list is not written one URL a line"
            by_hand.append(f"{found.at(where)}: {reason}")
        else:
            after = changed
    return Patch(path=path, diff=_diff(path.name, before, after), by_hand=tuple(reversed(by_hand)))


def _lists(data: dict[str, Any], replaced: Collection[str]) -> Iterator[tuple[Where, list[str]]]:
    """Every list of sources, and where it stands."""
    for name, entry in data.items():
        if name not in replaced:
            for position, artifact in enumerate(entry["artifacts"]):
                yield (name, "artifacts", position, "urls"), artifact.get("urls") or []


def _changed(text: str, found: Document, where: Where, urls: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The text with the URLs' lines in the wanted order; None where that would change anything else."""
    lines = text.split("\n")
    numbers = [found.lines[*where, position] - 1 for position in range(len(urls))]
    moved = [lines[numbers[urls.index(url)]] for url in wanted]
    for number, line in zip(numbers, moved, strict=False):
        lines[number] = line
    for number in reversed(numbers[len(moved) :]):
        del lines[number]
    changed = "\n".join(lines)
    return changed if _says(changed, where, wanted, document.parse(text).data) else None


def _says(text: str, where: Where, wanted: Sequence[str], before: dict[str, Any]) -> bool:
    """Whether the text says what it said before, but for this one list."""
    try:
        data = document.parse(text).data
    except InvalidError:
        return False
    holder: Any = before
    for step in where[:-1]:
        holder = holder[step]
    holder[where[-1]] = list(wanted)
    return data == before


def _diff(name: str, before: str, after: str) -> str:
    lines = unified_diff(_lines(before), _lines(after), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    """The lines with their ends; not by `splitlines`, for which other characters end lines, too."""
    whole = [f"{line}\n" for line in text.split("\n")]
    return [*whole[:-1], *([whole[-1][:-1]] if whole[-1] != "\n" else [])]
