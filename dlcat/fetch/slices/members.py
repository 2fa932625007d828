"""The selected members of one archive, brought to lie apart: out of the store, or from a source."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from dlcat.disk import disk_errors, require_room
from dlcat.errors import VerificationError
from dlcat.fetch.accept import MismatchError, has_second_identity, vouched_paths
from dlcat.fetch.download.partial import adopt
from dlcat.fetch.identity import CHUNK_BYTES, Hashes, algorithms, hash_file, strongest
from dlcat.fetch.records import Started, moved
from dlcat.fetch.slices.record import here
from dlcat.fetch.slices.remote_zip import read_directory
from dlcat.fetch.slices.tar import Chosen
from dlcat.fetch.slices.zip import begin, bring, list_members, local_version, spans, version
from dlcat.fetch.staging import discard, files_path, unpack_apart
from dlcat.fetch.unpack import budget
from dlcat.fetch.unpack.archive import unpack_stream
from dlcat.fetch.unpack.budget import Account
from dlcat.fetch.wire.answer import FINAL, ChangedError, SourceError, WrongBytesError
from dlcat.fetch.wire.credentials import redact

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.download.partial import Partial
    from dlcat.fetch.fetch import Order
    from dlcat.fetch.records import Progress, Record
    from dlcat.fetch.slices.chosen import Selection
    from dlcat.fetch.slices.record import Piece, Slice, Voucher
    from dlcat.fetch.slices.remote_zip import Remote
    from dlcat.fetch.slices.zip import Member
    from dlcat.fetch.store import Entry, Receipt, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an archive had of what was asked for."""

    entries: list[Entry]
    """The files that lie apart now."""
    vouchers: dict[str, Voucher]
    kept: list[Piece]
    """Those that were there already."""
    version: str
    source: str
    all_files: int
    all_bytes: int | None
    names: list[str]
    """Paths that it holds, for who asked in vain."""
    moved_bytes: int = 0


def from_zip(
    order: Order, artifact: Artifact, selection: Selection, former: Slice | None, remote: Remote
) -> Generator[Record, None, Found]:
    """Out of a zip at its source, by its directory.

    Raises:
        SourceError: the source failed, or serves no ranges; a ChangedError where it is worth another try.
        VerificationError: it is damaged, unsafe, of another length or another version than it must be.
        DiskError: not enough room, or no right to write.
    """
    dataset, store = order.dataset, order.store
    directory = read_directory(remote)
    size_bytes = remote.size_bytes
    assert size_bytes is not None  # who read its end knows where that is
    if artifact.size not in (None, size_bytes):
        raise WrongBytesError(f"{artifact.size} bytes", f"{size_bytes} bytes")
    _require_same(former, version(directory))
    with adopt(store.notes_path(dataset), f"{artifact.file}.slice", ()) as partial:
        was_begun = begin(partial, redact(remote.url), directory, size_bytes)
        members = list_members(partial.path, budget(dataset, artifact, size_bytes))
        kept, wanted = _divided(dataset, store, former, selection, members)
        lacking = spans(wanted, partial.gaps(), size_bytes)
        lacking_bytes = sum(end - start for start, end in lacking)
        require_room(store.locations.cache, lacking_bytes + sum(member.size_bytes for member in wanted))
        if wanted:
            yield Started(dataset.name, artifact.file, lacking_bytes, redact(remote.url))
        yield from moved(bring(remote, partial, lacking, order.network.connections), artifact.file, "download")
        entries = yield from _unpacked(order, artifact, partial, wanted, was_begun=was_begun)
        partial.discard()
    return Found(
        entries=entries,
        vouchers=_vouchers(artifact, entries, files_path(dataset, artifact, store), "crc32"),
        kept=kept,
        version=version(directory),
        source=redact(remote.url),
        all_files=len(members),
        all_bytes=sum(member.size_bytes for member in members),
        names=[member.path for member in members],
        moved_bytes=lacking_bytes,
    )


