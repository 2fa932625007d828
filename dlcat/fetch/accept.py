"""Whether bytes are the artifact, by its own checksum or by those of the files inside, and keeping them if they are."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dlcat.disk import disk_errors
from dlcat.errors import VerificationError
from dlcat.fetch.identity import hash_file, promise, strongest, tree_hash
from dlcat.fetch.records import Moved, Verified, moved
from dlcat.fetch.staging import discard, files_path, remember, unpack_apart
from dlcat.fetch.store import Receipt

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from dlcat.catalog.dataset import Artifact, Dataset, Member
    from dlcat.fetch.store import Entry, Store


class MismatchError(VerificationError):
    """Bytes that are not what they must be, as two facts that a record can carry apart."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found


def has_second_identity(artifact: Artifact) -> bool:
    """Whether the catalog knows hashes of files inside, so that another archive hash need not mean other data."""
    listed = any(member.checksums for member in artifact.contents)
    return artifact.unpack != "none" and (artifact.tree is not None or listed)


def vouched_paths(artifact: Artifact, receipt: Receipt) -> frozenset[str] | None:
    """What may be unpacked: everything (None), or of a rewrapped archive without a tree hash the files that are listed."""
    is_right_itself = artifact.checksums.get("sha256") == receipt.checksums["sha256"]  # by now: a lock says so
    return _vouched_inside(artifact) if receipt.rewrapped and not is_right_itself else None


def judge(
    dataset: Dataset, artifact: Artifact, path: Path, checksums: dict[str, str], store: Store, *, pinned: Receipt | None
) -> Generator[Moved, None, bool]:
    """Decide whether the file is the artifact; returns True where it is so by the files inside only (rewrapped).

    Args:
        dataset: for the unpacked size it promises.
        artifact: what is expected.
        path: the file.
        checksums: what was computed over it, with `identity.algorithms`.
        store: where to unpack for a look inside; what came out and is right stays there for `install`.
        pinned: the receipt of an earlier fetch, which decides where no checksum is published.

    Raises:
        MismatchError: it is not; the message is the bare reason, expected and found.
    """
    mismatch = _mismatch(artifact, path, checksums, pinned)
    if mismatch is None:
        return False
    known = next((other.note for other in artifact.other_versions if _same(other.checksums, checksums)), None)
    if known is not None:
        raise MismatchError(mismatch.expected, f"{mismatch.found}, a known other version: {known}")
    if not has_second_identity(artifact) or not artifact.checksums:
        raise mismatch
    try:
        yield from _judge_inside(dataset, artifact, path, checksums["sha256"], store)
    except VerificationError as error:
        raise MismatchError(mismatch.expected, f"{mismatch.found}; looked inside: {error.message}") from error
    return True


def require_contents(artifact: Artifact, entries: list[Entry], folder: Path) -> Generator[Moved, None, None]:
    """Hold what was unpacked into `folder` to the catalog's tree hash, or without one to the members that are listed.

    Raises:
        MismatchError: it is something else; names the first member that differs, where members are listed.
    """
    found = tree_hash((entry.path, entry.size_bytes, entry.checksum or "") for entry in entries)
    if found == artifact.tree:
        return
    by_path = {entry.path: entry for entry in entries}
    for member in artifact.contents:
        yield from _require_member(artifact, member, by_path.get(member.path), folder / member.path)
    if artifact.tree is not None:
        raise MismatchError(f"tree {artifact.tree}", f"{found} over {len(entries)} files")


def keep(
    dataset: Dataset,
    artifact: Artifact,
    store: Store,
    checksums: dict[str, str],
    *,
    source: str,
    rewrapped: bool,
    part: Path | None = None,
) -> Verified:
    """Move a judged part into its place (None: it is there already) and write its receipt, in this order.

    Raises:
        DiskError: it cannot be written.
    """
    path = store.artifact_path(dataset, artifact)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if part is not None:
            os.replace(part, path)
        found = path.stat()
    former = store.receipt(dataset, artifact)
    receipt = new_receipt(artifact, checksums, found, source=source, rewrapped=rewrapped, former=former)
    store.write_receipt(dataset, artifact, receipt)
    return verified(artifact, receipt)


