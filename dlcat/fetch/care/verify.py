"""Hashing again what the store holds, and comparing the readable tree with what was unpacked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from dlcat.errors import DiskError
from dlcat.fetch.accept import new_receipt, verified
from dlcat.fetch.identity import algorithms, hash_file, strongest
from dlcat.fetch.records import Failed, Missing, Record, moved
from dlcat.fetch.slices.record import slices, verify_slices

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.records import Progress
    from dlcat.fetch.store import Entry, Receipt, Store


def verify(dataset: Dataset, store: Store, *, keep_tree: bool = False) -> Iterator[Record]:
    """Hash every artifact that is there and yield Verified or Failed; Missing where one is not; then all that is unpacked.

    A file that fails stays where it is, but its state is corrupt from then on, so that the next fetch replaces it. An
    archive of which an unpacked file is missing or wrong counts as not unpacked from then on, unless `keep_tree`, so that
    the next fetch unpacks it again. A read-only cache can be verified, too.

    Raises:
        DiskError: a file cannot be read.
    """
    there = [artifact for artifact in dataset.artifacts if is_known(dataset, artifact, store)]
    if not there and not slices(dataset, store):
        yield from (Missing(artifact.file, artifact.size) for artifact in dataset.selected())
    for artifact in there:
        yield from _verify_artifact(dataset, artifact, store)
    yield from _verify_tree(dataset, there, store, keep_tree)
    yield from verify_slices(dataset, store)


def is_known(dataset: Dataset, artifact: Artifact, store: Store) -> bool:
    """Whether the artifact is, or once was, in the store."""
    return store.artifact_path(dataset, artifact).exists() or store.receipt(dataset, artifact) is not None


def _verify_artifact(dataset: Dataset, artifact: Artifact, store: Store) -> Iterator[Record]:
    path = store.artifact_path(dataset, artifact)
    receipt = store.receipt(dataset, artifact)
    expected = _expected(artifact, receipt)
    if not path.exists():
        yield Missing(artifact.file, artifact.size)
        return
    if expected is None:
        yield Failed(artifact.file, "a checksum, published or recorded at the first fetch", "neither")
        return
    before = path.stat()
    found = yield from moved(hash_file(path, algorithms(artifact)), artifact.file, "hash")
    algorithm, digest = expected
    if found[algorithm] != digest:
        if receipt is not None:
            _note(dataset, artifact, store, replace(receipt, sound=False))
        yield Failed(artifact.file, f"{algorithm} {digest}", f"{algorithm} {found[algorithm]}")
        return
    # The size and time from before: a file that was replaced while it was read is not vouched for.
    now = new_receipt(artifact, found, before, source=str(path), rewrapped=False, former=receipt)
    if receipt is not None:
        promised = receipt.promised if receipt.rewrapped else now.promised
        now = replace(now, promised=promised, rewrapped=receipt.rewrapped, source=receipt.source)
    if now != receipt:
        _note(dataset, artifact, store, now)
    yield verified(artifact, now)


def _expected(artifact: Artifact, receipt: Receipt | None) -> tuple[str, str] | None:
    """What decides: the published checksum; for rewrapped archives and where none is published, the recorded one."""
    if receipt is not None and (receipt.rewrapped or not artifact.checksums):
        return "sha256", receipt.checksums["sha256"]
    return strongest(artifact.checksums)


def _note(dataset: Dataset, artifact: Artifact, store: Store, receipt: Receipt) -> None:
    with suppress(DiskError):  # what was found counts, not whether this user may write it down
        store.write_receipt(dataset, artifact, receipt)


def _verify_tree(dataset: Dataset, there: list[Artifact], store: Store, keep_tree: bool) -> Iterator[Record]:
    unpacked = [artifact for artifact in there if store.manifest(dataset, artifact) is not None]
    right: dict[str, set[tuple[int, str | None]]] = {}
    for artifact in unpacked:  # two archives may bring files of one name; either is right then
        for entry in store.entries(dataset, artifact):
            right.setdefault(entry.path, set()).add((entry.size_bytes, entry.checksum))
    for artifact in unpacked:
        wrong = yield from moved(_wrong_files(dataset, artifact, store, right), artifact.file, "hash")
        if wrong:
            if not keep_tree:
                with suppress(OSError):
                    store.manifest_path(dataset, artifact).unlink()
            yield _tree_failure(dataset, artifact, store, wrong)


def _wrong_files(
    dataset: Dataset, artifact: Artifact, store: Store, right: dict[str, set[tuple[int, str | None]]]
) -> Generator[Progress, None, list[Entry]]:
    """Those of the artifact's files that are not as they were unpacked; what is linked to an artifact was hashed as one."""
    wrong: list[Entry] = []
    manifest = store.manifest(dataset, artifact)
    done_bytes, total_bytes = 0, None if manifest is None else manifest.size_bytes
    for entry in store.entries(dataset, artifact):
        size_bytes, accepted = _size(dataset, store, entry.path), right[entry.path]
        checksums = {checksum for size, checksum in accepted if size == size_bytes}
        if not checksums:
            wrong.append(entry)
        elif artifact.unpack != "none" and None not in checksums:
            hashing = hash_file(store.data_path(dataset) / entry.path, ("sha256",))
            found = yield from _further(hashing, done_bytes, total_bytes)
            if f"sha256:{found['sha256']}" not in checksums:
                wrong.append(entry)
        done_bytes += entry.size_bytes
        yield done_bytes, total_bytes
    return wrong


def _further(
    steps: Generator[Progress, None, dict[str, str]], before_bytes: int, total_bytes: int | None
) -> Generator[Progress, None, dict[str, str]]:
    """The progress of one file as progress of all of them."""
    while True:
        try:
            done_bytes, _ = next(steps)
        except StopIteration as stop:
            found: dict[str, str] = stop.value
            return found
        yield before_bytes + done_bytes, total_bytes


def _tree_failure(dataset: Dataset, artifact: Artifact, store: Store, wrong: list[Entry]) -> Failed:
    first, *others = wrong
    size_bytes = _size(dataset, store, first.path)
    expected = f"{store.data_path(dataset) / first.path} of {first.size_bytes} bytes"
    if size_bytes is None:
        found = "no such file"
    elif size_bytes != first.size_bytes:
        found = f"{size_bytes} bytes"
    else:
        expected, found = f"{store.data_path(dataset) / first.path} with {first.checksum}", "other bytes"
    more = f", and {len(others)} more files that differ" if others else ""
    return Failed(artifact.file, expected, found + more, tuple(entry.path for entry in wrong))


def _size(dataset: Dataset, store: Store, path: str) -> int | None:
    try:
        return (store.data_path(dataset) / path).stat().st_size
    except OSError:
        return None