def _unpacked(
    order: Order, artifact: Artifact, partial: Partial, wanted: list[Member], *, was_begun: bool
) -> Generator[Record, None, list[Entry]]:
    if not wanted:
        return []
    only = frozenset(member.path for member in wanted)
    try:
        return (yield from unpack_apart(order.dataset, artifact, partial.path, order.store, only=only))
    except VerificationError as error:
        partial.forget()
        if was_begun:
            raise ChangedError(f"with what was here of an earlier try: {error.message}") from error
        raise


def from_local_zip(
    order: Order, artifact: Artifact, selection: Selection, former: Slice | None, receipt: Receipt
) -> Generator[Record, None, Found]:
    """Out of a zip in the store.

    Raises:
        VerificationError: it cannot be unpacked safely, or is of another version than the slice that is here.
        DiskError: not enough room, or no right to write.
    """
    dataset, store = order.dataset, order.store
    path = store.artifact_path(dataset, artifact)
    found_version = local_version(path)
    _require_same(former, found_version)
    members = list_members(path, budget(dataset, artifact, receipt.size_bytes))
    vouched = vouched_paths(artifact, receipt)
    members = [member for member in members if vouched is None or member.path in vouched]
    kept, wanted = _divided(dataset, store, former, selection, members)
    only = frozenset(member.path for member in wanted)
    require_room(store.locations.cache, sum(member.size_bytes for member in wanted))
    entries: list[Entry] = []
    if wanted:
        entries = yield from unpack_apart(dataset, artifact, path, store, only=only)
    return Found(
        entries=entries,
        vouchers=_vouchers(artifact, entries, files_path(dataset, artifact, store), _local_voucher(receipt)),
        kept=kept,
        version=found_version,
        source=receipt.source,
        all_files=len(members),
        all_bytes=sum(member.size_bytes for member in members),
        names=[member.path for member in members],
    )


def _divided(
    dataset: Dataset, store: Store, former: Slice | None, selection: Selection, members: list[Member]
) -> tuple[list[Piece], list[Member]]:
    """What is selected: the files that are there, and the members that are to be brought."""
    there = {} if former is None else {piece.path: piece for piece in here(dataset, store, former)}
    taken = frozenset(selection.taken(member.path for member in members))
    kept = [there[path] for path in sorted(taken & there.keys())]
    return kept, [member for member in members if member.path in taken and member.path not in there]


def from_tar(
    order: Order, artifact: Artifact, selection: Selection, former: Slice | None, remote: Remote
) -> Generator[Record, None, Found]:
    """Out of a tar at its source, all of which passes, so that its checksum decides.

    Raises:
        SourceError: the source failed.
        VerificationError: it is damaged, unsafe, or not what the catalog promises.
        DiskError: no room, or no right to write.
    """
    with closing(remote.chunks()) as chunks:
        return (yield from _from_stream(order, artifact, selection, former, remote, chunks))


def _from_stream(
    order: Order,
    artifact: Artifact,
    selection: Selection,
    former: Slice | None,
    remote: Remote,
    chunks: Iterator[bytes],
) -> Generator[Record, None, Found]:
    first = next(chunks, b"")
    remote.require_kind(first)
    size_bytes = remote.size_bytes
    if size_bytes is None:
        raise SourceError("it does not say how long the file is", FINAL)
    if artifact.size not in (None, size_bytes) and not has_second_identity(artifact):
        raise WrongBytesError(f"{artifact.size} bytes", f"{size_bytes} bytes")
    yield Started(order.dataset.name, artifact.file, size_bytes, redact(remote.url))
    stream = _Hashed(chain((first,), chunks), algorithms(artifact))
    target = yield from _streamed(order, artifact, selection, stream, size_bytes, among=None)
    digests = stream.hashes.digests()
    entries = sorted(target.files.values(), key=lambda entry: entry.path)
    vouchers = _vouchers(artifact, entries, files_path(order.dataset, artifact, order.store), "archive")
    expected = strongest(artifact.checksums)
    is_archive = expected is None or digests[expected[0]] == expected[1]
    if expected is not None and not is_archive and not _all_members(vouchers):
        raise MismatchError(f"{expected[0]} {expected[1]}", f"{expected[0]} {digests[expected[0]]}")
    found_version = f"sha256:{digests['sha256']}"
    _require_same(former, found_version)
    return Found(
        entries=entries,
        vouchers=vouchers,
        kept=[],
        version=found_version,
        source=redact(remote.url),
        all_files=target.offered,
        all_bytes=None,
        names=target.names,
        moved_bytes=size_bytes,
    )