def new_receipt(
    artifact: Artifact,
    checksums: dict[str, str],
    found: os.stat_result,
    *,
    source: str,
    rewrapped: bool,
    former: Receipt | None,
) -> Receipt:
    """The receipt of a file that was verified now; of bytes that were verified before, it keeps the first date."""
    known = former is not None and former.checksums["sha256"] == checksums["sha256"]
    return Receipt(
        size_bytes=found.st_size,
        mtime_ns=found.st_mtime_ns,
        # Whoever publishes several says that they are of the same bytes: one that is right makes the others right.
        checksums=checksums if rewrapped else artifact.checksums | checksums,
        promised=promise(artifact),
        provenance="published" if artifact.checksums else "seen first",
        rewrapped=rewrapped,
        source=source,
        when=former.when if former and known else datetime.now(UTC).isoformat(timespec="seconds"),
    )


def verified(artifact: Artifact, receipt: Receipt) -> Verified:
    """The record of a receipt: names the checksum that decided."""
    algorithm, _, _ = receipt.promised.partition(":")
    decided = algorithm if algorithm in receipt.checksums and not receipt.rewrapped else "sha256"
    checksum = f"{decided}:{receipt.checksums[decided]}"
    return Verified(artifact.file, checksum, receipt.provenance == "seen first", receipt.rewrapped)


def _mismatch(
    artifact: Artifact, path: Path, checksums: dict[str, str], pinned: Receipt | None
) -> MismatchError | None:
    size_bytes = path.stat().st_size
    if expected := strongest(artifact.checksums):
        algorithm, digest = expected
        found = f"{algorithm} {checksums[algorithm]}{_web_page(path)}"
        return None if checksums[algorithm] == digest else MismatchError(f"{algorithm} {digest}", found)
    if artifact.size not in (None, size_bytes):
        return MismatchError(f"{artifact.size} bytes", f"{size_bytes} bytes{_web_page(path)}")
    if pinned is not None and pinned.checksums["sha256"] != checksums["sha256"]:
        seen = f"sha256 {pinned.checksums['sha256']}, first seen on {pinned.when[:10]}"
        return MismatchError(seen, f"sha256 {checksums['sha256']}")
    return None


def _judge_inside(
    dataset: Dataset, artifact: Artifact, path: Path, sha256: str, store: Store
) -> Generator[Moved, None, None]:
    try:
        entries = yield from unpack_apart(dataset, artifact, path, store, only=_vouched_inside(artifact))
        yield from require_contents(artifact, entries, files_path(dataset, artifact, store))
        remember(dataset, artifact, store, sha256, entries)
    except BaseException:
        discard(dataset, artifact, store)
        raise


def _vouched_inside(artifact: Artifact) -> frozenset[str] | None:
    return None if artifact.tree is not None else frozenset(member.path for member in artifact.contents)


def _require_member(
    artifact: Artifact, member: Member, entry: Entry | None, path: Path
) -> Generator[Moved, None, None]:
    name = f"member {member.path!r}"
    if entry is None:
        raise MismatchError(name, "none of that name")
    if member.size not in (None, entry.size_bytes):
        raise MismatchError(f"{name} of {member.size} bytes", f"{entry.size_bytes} bytes")
    if expected := strongest(member.checksums):
        algorithm, digest = expected
        found = (entry.checksum or "").removeprefix("sha256:")
        if algorithm != "sha256":
            found = (yield from moved(hash_file(path, (algorithm,)), artifact.file, "hash"))[algorithm]
        if found != digest:
            raise MismatchError(f"{name} with {algorithm} {digest}", f"{algorithm} {found}")


def _same(known: dict[str, str], found: dict[str, str]) -> bool:
    return any(found.get(algorithm) == digest for algorithm, digest in known.items())


def _web_page(path: Path) -> str:
    """Says so where the bytes are an HTML page: a login, a quota notice, a captive portal."""
    with disk_errors(path), open(path, "rb") as stream:
        start = stream.read(256).lstrip().lower()
    return ", a web page" if start.startswith((b"<!doctype html", b"<html")) else ""
