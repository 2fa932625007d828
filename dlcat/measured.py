"""What was measured on this machine once, and need not be again: kept in the cache folder, by machine and versions."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from dlcat import disk, locations
from dlcat.errors import DiskError

if TYPE_CHECKING:
    from pathlib import Path

_WAIT_SECONDS = 10.0


def recall(file: str, key: str) -> dict[str, Any] | None:
    """What was found of it before; None where nothing was, or the file is damaged.

    Args:
        file: the kind of measurement, as the name of a JSON file.
        key: what was measured, on which machine, with which versions.
    """
    kept = _read(_path(file)).get(key)
    return kept if isinstance(kept, dict) else None


def remember(file: str, key: str, found: dict[str, Any]) -> None:
    """Keep it for the next process; where the cache cannot be written, it holds for nobody else."""
    path = _path(file)
    with suppress(OSError, DiskError, Timeout):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=_WAIT_SECONDS):
            disk.write_beside(path, json.dumps(_read(path) | {key: found}, indent=1))


def _path(file: str) -> Path:
    return locations.find().cache / file


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
