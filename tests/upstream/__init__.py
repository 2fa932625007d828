"""Tiny datasets in exactly upstream's layout, one file per catalog entry: what is written is what must be read.

A file defines `write(folder, seed)`: it writes what lies in the entry's folder after unpacking, and gives for every split
what a reader finds there, in order. `entry` makes of that an entry that can be fetched from a mirror, so that the whole
program runs on it.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dlcat import locations

Write = Callable[[Path, int], dict[str, list["Written"]]]
ARCHIVE = "tiny.tar"


@dataclass(frozen=True)
class Written:
    """An example as it was written."""

    input: Any
    """As the reader gives it: an array, a path below the folder, text, or a mapping."""
    target: Any
    """A class number for readers that give arrays; else as in `Example`."""
    group: str = ""
    absent: tuple[str, ...] | None = None


def names() -> list[str]:
    """The catalog entries of which a tiny version can be written."""
    return sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules(__path__))


def write(name: str, folder: Path, seed: int = 0) -> dict[str, list[Written]]:
    """Write an entry's tiny version below the folder; what a reader finds in each split."""
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    written: dict[str, list[Written]] = module.write(folder, seed)
    return written


def entry(name: str, mirror: Path, folder: Path, seed: int = 0) -> dict[str, Any]:
    """The catalog's entry with its tiny version for its only artifact, which is put on the mirror; as plain data.

    Args:
        name: of the entry.
        mirror: where the archive goes, as `<name>/<file>`.
        folder: empty; the tiny version is written there first.
        seed: of what is written.
    """
    written = write(name, folder, seed)
    path = mirror / name / ARCHIVE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for child in sorted(folder.iterdir()):
            archive.add(child, child.name)
    size, sha256 = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    raw: dict[str, Any] = yaml.safe_load(locations.shipped("catalog.yaml").read_text(encoding="utf-8"))[name]
    url = (
        f"https://upstream.invalid/{name}/{ARCHIVE}"  # an entry that is open names a source; the mirror is asked first
    )
    artifact: dict[str, Any] = {
        "file": ARCHIVE,
        "urls": [url],
        "size": size,
        "checksums": {"sha256": sha256},
        "provenance": "tests",
        "unpack": "tar",
    }
    changes = {
        "access": "open",
        "size": {"download": size, "unpacked": None},
        "splits": {split: len(examples) for split, examples in written.items()},
        "artifacts": [artifact],
    }
    return {key: value for key, value in raw.items() if key not in ("terms", "parts", "instructions")} | changes
