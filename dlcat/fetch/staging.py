"""Where an artifact is unpacked apart: to look inside, to be installed, or both, so that it is unpacked once.

data/<dataset>/.dlcat/staging.<owner>/<file>/files          what came out
data/<dataset>/.dlcat/staging.<owner>/<file>/entries.json   written once it was judged: of which archive it is, and the list
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from dlcat.disk import write_beside
from dlcat.fetch.records import Moved, moved
from dlcat.fetch.store import Entry
from dlcat.fetch.unpack import budget, unpack

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.store import Store


def files_path(dataset: Dataset, artifact: Artifact, store: Store) -> Path:
    """The folder that `unpack_apart` fills."""
    return store.staging_path(dataset) / artifact.file / "files"


def unpack_apart(
    dataset: Dataset, artifact: Artifact, archive: Path, store: Store, *, only: frozenset[str] | None
) -> Generator[Moved, None, list[Entry]]:
    """Unpack an archive of the artifact into `files_path`; returns what `unpack` does.

    Raises:
        VerificationError: the archive cannot be unpacked safely.
        DiskError: the disk is full or refuses.
    """
    discard(dataset, artifact, store)
    limit = budget(dataset, artifact, archive.stat().st_size)
    folder = files_path(dataset, artifact, store)
    steps = moved(unpack(archive, artifact, folder, limit, only=only), artifact.file, "unpack")
    try:
        while True:
            yield next(steps)
            os.utime(store.staging_path(dataset))  # so that nobody on another machine takes it for abandoned
    except StopIteration as stop:
        entries: list[Entry] = stop.value
        return entries
    finally:
        steps.close()


def remember(dataset: Dataset, artifact: Artifact, store: Store, sha256: str, entries: list[Entry]) -> None:
    """Note that what lies apart came out of the archive with this hash, and is right."""
    rows = [[entry.path, entry.size_bytes, entry.checksum] for entry in entries]
    write_beside(_entries_path(dataset, artifact, store), json.dumps({"sha256": sha256, "entries": rows}))


def recall(dataset: Dataset, artifact: Artifact, store: Store, sha256: str) -> list[Entry] | None:
    """What lies apart, if it came out of the archive with this hash and is right."""
    try:
        found = json.loads(_entries_path(dataset, artifact, store).read_bytes())
    except (OSError, ValueError):
        return None
    return [Entry(*row) for row in found["entries"]] if found["sha256"] == sha256 else None


def discard(dataset: Dataset, artifact: Artifact, store: Store) -> None:
    """Remove what lies apart."""
    shutil.rmtree(store.staging_path(dataset) / artifact.file, ignore_errors=True)


def _entries_path(dataset: Dataset, artifact: Artifact, store: Store) -> Path:
    return store.staging_path(dataset) / artifact.file / "entries.json"