def from_local_tar(
    order: Order, artifact: Artifact, selection: Selection, former: Slice | None, receipt: Receipt
) -> Generator[Record, None, Found]:
    """Out of a tar in the store.

    Raises:
        VerificationError: it cannot be unpacked safely, or is of another version than the slice that is here.
        DiskError: no room, or no right to write.
    """
    path = order.store.artifact_path(order.dataset, artifact)
    found_version = f"sha256:{receipt.checksums['sha256']}"
    _require_same(former, found_version)
    with disk_errors(path), open(path, "rb") as stream:
        chunks = _Hashed(iter(lambda: stream.read(CHUNK_BYTES), b""), ())
        among = vouched_paths(artifact, receipt)
        target = yield from _streamed(order, artifact, selection, chunks, receipt.size_bytes, among=among)
    entries = sorted(target.files.values(), key=lambda entry: entry.path)
    folder = files_path(order.dataset, artifact, order.store)
    return Found(
        entries=entries,
        vouchers=_vouchers(artifact, entries, folder, _local_voucher(receipt)),
        kept=[],
        version=found_version,
        source=receipt.source,
        all_files=target.offered,
        all_bytes=None,
        names=target.names,
    )


def _all_members(vouchers: dict[str, Voucher]) -> bool:
    """Whether the catalog knows every one of the files: then the wrapper does not matter."""
    return bool(vouchers) and all(voucher == "member" for voucher in vouchers.values())


class _Hashed:
    """Chunks, hashed and counted as they pass."""

    def __init__(self, chunks: Iterator[bytes], names: Iterable[str]) -> None:
        self.hashes = Hashes(names)
        self.done_bytes = 0
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.hashes.update(chunk)
            self.done_bytes += len(chunk)
            yield chunk


def _streamed(
    order: Order,
    artifact: Artifact,
    selection: Selection,
    stream: _Hashed,
    size_bytes: int,
    *,
    among: frozenset[str] | None,
) -> Generator[Record, None, Chosen]:
    """The selected members of a tar that passes, lying apart."""
    dataset, store = order.dataset, order.store
    discard(dataset, artifact, store)
    folder = files_path(dataset, artifact, store)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    account = Account(budget(dataset, artifact, size_bytes))
    target = Chosen(folder, account, selection, among=among)

    def steps() -> Generator[Progress, None, None]:
        for _ in unpack_stream(iter(stream), target, artifact.file):
            yield stream.done_bytes, size_bytes
        yield stream.done_bytes, size_bytes

    yield from moved(steps(), artifact.file, "download")
    return target


def _local_voucher(receipt: Receipt) -> Voucher:
    return "member" if receipt.rewrapped else "archive"


def _vouchers(artifact: Artifact, entries: list[Entry], folder: Path, otherwise: Voucher) -> dict[str, Voucher]:
    """What each file was held to: the checksum that the catalog has of it, which is looked at here, or else the rest.

    Raises:
        MismatchError: it has another one.
    """
    listed = {member.path: strongest(member.checksums) for member in artifact.contents}
    found: dict[str, Voucher] = {}
    for entry in entries:
        expected = listed.get(entry.path)
        found[entry.path] = otherwise if expected is None else "member"
        if expected is None:
            continue
        algorithm, digest = expected
        digest_found = (entry.checksum or "").removeprefix("sha256:")
        if algorithm != "sha256":
            digest_found = _hashed(folder / entry.path, algorithm)
        if digest_found != digest:
            raise MismatchError(f"member {entry.path!r} with {algorithm} {digest}", f"{algorithm} {digest_found}")
    return found


def _hashed(path: Path, algorithm: str) -> str:
    steps = hash_file(path, (algorithm,))
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            digests: dict[str, str] = stop.value
            return digests[algorithm]


def _require_same(former: Slice | None, found: str) -> None:
    """Refuse to put two versions of an archive into one slice."""
    if former is not None and former.version != found:
        raise MismatchError(f"the version that the slice here is of ({former.version}, {former.when[:10]})", found)
