"""From a catalog entry to data/<dataset>/: room checked, each source tried, every byte verified, files unpacked."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING

from dlcat.disk import disk_errors, require_room
from dlcat.errors import AccessError, DlcatError, UnreachableError, VerificationError
from dlcat.fetch.accept import has_second_identity, judge, keep
from dlcat.fetch.download.crew import Want
from dlcat.fetch.download.owner import is_orphan
from dlcat.fetch.download.partial import adopt, sweep
from dlcat.fetch.download.pull import pull
from dlcat.fetch.identity import algorithms, hash_file
from dlcat.fetch.install import install, write_notices
from dlcat.fetch.offline import reachable, require_reachable
from dlcat.fetch.plan import plan_for, selected, sources
from dlcat.fetch.records import Installed, Moved, Pausing, Record, Skipped, Started, Tried, Verified, Waiting, moved
from dlcat.fetch.store import STAGING, Recorded
from dlcat.fetch.terms import require_acceptance
from dlcat.fetch.together import together
from dlcat.fetch.wire.answer import ChangedError, SourceError, WrongBytesError
from dlcat.fetch.wire.attempts import Attempts
from dlcat.fetch.wire.credentials import redact
from dlcat.fetch.wire.health import Health
from dlcat.fetch.wire.network import Network
from dlcat.fetch.wire.sniff import EVIDENCE_BYTES, hint

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from filelock import BaseFileLock

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.download.partial import Partial
    from dlcat.fetch.store import Receipt, Store

PROGRESS_BYTES = 16 * 1024
"""New bytes that count as progress, and give a source all patience back."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be fetched, and how."""

    dataset: Dataset
    store: Store
    chosen: list[Artifact]
    mirror: tuple[str, ...] = ()
    """Base URLs; `<mirror>/<dataset>/<file>` is tried before upstream."""
    force: bool = False
    """Download again what is ok, and forget what was recorded for files without a published checksum."""
    network: Network = field(default_factory=Network)


def fetch(
    dataset: Dataset,
    store: Store,
    *,
    mirror: tuple[str, ...] = (),
    parts: tuple[str, ...] = (),
    force: bool = False,
    network: Network | None = None,
) -> Generator[Record, None, None]:
    """Bring a dataset into the store, unpack it, and yield what happens; what is there already is not fetched again.

    Stopped at any point, by an error, Ctrl-C or a kill, it leaves no half file under artifacts/ or data/. Run again, it
    goes on with the bytes that are there, if the source still serves the same file.

    Args:
        dataset: the catalog entry.
        store: the cache.
        mirror: base URLs; `<mirror>/<dataset>/<file>` is tried before upstream.
        parts: names of the dataset's parts, or 'all'; empty for the default ones.
        force: download again what is ok, and forget what was recorded for files without a published checksum.
        network: connections, rate and patience; shared by fetches that run at once.

    Raises:
        UsageError: no such part, or a mirror that is no URL.
        AccessError: a person must ask for the data, or accept their terms, or they are gone, and no mirror has them.
        DiskError: not enough room, seen before the first byte where sizes are published; or no right to write.
        UnreachableError: no source of an artifact could be reached, or may be (DLCAT_OFFLINE); lists each with its reason.
        VerificationError: no source had the right bytes, or an archive cannot be unpacked safely.
    """
    order = Order(dataset, store, selected(dataset, parts), mirror, force, network or Network())
    for artifact in order.chosen:
        sources(dataset, artifact, mirror)  # a mistyped mirror is said at once
    if force or not store.is_installed(dataset, parts):
        yield from fulfil(order)
    else:
        require_acceptance(dataset)  # another user of a shared cache may have accepted them, this one must, too
        for artifact in order.chosen:
            yield Skipped(artifact.file, "already there")
    yield Installed(dataset.name, len(order.chosen), store.data_path(dataset))


def fulfil(order: Order) -> Generator[Record, None, None]:
    """Bring what an order asks for and the store lacks, one process at a time.

    Raises:
        DlcatError: as `fetch`.
    """
    if order.dataset.access != "open" and not order.mirror:
        _require_files(order)
    require_acceptance(order.dataset)
    lock = yield from claimed(order.dataset, order.store)
    try:
        yield from _fulfil_locked(order)
    finally:
        shutil.rmtree(order.store.staging_path(order.dataset), ignore_errors=True)
        lock.release()


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


def _require_files(order: Order) -> None:
    """A file that is there but not vouched for may still be right, so only absent ones end it here."""
    dataset, store = order.dataset, order.store
    missing = [artifact for artifact in order.chosen if not store.artifact_path(dataset, artifact).exists()]
    if missing:
        raise by_hand_error(dataset, missing)


def _fulfil_locked(order: Order) -> Iterator[Record]:
    dataset, store, chosen, force = order.dataset, order.store, order.chosen, order.force
    _sweep(dataset, store)
    if not force:
        yield from settle(dataset, store, chosen)
    pending = [artifact for artifact in chosen if force or store.state(dataset, artifact) != "ok"]
    require_reachable(dataset, pending, order.mirror)
    needed = plan_for(dataset, store, chosen, mirror=order.mirror, force=force)
    require_room(store.locations.cache, needed.peak_bytes)
    for artifact in chosen:
        if artifact not in pending:
            sweep(store.notes_path(dataset), artifact.file)
    streams = [_obtain(order, artifact) for artifact in pending]
    yield from together(streams, order.network.jobs, order.network.cancel)
    yield from unpack_pending(dataset, store, chosen, force=force)


