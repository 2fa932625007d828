"""Files a person has downloaded, found whatever they are called, verified and put into the store."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dlcat.disk import disk_errors, link_or_copy, require_room
from dlcat.errors import AccessError, UsageError, VerificationError
from dlcat.fetch.accept import judge, keep
from dlcat.fetch.fetch import by_hand_error, claimed, settle, unpack_pending
from dlcat.fetch.identity import algorithms, hash_file, strongest
from dlcat.fetch.plan import plan, selected
from dlcat.fetch.records import Installed, Missing, Record, Started, Tried, moved
from dlcat.fetch.terms import require_acceptance

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.store import Store

Found = dict[Path, int]
"""Files that may be artifacts, with their sizes in bytes."""


def import_files(
    dataset: Dataset, store: Store, paths: Sequence[Path], *, parts: tuple[str, ...] = ()
) -> Iterator[Record]:
    """Find the dataset's artifacts among the paths, verify them, link or copy them into the store and unpack them.

    A file is found by its name, or under any name by size and checksum. What is right is kept and unpacked even where
    other files are missing or wrong.

    Args:
        dataset: the catalog entry; it may be an open one, for users without a network.
        store: the cache.
        paths: files, and folders to search (not through links to folders).
        parts: which parts count as missing at the end, as for `fetch`; files of other parts are taken, too.

    Raises:
        UsageError: a path does not exist, or no such part.
        VerificationError: a file has an artifact's name and other bytes; expected and found.
        AccessError: the terms are not accepted, nothing was found, or artifacts are still missing; says what to do.
        DiskError: not enough room, or no right to write.
    """
    require_acceptance(dataset)
    wanted = selected(dataset, parts)
    found = _files(paths)
    lock = yield from claimed(dataset, store)
    try:
        yield from _import_locked(dataset, store, found, wanted)
    finally:
        shutil.rmtree(store.staging_path(dataset), ignore_errors=True)
        lock.release()
    yield Installed(dataset.name, len(wanted), store.data_path(dataset))


def _import_locked(dataset: Dataset, store: Store, found: Found, wanted: list[Artifact]) -> Iterator[Record]:
    there = [artifact for artifact in dataset.artifacts if store.artifact_path(dataset, artifact).exists()]
    yield from settle(dataset, store, there)
    wrong: list[str] = []
    taken = 0
    for artifact in dataset.artifacts:
        if store.state(dataset, artifact) != "ok":
            reasons = yield from _import_artifact(dataset, artifact, store, found)
            wrong += reasons
            taken += store.state(dataset, artifact) == "ok"
    held = [artifact for artifact in dataset.artifacts if store.state(dataset, artifact) == "ok"]
    if held:
        require_room(store.locations.cache, _unpacking_bytes(dataset, store))
        yield from unpack_pending(dataset, store, held)
    missing = [artifact for artifact in wanted if artifact not in held]
    for artifact in missing:
        yield Missing(artifact.file, artifact.size)
    if wrong:
        raise VerificationError("\n".join(wrong), hint=f"get the file again: {dataset.homepage}")
    if missing and not taken:
        error = by_hand_error(dataset, missing)
        message = f"none of the {len(found)} files found is one of {dataset.name}\n{error.message}"
        raise AccessError(message, hint=error.hint)
    if missing:
        raise by_hand_error(dataset, missing)


def _import_artifact(
    dataset: Dataset, artifact: Artifact, store: Store, found: Found
) -> Generator[Record, None, list[str]]:
    """Take the first candidate that is the artifact; returns what is wrong with those that only bear its name."""
    wrong: list[str] = []
    for path in _candidates(artifact, found):
        checksums = yield from moved(hash_file(path, algorithms(artifact)), artifact.file, "hash")
        try:
            rewrapped = yield from judge(
                dataset, artifact, path, checksums, store, pinned=store.receipt(dataset, artifact)
            )
        except VerificationError as error:
            if path.name == artifact.file:
                wrong.append(f"{dataset.name}/{artifact.file} from {path}: {error.message}")
                yield Tried(artifact.file, str(path), error.message)
            continue
        yield Started(dataset.name, artifact.file, found[path], str(path))
        part = store.notes_path(dataset) / f"{artifact.file}.{os.getpid()}.import"
        with disk_errors(part):
            part.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(path, part)
        yield keep(dataset, artifact, store, checksums, source=str(path), rewrapped=rewrapped, part=part)
        return []
    return wrong


def _candidates(artifact: Artifact, found: Found) -> list[Path]:
    """Files of the artifact's name; after them, where a checksum will decide, those of its size, or else its ending."""
    named = [path for path in found if path.name == artifact.file]
    if strongest(artifact.checksums) is None:
        return named
    if artifact.size is not None:
        return named + [path for path, size in found.items() if size == artifact.size and path not in named]
    ending = Path(artifact.file).suffix
    return named + [path for path in found if path.suffix == ending and path not in named]


def _files(paths: Sequence[Path]) -> Found:
    found: Found = {}
    for path in paths:
        if path.is_dir():
            for parent, folders, names in os.walk(path):
                folders.sort()
                found |= _sizes([Path(parent, name) for name in sorted(names)])
        elif path.is_file():
            found |= _sizes([path])
        else:
            raise UsageError(f"{path}: no such file or folder")
    return found


def _sizes(paths: list[Path]) -> Found:
    return {path: path.stat().st_size for path in paths if path.is_file()}


def _unpacking_bytes(dataset: Dataset, store: Store) -> int:
    return plan(dataset, store).unpacked_bytes or 0
