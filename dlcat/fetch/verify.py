"""Hashing again what the store holds, and comparing the readable tree with what was unpacked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from dlcat.errors import DiskError
from dlcat.fetch.accept import new_receipt, verified
from dlcat.fetch.identity import algorithms, hash_file, strongest
from dlcat.fetch.records import Failed, Missing, Record, moved
from dlcat.fetch.slices import slices, verify_slices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.store import Entry, Receipt, Store


def verify(dataset: Dataset, store: Store) -> Iterator[Record]:
    """Hash every artifact that is there and yield Verified or Failed; Missing where one is not; then check the tree.

    A file that fails stays where it is, but its state is corrupt from then on, so that the next fetch replaces it;
    what is missing from the tree is unpacked again by the next fetch. A read-only cache can be verified, too.

    Raises:
        DiskError: a file cannot be read.
    """
    there = [artifact for artifact in dataset.artifacts if is_known(dataset, artifact, store)]
    if not there and not slices(dataset, store):
        yield from (Missing(artifact.file, artifact.size) for artifact in dataset.selected())
    for artifact in there:
        yield from _verify_artifact(dataset, artifact, store)
    yield from _verify_tree(dataset, there, store)
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


def _verify_tree(dataset: Dataset, there: list[Artifact], store: Store) -> Iterator[Failed]:
    unpacked = [artifact for artifact in there if store.manifest(dataset, artifact) is not None]
    sizes: dict[str, set[int | None]] = {}
    for artifact in unpacked:  # two archives may bring files of one name; either is right then
        for entry in store.entries(dataset, artifact):
            sizes.setdefault(entry.path, set()).add(entry.size_bytes)
    for artifact in unpacked:
        entries = store.entries(dataset, artifact)
        wrong = [entry for entry in entries if _size(dataset, store, entry.path) not in sizes[entry.path]]
        if wrong:
            with suppress(OSError):
                store.manifest_path(dataset, artifact).unlink()
            yield _tree_failure(dataset, artifact, store, wrong)


def _tree_failure(dataset: Dataset, artifact: Artifact, store: Store, wrong: list[Entry]) -> Failed:
    first, *others = wrong
    size_bytes = _size(dataset, store, first.path)
    found = "no such file" if size_bytes is None else f"{size_bytes} bytes"
    more = f", and {len(others)} more files that differ" if others else ""
    return Failed(artifact.file, f"{store.data_path(dataset) / first.path} of {first.size_bytes} bytes", found + more)


def _size(dataset: Dataset, store: Store, path: str) -> int | None:
    try:
        return (store.data_path(dataset) / path).stat().st_size
    except OSError:
        return None
