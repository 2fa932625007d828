"""Part of a dataset: whole artifacts of one split, or of archives the members that are asked for, and nothing else kept.

Of a zip only the directory and the wanted members travel; a tar must pass as a whole, and one file compressed alone is
fetched whole. An archive that is in the store already is read there.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from dlcat.catalog.dataset import ARCHIVES
from dlcat.disk import disk_errors
from dlcat.errors import DlcatError, UnreachableError, VerificationError
from dlcat.fetch.accept import has_second_identity
from dlcat.fetch.fetch import Order, by_hand_error, claimed, fulfil
from dlcat.fetch.identity import promise
from dlcat.fetch.install import write_notices
from dlcat.fetch.offline import reachable, require_reachable
from dlcat.fetch.plan import sources
from dlcat.fetch.records import Installed, Skipped, Tried, Unpacked
from dlcat.fetch.slices.chosen import Selection
from dlcat.fetch.slices.members import Found, from_local_tar, from_local_zip, from_tar, from_zip
from dlcat.fetch.slices.plan import (
    archives_of,
    concerned,
    inside,
    is_sliced,
    nothing_matches,
    singles_of,
)
from dlcat.fetch.slices.record import Piece, Request, Slice, here, read_slice, withdraw_slice, write_slice
from dlcat.fetch.slices.remote_zip import Remote
from dlcat.fetch.staging import discard, files_path
from dlcat.fetch.terms import require_acceptance
from dlcat.fetch.wire.answer import ChangedError, SourceError, WrongBytesError
from dlcat.fetch.wire.credentials import redact
from dlcat.fetch.wire.health import Health
from dlcat.fetch.wire.network import Network
from dlcat.fetch.wire.sniff import hint

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.records import Record
    from dlcat.fetch.store import Store

NOTICES = ("LICENSE.txt", "CITATION.bib")


def fetch_slice(
    dataset: Dataset,
    store: Store,
    *,
    only: tuple[str, ...] = (),
    split: str | None = None,
    sample: int | None = None,
    parts: tuple[str, ...] = (),
    mirror: tuple[str, ...] = (),
    network: Network | None = None,
) -> Iterator[Record]:
    """Bring part of a dataset and yield what happens; what is there of it already is not fetched again.

    The whole is never said to be here: a slice has a note of its own, see `slices`. With `split` alone whole artifacts are
    fetched, as `fetch` does.

    Args:
        dataset: the catalog entry.
        store: the cache.
        only: patterns over the paths inside archives, see `chosen`; one must match.
        split: only artifacts of this split, and those that serve all splits and belong to no part.
        sample: of each archive so many files, of those that match; the same on every machine.
        parts: of these parts of the dataset, by default of the default ones, or of those that have the split.
        mirror: base URLs; `<mirror>/<dataset>/<file>` is tried before upstream.
        network: connections, rate and patience.

    Raises:
        UsageError: nothing is asked for, nothing matches, or no such split or part; names what is near.
        AccessError: a person must ask for the data, or they are gone, and no mirror has them.
        DiskError: not enough room, or no right to write.
        UnreachableError: no source of an artifact could be reached, or none serves ranges of it.
        VerificationError: a member is not what its archive says, or an archive not what the catalog says.
    """
    require_acceptance(dataset)
    selection = Selection(tuple(only), sample)
    chosen = concerned(dataset, selection, split, parts)
    for artifact in chosen:
        sources(dataset, artifact, mirror)  # a mistyped mirror is said at once
    order = Order(dataset, store, chosen, tuple(mirror), network=network or Network())
    if selection == Selection():
        yield from fulfil(order)
    else:
        yield from _fetch_members(order, selection)
    yield Installed(dataset.name, len(chosen), store.data_path(dataset))


def _fetch_members(order: Order, selection: Selection) -> Generator[Record, None, None]:
    dataset, store = order.dataset, order.store
    singles = singles_of(order.chosen, selection)
    names: list[str] = [inside(artifact) for artifact in order.chosen if artifact.unpack not in ARCHIVES]
    matched = bool(singles)
    lock = yield from claimed(dataset, store)
    try:
        for artifact in archives_of(order.chosen):
            seen = yield from _slice(order, artifact, selection)
            matched = matched or seen is None
            names += seen or ()
        if not matched:
            raise nothing_matches(dataset, selection, names)
        _write_notices(dataset, store)
    finally:
        lock.release()
    if singles:
        yield from fulfil(replace(order, chosen=singles))


def _slice(order: Order, artifact: Artifact, selection: Selection) -> Generator[Record, None, list[str] | None]:
    """Bring what is selected of one archive; returns None, or the paths that it has where none matches."""
    dataset, store = order.dataset, order.store
    if store.is_unpacked(dataset, artifact):
        names = [entry.path for entry in store.entries(dataset, artifact)]
        if not selection.taken(names):
            return names
        yield Skipped(artifact.file, "already there, whole")
        return None
    if is_sliced(dataset, artifact, store, selection):
        yield Skipped(artifact.file, "this slice is already there")
        return None
    former = read_slice(dataset, artifact, store)
    try:
        found = yield from _found(order, artifact, selection, former)
        if not found.entries and not found.kept:
            return found.names
        made = _publish(dataset, artifact, store, former, found, selection)
    finally:
        _leave(dataset, artifact, store)
    yield Unpacked(artifact.file, len(made.files), made.size_bytes)
    return None


def _found(
    order: Order, artifact: Artifact, selection: Selection, former: Slice | None
) -> Generator[Record, None, Found]:
    if order.store.state(order.dataset, artifact) != "ok":
        return (yield from _found_far(order, artifact, selection, former))
    receipt = order.store.receipt(order.dataset, artifact)
    assert receipt is not None  # else it were not ok
    near_by = from_local_zip if artifact.unpack == "zip" else from_local_tar
    return (yield from near_by(order, artifact, selection, former, receipt))


def _found_far(
    order: Order, artifact: Artifact, selection: Selection, former: Slice | None
) -> Generator[Record, None, Found]:
    """Try the sources until one has given what is selected."""
    dataset, store = order.dataset, order.store
    require_reachable(dataset, [artifact], order.mirror)
    far = from_zip if artifact.unpack == "zip" else from_tar
    kind = "" if has_second_identity(artifact) else artifact.file
    health = Health(store.health_path)
    failures: dict[str, DlcatError] = {}
    for source in health.order(reachable(sources(dataset, artifact, order.mirror))):
        for pinned in (True, False):  # some servers give every answer another ETag
            remote = Remote(source, order.network, file=kind, expected_bytes=artifact.size, pinned=pinned)
            began_seconds = monotonic()
            try:
                found = yield from far(order, artifact, selection, former, remote)
                health.ok(source, found.moved_bytes, monotonic() - began_seconds)
                return found
            except (SourceError, VerificationError) as error:
                failures[source] = error
                health.failed(source, error.message, "network" if isinstance(error, SourceError) else "wrong bytes")
            finally:
                remote.stop()
            yield Tried(artifact.file, redact(source), failures[source].message)
            if not isinstance(failures[source], ChangedError):
                break
    raise _refusal(dataset, artifact, store, failures)


def _publish(
    dataset: Dataset, artifact: Artifact, store: Store, former: Slice | None, found: Found, selection: Selection
) -> Slice:
    """Move the files to their places, then write the note that they are there."""
    folder, target = files_path(dataset, artifact, store), store.data_path(dataset)
    with disk_errors(target):
        if former is None:  # there may be one of something that the catalog no longer promises
            withdraw_slice(dataset, artifact, store, {entry.path for entry in found.entries})
        for entry in found.entries:
            place = target / entry.path
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder / entry.path, place)
    made = _noted(dataset, artifact, store, former, found, selection)
    write_slice(dataset, artifact, store, made)
    return made


def _noted(
    dataset: Dataset, artifact: Artifact, store: Store, former: Slice | None, found: Found, selection: Selection
) -> Slice:
    there = [] if former is None else here(dataset, store, former)
    requests = former.requests if former is not None and len(there) == len(former.files) else ()
    pieces = {piece.path: piece for piece in there}
    for entry in found.entries:
        assert entry.checksum is not None  # what comes out of an archive is hashed as it is written
        pieces[entry.path] = Piece(entry.path, entry.size_bytes, entry.checksum, found.vouchers[entry.path])
    return Slice(
        artifact=artifact.file,
        promised=promise(artifact),
        version=found.version,
        source=found.source,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        requests=tuple(dict.fromkeys((*requests, Request(selection.only, selection.sample)))),
        files=tuple(pieces[path] for path in sorted(pieces)),
        all_files=found.all_files,
        all_bytes=found.all_bytes,
    )


def _leave(dataset: Dataset, artifact: Artifact, store: Store) -> None:
    discard(dataset, artifact, store)
    with suppress(OSError):  # others lie there, or nothing was unpacked
        store.staging_path(dataset).rmdir()


def _write_notices(dataset: Dataset, store: Store) -> None:
    taken = {piece.path for artifact in dataset.artifacts for piece in _pieces(dataset, artifact, store)}
    if not taken.intersection(NOTICES):
        write_notices(dataset, store)


def _pieces(dataset: Dataset, artifact: Artifact, store: Store) -> tuple[Piece, ...]:
    found = read_slice(dataset, artifact, store)
    return () if found is None else found.files


def _refusal(dataset: Dataset, artifact: Artifact, store: Store, failures: dict[str, DlcatError]) -> DlcatError:
    """The error that says what became of every source."""
    name = f"{dataset.name}/{artifact.file}"
    lines = [f"{name} from {redact(source)}: {error.message}" for source, error in failures.items()]
    whole = f"try a mirror (--mirror URL), or fetch all of it: dlcat fetch {dataset.name}"
    if any(isinstance(error, VerificationError) for error in failures.values()):
        hints = [hint(error.found) for error in failures.values() if isinstance(error, WrongBytesError)]
        if read_slice(dataset, artifact, store) is not None:
            hints += [f"the slice that is here stays; to begin anew: dlcat cache rm {dataset.name}"]
        return VerificationError("\n".join(lines), hint="\n".join(dict.fromkeys([*hints, whole])))
    if dataset.access != "open":
        return by_hand_error(dataset, [artifact], lines)
    return UnreachableError("\n".join(lines) or f"{name}: the catalog names no source", hint=whole)
