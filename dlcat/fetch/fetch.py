"""From a catalog entry to data/<dataset>/: room checked, each source tried, every byte verified, files unpacked."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from dlcat.disk import disk_errors, require_room
from dlcat.errors import AccessError, DlcatError, UnreachableError, VerificationError
from dlcat.fetch.accept import has_second_identity, judge, keep
from dlcat.fetch.identity import algorithms, hash_file
from dlcat.fetch.install import install, write_notices
from dlcat.fetch.plan import plan, selected, sources
from dlcat.fetch.records import Installed, Moved, Record, Skipped, Started, Tried, Verified, Waiting, moved
from dlcat.fetch.transport import receive

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from filelock import BaseFileLock

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.store import Store


def fetch(
    dataset: Dataset,
    store: Store,
    *,
    mirror: tuple[str, ...] = (),
    parts: tuple[str, ...] = (),
    force: bool = False,
) -> Iterator[Record]:
    """Bring a dataset into the store, unpack it, and yield what happens; what is there already is not fetched again.

    Stopped at any point, by an error or Ctrl-C, it leaves no half file under artifacts/ or data/, and can be run again.

    Args:
        dataset: the catalog entry.
        store: the cache.
        mirror: base URLs; `<mirror>/<dataset>/<file>` is tried before upstream.
        parts: names of the dataset's parts, or 'all'; empty for the default ones.
        force: download again what is ok, and forget what was recorded for files without a published checksum.

    Raises:
        UsageError: no such part, or a mirror that is no URL.
        AccessError: a person must ask for the data, or they are gone, and no mirror has them.
        DiskError: not enough room, seen before the first byte where sizes are published; or no right to write.
        UnreachableError: no source of an artifact could be reached; lists each with its reason.
        VerificationError: no source had the right bytes, or an archive cannot be unpacked safely.
    """
    chosen = selected(dataset, parts)
    for artifact in chosen:
        sources(dataset, artifact, mirror)  # a mistyped mirror is said at once
    if force or not store.is_installed(dataset, parts):
        if dataset.access != "open" and not mirror:
            _require_files(dataset, chosen, store)
        lock = yield from claimed(dataset, store)
        try:
            yield from _fetch_locked(dataset, store, chosen, mirror, parts, force)
        finally:
            lock.release()
    else:
        for artifact in chosen:
            yield Skipped(artifact.file, "already there")
    yield Installed(dataset.name, len(chosen), store.data_path(dataset))


def claimed(dataset: Dataset, store: Store) -> Generator[Waiting, None, BaseFileLock]:
    """The dataset's lock; yields Waiting where another process holds it."""
    lock = store.claim(dataset.name, wait=False)
    if lock is None:
        yield Waiting(dataset.name, store.lock_path(dataset.name))
        lock = store.claim(dataset.name, wait=True)
    assert lock is not None  # waiting ends with the lock, or with an error
    return lock


def settle(dataset: Dataset, store: Store, chosen: list[Artifact]) -> Iterator[Record]:
    """Say of each artifact that is ok that it is; look again at files that are there without being vouched for."""
    for artifact in chosen:
        state = store.state(dataset, artifact)
        if state == "ok":
            yield Skipped(artifact.file, "already there")
        elif state == "corrupt":
            yield from _look_again(dataset, artifact, store)


def unpack_pending(dataset: Dataset, store: Store, chosen: list[Artifact], *, force: bool = False) -> Iterator[Record]:
    """Unpack the artifacts that are ok and not unpacked yet, then write the notices beside them."""
    for artifact in chosen:
        receipt = store.receipt(dataset, artifact)
        if receipt is not None and (force or not store.is_unpacked(dataset, artifact)):
            yield from install(dataset, artifact, store, receipt)
    write_notices(dataset, store)


def by_hand_error(dataset: Dataset, missing: list[Artifact], tried: list[str] | None = None) -> AccessError:
    """What to say where files are missing that only a person can get."""
    first = "is gone from its source" if dataset.access == "gone" else "must be asked for by a person"
    if dataset.access == "open":
        first = "is not complete"
    files = ", ".join(artifact.file for artifact in missing)
    lines = [f"{dataset.name} {first}; missing: {files}", *(tried or [])]
    steps = [dataset.instructions.strip(), dataset.homepage, f"then: dlcat import {dataset.name} PATH"]
    return AccessError("\n".join(lines), hint="\n".join(step for step in steps if step))


