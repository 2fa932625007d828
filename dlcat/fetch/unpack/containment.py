"""Which names of members are paths that stay below any folder they are joined to."""

from __future__ import annotations

import os
import re
import unicodedata

from dlcat.errors import VerificationError
from dlcat.fetch.store import OWN_FOLDER

LIMIT_NAME_BYTES = 255
LIMIT_PATH_BYTES = 1024
LIMIT_DEPTH = 64

_DRIVE = re.compile(r"[A-Za-z]:")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def contained(name: str) -> str:
    """A member's name as a path that stays below any folder it is joined to, on any system; '' is the folder itself.

    >>> contained("./images//0001.png")
    'images/0001.png'

    Raises:
        VerificationError: it would leave the folder, write where the store keeps its notes, or is too long.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if "\0" in name or "\\" in name or name.startswith("/") or _DRIVE.match(name) or ".." in parts:
        raise VerificationError(f"member {short(name)} would leave the folder it is unpacked to")
    if parts and folded(parts[0]) == OWN_FOLDER:
        raise VerificationError(f"member {short(name)} would write into {OWN_FOLDER}, which belongs to dlcat")
    path = "/".join(parts)
    if _is_too_long(path, parts):
        raise VerificationError(f"member {short(name)} has too long a name")
    if os.name == "nt" and (part := next(filter(is_other_on_windows, parts), None)):
        raise VerificationError(f"member {short(name)}: Windows takes {part!r} for something else")
    return path


def is_other_on_windows(part: str) -> bool:
    """Whether Windows would open something else under this name: a stream, a device, a name without its last dot.

    >>> [is_other_on_windows(part) for part in ("a:b", "aux.txt", "name.", "name.txt")]
    [True, True, True, False]
    """
    return ":" in part or part[-1:] in (".", " ") or _RESERVED.fullmatch(part) is not None


def folded(name: str) -> str:
    r"""What a disk that knows neither case nor Unicode's forms, nor signs nobody sees, may take the name for.

    >>> folded(".DLCAT") == folded(".dl\u200ccat") == folded(".dlcat.") == ".dlcat"
    True
    """
    if name.isascii():
        return name.lower().rstrip(". ")
    plain = unicodedata.normalize("NFKC", name).casefold()
    seen = "".join(sign for sign in plain if unicodedata.category(sign) != "Cf")  # joiners, marks of direction
    return unicodedata.normalize("NFC", seen).rstrip(". ")


def short(name: str) -> str:
    """The name as Python writes it, cut to a length that fits a line."""
    return repr(name) if len(name) <= 80 else f"{name[:60]!r}..."


def _is_too_long(path: str, parts: list[str]) -> bool:
    path_bytes = _bytes(path)
    if path_bytes > LIMIT_PATH_BYTES or len(parts) > LIMIT_DEPTH:
        return True
    return path_bytes > LIMIT_NAME_BYTES and max(map(_bytes, parts)) > LIMIT_NAME_BYTES


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
