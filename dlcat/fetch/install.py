"""Verified artifacts into the readable tree data/<dataset>/: staged apart, moved in, and only then marked as there."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from dlcat.disk import disk_errors, write_beside
from dlcat.errors import VerificationError
from dlcat.fetch.accept import MismatchError, require_contents, vouched_paths
from dlcat.fetch.records import Moved, Unpacked
from dlcat.fetch.slices.record import take_away, withdraw_slice
from dlcat.fetch.staging import discard, files_path, recall, unpack_apart
from dlcat.fetch.store import Manifest
from dlcat.fetch.terms import plain

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator
    from pathlib import Path

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.store import Entry, Receipt, Store


def install(dataset: Dataset, artifact: Artifact, store: Store, receipt: Receipt) -> Iterator[Moved | Unpacked]:
    """Unpack one artifact that is ok and publish its files; the manifest, written last, says that they are there.

    What was unpacked already, to judge an archive by its members, is used.

    Raises:
        VerificationError: the archive cannot be unpacked safely, or a file stands where a folder must be.
        DiskError: the disk is full or refuses; nothing half is left in the data folder.
    """
    try:
        entries = yield from _entries(dataset, artifact, store, receipt)
        _publish(dataset, artifact, store, entries)
        manifest = _manifest(receipt, entries)
        store.write_manifest(dataset, artifact, manifest, entries)
    finally:
        _leave(dataset, artifact, store)
    yield Unpacked(artifact.file, manifest.files, manifest.size_bytes)


def repair_members(
    dataset: Dataset, artifact: Artifact, store: Store, wrong_paths: Collection[str]
) -> Iterator[Moved | Unpacked]:
    """Unpack these files of an installed artifact again, and only these, over what lies in the data folder.

    Raises:
        UsageError: the artifact itself is not ok.
        VerificationError: it has no such file, or not the bytes that were unpacked from it.
        DiskError: the disk is full or refuses.
    """
    store.digest(dataset, artifact)
    receipt = store.receipt(dataset, artifact)
    assert receipt is not None  # else there were no digest
    vouched = vouched_paths(artifact, receipt)
    wanted = frozenset(wrong_paths if vouched is None else vouched.intersection(wrong_paths))
    try:
        entries = yield from _unpacked(dataset, artifact, store, receipt, wanted)
        _require_members(dataset, artifact, store, wrong_paths, {entry.path: entry for entry in entries})
        with disk_errors(store.data_path(dataset)):
            _merge(files_path(dataset, artifact, store), store.data_path(dataset), artifact.file)
    finally:
        _leave(dataset, artifact, store)
    yield Unpacked(artifact.file, len(entries), sum(entry.size_bytes for entry in entries))


def write_notices(dataset: Dataset, store: Store) -> None:
    """Write LICENSE.txt and CITATION.bib beside the data, unless the data bring files of these names.

    Raises:
        DiskError: they cannot be written.
    """
    manifests = (store.manifest(dataset, artifact) for artifact in dataset.artifacts)
    taken = {name for manifest in manifests if manifest is not None for name in manifest.top}
    granted = dataset.license
    lines = [f"{dataset.title}\n{dataset.homepage}\n", f"License: {granted.id or 'none is stated by upstream'}"]
    lines += [text for text in (granted.url, granted.note) if text]
    if dataset.terms is not None:
        lines.append(f"\nTerms: {plain(dataset.terms)}")
    for name, text in (("LICENSE.txt", "\n".join(lines)), ("CITATION.bib", dataset.citation)):
        if name not in taken:
            write_beside(store.data_path(dataset) / name, text.rstrip() + "\n")


def _entries(
    dataset: Dataset, artifact: Artifact, store: Store, receipt: Receipt
) -> Generator[Moved, None, list[Entry]]:
    """The artifact's files, lying apart and vouched for."""
    judged = recall(dataset, artifact, store, receipt.checksums["sha256"])
    if judged is not None:
        return judged
    entries = yield from _unpacked(dataset, artifact, store, receipt, vouched_paths(artifact, receipt))
    if receipt.rewrapped:  # again, because the catalog may know more by now than when it was judged
        try:
            yield from require_contents(artifact, entries, files_path(dataset, artifact, store))
        except MismatchError as error:
            raise VerificationError(f"{artifact.file}: {error.message}") from error
    return entries


