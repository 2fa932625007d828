"""Another server's files, each fetched once and kept, so that the fault server can stand before any mirror."""

from __future__ import annotations

import shutil
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from threading import Lock
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from dlcat.testing.content import FIRST_MODIFIED_SECONDS, Content

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_SECONDS = 30


def require_url(base: str) -> str:
    """The base without a slash at its end.

    Raises:
        ValueError: it is no http(s) URL.
    """
    if urlsplit(base).scheme not in ("http", "https"):
        raise ValueError(f"upstream: expected an http(s) URL, found {base!r}")
    return base.rstrip("/")


class Upstream:
    """The files below a base URL."""

    def __init__(self, base: str, folder: Path) -> None:
        self._base = base
        self._folder = folder
        self._kept: dict[str, Content | int] = {}
        self._lock = Lock()

    def get(self, target: str) -> Content | int:
        """What lies at a path (with its query), whole; or the status that was answered instead, 502 for none."""
        with self._lock:  # one at a time: many connections ask for one file
            if target not in self._kept:
                found = self._fetch(target)
                if isinstance(found, int):
                    return found
                self._kept[target] = found
            return self._kept[target]

    def _fetch(self, target: str) -> Content | int:
        path = self._folder / f"upstream-{len(self._kept)}"
        asked = Request(self._base + target, headers={"Accept-Encoding": "identity", "User-Agent": "dlcat-testing"})
        try:
            with urlopen(asked, timeout=TIMEOUT_SECONDS) as answer, open(path, "wb") as stream:
                shutil.copyfileobj(answer, stream, 2**20)
                headers, is_short = answer.headers, bool(answer.length)  # what was announced and did not come
        except HTTPError as error:
            error.close()
            return error.code
        except (OSError, HTTPException):  # URLError, a connection that breaks, a time that is over
            return 502
        if is_short:
            return 502
        etag, modified = headers["ETag"], headers["Last-Modified"]
        seconds = parsedate_to_datetime(modified).timestamp() if modified else FIRST_MODIFIED_SECONDS
        content = Content(path, etag=None if etag is None or etag.startswith("W/") else etag)
        content.modified_seconds = seconds
        return content
