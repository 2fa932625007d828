"""What the fault server has behind its paths: bytes and files by name, a folder, another server's files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dlcat.testing import protocol
from dlcat.testing.content import FIRST_MODIFIED_SECONDS, Content

if TYPE_CHECKING:
    from dlcat.testing.records import Request
    from dlcat.testing.upstream import Upstream

REPLACED_LATER_SECONDS = 3600.0


class Shelf:
    """The content of every path, looked at anew for each request.

    Args:
        files: path to its bytes or to a file on the disk; or a folder, whose files are all there.

    Raises:
        ValueError: the folder is none.
    """

    def __init__(self, files: Mapping[str, bytes | Path] | Path | str | None) -> None:
        named = files if isinstance(files, Mapping) else {}
        self._folder = None if files is None or isinstance(files, Mapping) else _folder(Path(files))
        self._files: dict[str, Content | Path | None] = {
            protocol.key(name): source if isinstance(source, Path) else Content(source)
            for name, source in named.items()
        }
        self._lock = Lock()
        self.upstream: Upstream | None = None
        """Asked for what is not here."""

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def replace(self, name: str, content: bytes | Path) -> Content:
        """Change what a path holds, or add it: other bytes, other validators."""
        with self._lock:
            before = self._files.get(name)
            later = before.modified_seconds + REPLACED_LATER_SECONDS if isinstance(before, Content) else None
            new = Content(content, modified_seconds=FIRST_MODIFIED_SECONDS if later is None else later)
            self._files[name] = content if isinstance(content, Path) else new
            return new

    def remove(self, name: str) -> None:
        """From now on nothing is at this path."""
        with self._lock:
            self._files[name] = None

    def find(self, request: Request) -> Content | int:
        """What the path holds now, or the status of an answer without it."""
        with self._lock:
            is_named = request.path in self._files
            found = self._files.get(request.path)
        if isinstance(found, Content):
            return found
        path = found if is_named else self._inside(request.path)
        if path is not None and path.is_file():
            return Content(path)
        if self.upstream is not None and not is_named:
            parts = urlsplit(request.target)
            return self.upstream.get(f"{parts.path}?{parts.query}" if parts.query else parts.path)
        return 404

    def _inside(self, path: str) -> Path | None:
        """The place of a path in the served folder; None where it leads out, or cannot be one."""
        if self._folder is None:
            return None
        try:
            found = (self._folder / path).resolve()
            return found if found.is_relative_to(self._folder) else None
        except (OSError, ValueError):  # too long, a NUL
            return None


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"{path}: expected a folder to serve, found {'a file' if path.exists() else 'nothing'}")
    return path.resolve()