def _unpacked(
    dataset: Dataset, artifact: Artifact, store: Store, receipt: Receipt, only: frozenset[str] | None
) -> Generator[Moved, None, list[Entry]]:
    entries = yield from unpack_apart(dataset, artifact, store.artifact_path(dataset, artifact), store, only=only)
    if artifact.unpack != "none":
        return entries
    return [replace(entry, checksum=f"sha256:{receipt.checksums['sha256']}") for entry in entries]


def _require_members(
    dataset: Dataset, artifact: Artifact, store: Store, paths: Collection[str], found: dict[str, Entry]
) -> None:
    """Refuse an archive that lacks a member, or has other bytes than were unpacked when it was installed."""
    for path in paths:
        if path not in found:
            raise VerificationError(f"{artifact.file}: expected member {path!r}, found none of that name")
    there = store.manifest(dataset, artifact) is not None
    for entry in store.entries(dataset, artifact) if there else ():
        now = found.get(entry.path, entry).checksum
        if entry.checksum not in (None, now):
            raise VerificationError(
                f"{artifact.file}: expected member {entry.path!r} with {entry.checksum}, found {now}"
            )


def _manifest(receipt: Receipt, entries: list[Entry]) -> Manifest:
    return Manifest(
        sha256=receipt.checksums["sha256"],
        files=len(entries),
        size_bytes=sum(entry.size_bytes for entry in entries),
        top=sorted({entry.path.partition("/")[0] for entry in entries}),
    )


def _publish(dataset: Dataset, artifact: Artifact, store: Store, entries: list[Entry]) -> None:
    target = store.data_path(dataset)
    with disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        staying = {entry.path for entry in entries}
        _withdraw(dataset, artifact, store, staying)
        withdraw_slice(dataset, artifact, store, staying)  # it may be of another version of the artifact
        _merge(files_path(dataset, artifact, store), target, artifact.file)


def _withdraw(dataset: Dataset, artifact: Artifact, store: Store, staying: set[str]) -> None:
    """Take back what an earlier version of the artifact brought and this one does not; first the marker."""
    path = store.manifest_path(dataset, artifact)
    if not path.exists():
        return
    former = [entry.path for entry in store.entries(dataset, artifact)]
    path.unlink(missing_ok=True)
    take_away(store.data_path(dataset), [name for name in former if name not in staying])


def _merge(source: Path, target: Path, file: str) -> None:
    """Move everything below `source` to `target`; folders that exist on both sides are merged, files replaced."""
    with os.scandir(source) as scan:
        children = list(scan)
    for child in children:
        place = target / child.name
        is_folder = child.is_dir(follow_symlinks=False)
        try:
            os.replace(child.path, place)  # not asked first whether it is there: another process may install it, too
        except OSError:
            if not os.path.lexists(place) or not (is_folder or place.is_dir()):
                raise
            _require_same_kind(file, place, is_folder)
            _merge(source / child.name, place, file)


def _require_same_kind(file: str, place: Path, is_folder: bool) -> None:
    if is_folder != place.is_dir():
        expected, found = ("folder", "file") if is_folder else ("file", "folder")
        raise VerificationError(f"{file}: {place} is in the way: expected a {expected}, found a {found}")


def _leave(dataset: Dataset, artifact: Artifact, store: Store) -> None:
    discard(dataset, artifact, store)
    with suppress(OSError):  # others lie there
        store.staging_path(dataset).rmdir()
