"""How commands speak: facts to stdout (a table, or one JSON document), everything else to stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from dlcat import locations
from dlcat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from dlcat.fetch.records import Record
    from dlcat.readers.hearing import Heard
    from dlcat.workspace import Workspace


def document(content: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(content, indent=2, ensure_ascii=False))


def text(content: str) -> None:
    """Print a drawn text, which ends its own lines."""
    sys.stdout.write(content if content.endswith("\n") else f"{content}\n")


def warning(content: str) -> None:
    """Print what the user should know although the command goes on."""
    print(f"warning: {content}", file=sys.stderr)


def progress(content: str) -> None:
    """Print how far a command has come."""
    print(content, file=sys.stderr)


def console() -> Console | None:
    """What draws on stdout, or None where it is a pipe or a file."""
    from dlcat.view import page

    return page.terminal(sys.stdout, color=locations.color_wanted())


def language(wanted: str | None) -> str:
    """The language that --lang asks for, or the locale's.

    Raises:
        UsageError: it is neither en nor zh.
    """
    chosen = wanted or locations.language()
    if chosen not in ("en", "zh"):
        raise UsageError(f"--lang {chosen}: expected en or zh")
    return chosen


def draw(records: Iterable[Record]) -> list[Record]:
    """Show fetch records on stderr as they come; all but the steps of a download are returned."""
    from dlcat.fetch.records import Moved
    from dlcat.view.progress import FetchProgress

    kept: list[Record] = []
    with FetchProgress(sys.stderr) as progress:
        for record in records:
            progress.show(record)
            if not isinstance(record, Moved):
                kept.append(record)
    return kept


def hear(records: Iterable[Heard]) -> None:
    """Show how far the decoding of sounds is, on a terminal."""
    from dlcat.view.progress import SoundProgress

    with SoundProgress(sys.stderr) as progress:
        for record in records:
            progress.show(record.name, record.done, record.of)


def workspace(catalogs: Any, cache: Any) -> Workspace:
    """The workspace that --catalog and --cache describe."""
    from dlcat.workspace import here

    return here(catalogs=tuple(catalogs or ()), cache=cache)
