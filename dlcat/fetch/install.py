"""Verified artifacts into the readable tree data/<dataset>/: staged apart, moved in, and only then marked as there."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from dlcat.disk import disk_errors, write_beside
from dlcat.errors import VerificationError
from dlcat.fetch.accept import vouched_paths
from dlcat.fetch.records import Moved, Unpacked, moved
from dlcat.fetch.store import Manifest
from dlcat.fetch.unpack import budget, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.store import Entry, Receipt, Store


def install(dataset: Dataset, artifact: Artifact, store: Store, receipt: Receipt) -> Iterator[Moved | Unpacked]:
    """Unpack one artifact that is ok and publish its files; the manifest, written last, says that they are there.

    Raises:
        VerificationError: the archive cannot be unpacked safely, or a file stands where a folder must be.
        DiskError: the disk is full or refuses; nothing half is left in the data folder.
    """
    archive = store.artifact_path(dataset, artifact)
    staging = store.staging_path(dataset)
    shutil.rmtree(staging, ignore_errors=True)
    try:
        unpacking = unpack(
            archive, artifact, staging, budget(dataset, receipt.size_bytes), only=vouched_paths(artifact, receipt)
        )
        entries = yield from moved(unpacking, artifact.file, "unpack")
        _publish(dataset, artifact, store, staging, entries)
        manifest = _manifest(receipt, entries)
        store.write_manifest(dataset, artifact, manifest, entries)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    yield Unpacked(artifact.file, manifest.files, manifest.size_bytes)


def write_notices(dataset: Dataset, store: Store) -> None:
    """Write LICENSE.txt and CITATION.bib beside the data, unless the data bring files of these names.

    Raises:
        DiskError: they cannot be written.
    """
    manifests = (store.manifest(dataset, artifact) for artifact in dataset.artifacts)
    taken = {name for manifest in manifests if manifest is not None for name in manifest.top}
    terms = dataset.license
    lines = [f"{dataset.title}\n{dataset.homepage}\n", f"License: {terms.id or 'none is stated by upstream'}"]
    lines += [text for text in (terms.url, terms.note) if text]
    for name, text in (("LICENSE.txt", "\n".join(lines)), ("CITATION.bib", dataset.citation)):
        if name not in taken:
            write_beside(store.data_path(dataset) / name, text.rstrip() + "\n")


def _manifest(receipt: Receipt, entries: list[Entry]) -> Manifest:
    return Manifest(
        sha256=receipt.checksums["sha256"],
        files=len(entries),
        size_bytes=sum(entry.size_bytes for entry in entries),
        top=sorted({entry.path.partition("/")[0] for entry in entries}),
    )


def _publish(dataset: Dataset, artifact: Artifact, store: Store, staging: Path, entries: list[Entry]) -> None:
    target = store.data_path(dataset)
    with disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        _withdraw(dataset, artifact, store, {entry.path for entry in entries})
        _merge(staging, target, artifact.file)


def _withdraw(dataset: Dataset, artifact: Artifact, store: Store, staying: set[str]) -> None:
    """Take back what an earlier version of the artifact brought and this one does not; first the marker."""
    path = store.manifest_path(dataset, artifact)
    if not path.exists():
        return
    former = [entry.path for entry in store.entries(dataset, artifact)]
    path.unlink()
    for name in former:
        if name not in staying:
            (store.data_path(dataset) / name).unlink(missing_ok=True)


def _merge(source: Path, target: Path, file: str) -> None:
    """Move everything below `source` to `target`; folders that exist on both sides are merged, files replaced."""
    with os.scandir(source) as scan:
        children = list(scan)
    for child in children:
        place = target / child.name
        is_folder = child.is_dir(follow_symlinks=False)
        there = place.exists()
        if there and is_folder != place.is_dir():
            expected, found = ("folder", "file") if is_folder else ("file", "folder")
            raise VerificationError(f"{file}: {place} is in the way: expected a {expected}, found a {found}")
        if there and is_folder:
            _merge(source / child.name, place, file)
        else:
            os.replace(child.path, place)