def _sweep(dataset: Dataset, store: Store) -> None:
    """Remove what processes that were killed left of their unpacking."""
    for folder in store.staging_paths(dataset):
        if is_orphan(folder.name.removeprefix(STAGING), folder):
            shutil.rmtree(folder, ignore_errors=True)


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


def _obtain(order: Order, artifact: Artifact) -> Generator[Record, None, None]:
    """Try the sources, again and again where that may help, until one has given the right bytes."""
    dataset, store, network = order.dataset, order.store, order.network
    health = Health(store.health_path)
    candidates = health.order(reachable(sources(dataset, artifact, order.mirror)))
    attempts = Attempts(candidates, network.retries, network.backoff_seconds)
    failures: dict[str, DlcatError] = {}
    with adopt(store.notes_path(dataset), artifact.file, algorithms(artifact)) as partial:
        if order.force:
            partial.forget()
        best_bytes = partial.received_bytes
        while turn := attempts.next(monotonic()):
            source, pause_seconds = turn
            if pause_seconds > 0:
                yield Pausing(artifact.file, redact(source), pause_seconds)
                network.wait(pause_seconds)
            there_bytes, began_seconds = partial.received_bytes, monotonic()
            yield Started(dataset.name, artifact.file, artifact.size, redact(source), there_bytes)
            try:
                receipt = yield from _obtain_from(source, order, artifact, partial)
            except SourceError as error:
                failures[source] = error
                if isinstance(error, ChangedError):
                    partial.forget()
                progressed = partial.received_bytes >= best_bytes + PROGRESS_BYTES
                best_bytes = max(best_bytes, partial.received_bytes)
                attempts.failed(source, error.patience, progressed, error.wait_seconds, monotonic())
                health.failed(source, error.message, "network")
            except VerificationError as error:
                failures[source] = error
                attempts.drop(source)
                health.failed(source, error.message, "wrong bytes")
            else:
                health.ok(source, receipt.size_bytes - there_bytes, monotonic() - began_seconds)
                return
            yield Tried(artifact.file, redact(source), failures[source].message)
    raise _refusal(dataset, artifact, store, failures)


def _obtain_from(source: str, order: Order, artifact: Artifact, partial: Partial) -> Generator[Record, None, Receipt]:
    dataset, store = order.dataset, order.store
    pinned = None if order.force else store.receipt(dataset, artifact)
    want = _want(artifact, pinned)
    try:
        yield from moved(pull(source, partial, want, order.network), artifact.file, "download")
        if partial.mixed and not (yield from _is_right(order, artifact, partial, pinned)):
            # Bytes of two files, perhaps: once more, and then they are from this source alone.
            partial.forget()
            want = replace(want, trusting=False)
            yield from moved(pull(source, partial, want, order.network), artifact.file, "download")
        version, checksums = partial.version, partial.digests()
        rewrapped = yield from judge(dataset, artifact, partial.path, checksums, store, pinned=pinned)
    except WrongBytesError as error:
        store.keep_evidence(dataset, artifact, error.evidence)
        raise
    except VerificationError:
        with disk_errors(partial.path), open(partial.path, "rb") as stream:
            store.keep_evidence(dataset, artifact, stream.read(EVIDENCE_BYTES))
        partial.forget()
        raise
    if partial.version != version:
        raise SourceError("the download was begun anew while it was looked at")
    store.write_blocks(dataset, artifact, Recorded(checksums["sha256"], partial.block_crc32s()))
    kept = keep(dataset, artifact, store, checksums, source=redact(source), rewrapped=rewrapped, part=partial.path)
    partial.discard()
    yield kept
    receipt = store.receipt(dataset, artifact)
    assert receipt is not None  # `keep` has just written it
    return receipt


def _is_right(
    order: Order, artifact: Artifact, partial: Partial, pinned: Receipt | None
) -> Generator[Record, None, bool]:
    try:
        yield from judge(order.dataset, artifact, partial.path, partial.digests(), order.store, pinned=pinned)
    except VerificationError:
        return False
    return True


def _want(artifact: Artifact, pinned: Receipt | None) -> Want:
    limit_bytes = artifact.size
    if rewrapping := has_second_identity(artifact):
        # A new wrapper may well be larger than the old one, but not by any amount.
        limit_bytes = None if artifact.size is None else 2 * artifact.size + 2**20
    return Want(
        artifact.file,
        any_wrapper=rewrapping,
        expected_bytes=None if rewrapping else artifact.size,
        limit_bytes=limit_bytes,
        trusting=bool(artifact.checksums) or pinned is not None,
    )


def _refusal(dataset: Dataset, artifact: Artifact, store: Store, failures: dict[str, DlcatError]) -> DlcatError:
    """The error that says what became of every source."""
    name = f"{dataset.name}/{artifact.file}"
    lines = [f"{name} from {redact(source)}: {error.message}" for source, error in failures.items()]
    if any(isinstance(error, VerificationError) for error in failures.values()):
        hints = [hint(error.found) for error in failures.values() if isinstance(error, WrongBytesError)]
        hints += [f"try a mirror (--mirror URL), or ask upstream whether the file has changed: {dataset.homepage}"]
        if (kept := store.evidence_path(dataset, artifact)).exists():
            hints += [f"the first bytes of what came last are in {kept}"]
        return VerificationError("\n".join(lines), hint="\n".join(dict.fromkeys(filter(None, hints))))
    if dataset.access != "open":
        return by_hand_error(dataset, [artifact], lines)
    ways = f"check the connection, try a mirror (--mirror URL), or get the file from {dataset.homepage} and "
    return UnreachableError(
        "\n".join(lines) or f"{name}: the catalog names no source", hint=f"{ways}`dlcat import {dataset.name} PATH`"
    )
