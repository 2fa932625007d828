"""Which members of an archive a slice takes: by patterns over their paths, by a sample of them, or both.

A pattern is a path in which `*` and `?` stand for anything but a slash, `[...]` for one of some signs, and `**` for any
folders. What it matches is taken with everything below it; without a slash in it, it may match at any depth.

A sample of N are the N paths whose SHA-256 is smallest (a bottom-k sketch, Broder 1997). So it is the same on every
machine and for every order of the archive, is spread evenly over its folders, and is part of every larger sample.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from fnmatch import translate
from heapq import nsmallest
from typing import TYPE_CHECKING

from dlcat.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

LISTED_NAMES = 12
"""So many names are told at most where none is close."""

_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", re.DOTALL)
_MEANINGS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked of an archive."""

    only: tuple[str, ...] = ()
    """Patterns, of which one must match; empty for all members."""
    sample: int | None = None
    """So many of those, of each archive; None for all."""

    def taken(self, paths: Iterable[str]) -> list[str]:
        """Those of the paths that are to be taken, in their order where all that match are."""
        matching = matcher(self.only)
        found = [path for path in paths if matching(path)]
        return found if self.sample is None else nsmallest(self.sample, found, key=rank)

    def require_sense(self) -> None:
        """Stop where nothing could ever be meant by it.

        Raises:
            UsageError: a pattern without a name, or a sample of nothing.
        """
        for pattern in self.only:
            if not pattern.strip("/"):
                raise UsageError(f"--only {pattern!r}: expected a path, or a pattern such as 'images/*.png'")
            if pattern.startswith("../") or "/../" in pattern:
                raise UsageError(f"--only {pattern!r}: '..' is in no archive", hint="write the path as in the archive")
        if self.sample is not None and self.sample < 1:
            raise UsageError(f"--sample {self.sample}: expected at least 1 file")


def matcher(patterns: Collection[str]) -> Callable[[str], bool]:
    """Tells whether a path is matched by one of the patterns, itself or by a folder above it; by none: every path.

    >>> found = matcher(("small/00?/*", "*.csv"))
    >>> [path for path in ("small/001/a.mp3", "small/01/a.mp3", "meta/deep/tracks.csv", "csv/b") if found(path)]
    ['small/001/a.mp3', 'meta/deep/tracks.csv']
    """
    expression = re.compile("|".join(map(_expression, patterns)) or ".*", re.DOTALL)
    return lambda path: expression.fullmatch(path) is not None


def rank(path: str) -> bytes:
    """The place of a path in the order that samples are taken in."""
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()


def near(pattern: str, paths: Collection[str]) -> str:
    """A hint that names what is there in the place where the pattern leads away from the paths.

    >>> near("fma_smal/000/*", ["fma_small/000/2.mp3", "fma_small/001/3.mp3"])
    "did you mean 'fma_small'?"
    """
    parts = pattern.strip("/").split("/")
    folder, inside = "", list(paths)
    for part in parts if len(parts) > 1 else ():
        matching = matcher((f"/{part}",))
        kept = [path for path in inside if matching(path)]
        if not kept or part == "**":
            break
        folder, inside = f"{folder}{part}/", [path.partition("/")[2] for path in kept if "/" in path]
    else:
        part = parts[-1]
    names = {path.partition("/")[0] for path in inside}
    close = nearest(part, names)
    if close.startswith("did you mean"):
        return close if not folder else f"{close} (in {folder})"
    listed = sorted(names)
    more = f", and {len(listed) - LISTED_NAMES} more" if len(listed) > LISTED_NAMES else ""
    return f"{folder or 'it'} holds {', '.join(listed[:LISTED_NAMES]) or 'nothing'}{more}"


def _expression(pattern: str) -> str:
    trimmed = pattern.removeprefix("./").rstrip("/")
    start = "" if "/" in trimmed else "(?:.*/)?"
    return f"{start}{''.join(map(_meaning, _PARTS.findall(trimmed.lstrip('/'))))}(?:/.*)?"


def _meaning(part: str) -> str:
    if part in _MEANINGS:
        return _MEANINGS[part]
    if len(part) == 1:
        return re.escape(part)
    return f"(?!/){translate(part)[len('(?s:') :].rpartition(')')[0]}"  # brackets, as the standard library reads them