def _require_files(dataset: Dataset, chosen: list[Artifact], store: Store) -> None:
    """A file that is there but not vouched for may still be right, so only absent ones end it here."""
    missing = [artifact for artifact in chosen if not store.artifact_path(dataset, artifact).exists()]
    if missing:
        raise by_hand_error(dataset, missing)


def _fetch_locked(
    dataset: Dataset, store: Store, chosen: list[Artifact], mirror: tuple[str, ...], parts: tuple[str, ...], force: bool
) -> Iterator[Record]:
    _sweep(dataset, store)
    if not force:
        yield from settle(dataset, store, chosen)
    pending = [artifact for artifact in chosen if force or store.state(dataset, artifact) != "ok"]
    require_room(store.locations.cache, plan(dataset, store, mirror=mirror, parts=parts, force=force).peak_bytes)
    for artifact in pending:
        yield from _obtain(dataset, artifact, store, sources(dataset, artifact, mirror), force)
    yield from unpack_pending(dataset, store, chosen, force=force)


def _sweep(dataset: Dataset, store: Store) -> None:
    """Remove what a process that was killed left in the staging folder; we hold the lock, so nobody uses it."""
    for leftover in store.staging_path(dataset).parent.glob("staging.*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _look_again(dataset: Dataset, artifact: Artifact, store: Store) -> Iterator[Moved | Verified]:
    """Hash a file that was copied, touched, or never got its receipt: often it is right, and need not be fetched."""
    path = store.artifact_path(dataset, artifact)
    receipt = store.receipt(dataset, artifact)
    if receipt is None and not artifact.checksums:
        return  # nothing to hold it to
    found = yield from moved(hash_file(path, algorithms(artifact)), artifact.file, "hash")
    try:
        rewrapped = yield from judge(dataset, artifact, path, found, store, pinned=receipt)
    except VerificationError:
        return
    source = receipt.source if receipt else str(path)
    yield keep(dataset, artifact, store, found, source=source, rewrapped=rewrapped)


def _obtain(
    dataset: Dataset, artifact: Artifact, store: Store, candidates: tuple[str, ...], force: bool
) -> Iterator[Record]:
    """Try the sources in order until one gives the right bytes."""
    failures: list[tuple[str, DlcatError]] = []
    for source in candidates:
        yield Started(dataset.name, artifact.file, artifact.size, source)
        try:
            yield from _obtain_from(source, dataset, artifact, store, force)
            return
        except (UnreachableError, VerificationError) as error:
            failures.append((source, error))
            yield Tried(artifact.file, source, error.message)
    raise _refusal(dataset, artifact, failures)


def _obtain_from(source: str, dataset: Dataset, artifact: Artifact, store: Store, force: bool) -> Iterator[Record]:
    part = store.part_path(dataset, artifact)
    rewrapping = has_second_identity(artifact)
    receiving = receive(
        source,
        part,
        algorithms=algorithms(artifact),
        expected_bytes=None if rewrapping else artifact.size,
        # A new wrapper may well be larger than the old one, but not by any amount.
        limit_bytes=2 * artifact.size + 2**20 if rewrapping and artifact.size is not None else artifact.size,
    )
    pinned = None if force else store.receipt(dataset, artifact)
    try:
        received = yield from moved(receiving, artifact.file, "download")
        rewrapped = yield from judge(dataset, artifact, part, received.checksums, store, pinned=pinned)
    except VerificationError:
        with disk_errors(part):
            part.unlink(missing_ok=True)
        raise
    yield keep(dataset, artifact, store, received.checksums, source=source, rewrapped=rewrapped, part=part)


def _refusal(dataset: Dataset, artifact: Artifact, failures: list[tuple[str, DlcatError]]) -> DlcatError:
    """The error that says what became of every source."""
    name = f"{dataset.name}/{artifact.file}"
    lines = [f"{name} from {source}: {error.message}" for source, error in failures]
    if any(isinstance(error, VerificationError) for _, error in failures):
        hint = f"try a mirror (--mirror URL), or ask upstream whether the file has changed: {dataset.homepage}"
        return VerificationError("\n".join(lines), hint=hint)
    if dataset.access != "open":
        return by_hand_error(dataset, [artifact], lines)
    hint = f"check the connection, try a mirror (--mirror URL), or get the file from {dataset.homepage} and "
    return UnreachableError(
        "\n".join(lines) or f"{name}: the catalog names no source", hint=f"{hint}`dlcat import {dataset.name} PATH`"
    )
