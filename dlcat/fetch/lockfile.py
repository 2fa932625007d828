"""dlcat.lock: the bytes a project was made with, in a file that is kept with the project, so that nothing else is taken.

YAML, because it is read in diffs: one value a line, datasets and files in alphabetical order, no commas that change with
the line above, and faults named with their line. It is written from the store's receipts. Bytes that are locked already keep
what was noted of them first, so that locking the same files on another machine changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, MinLen

from dlcat.disk import write_beside
from dlcat.errors import InvalidError, UsageError, VerificationError
from dlcat.registry import STRICT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.document import Document
    from dlcat.fetch.store import Receipt, Store
    from dlcat.schema import Fault

VERSION = 1
"""Of the format; a file of another one is not read."""
HEADER = """\
# The bytes that this project uses. Written by `dlcat lock`, held by `dlcat fetch --frozen`; keep it with the project.
"""
BY_HAND = "by hand"
"""The source of a file that a person handed over; where it lay is nobody else's business."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9._/+@:-]*(?<!:)")
"""What YAML needs no quotes for, unless it would be read as a number or a word such as true."""
_HINT = "restore it from version control, or remove it and run `dlcat lock`"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """One artifact as it was when it was locked."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    size_bytes: Annotated[int, Ge(0)]
    """Bytes."""
    sha256: str
    """Of the file itself."""
    source: Annotated[str, MinLen(1)]
    """Where it came from."""
    first_seen: str
    """When these bytes were first verified; UTC, ISO 8601."""
    by: str | None = None
    """Whose file it was then; null where the system does not say."""
    rewrapped: bool = False
    """Whether the archive is another than the catalog's, with the right files inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedDataset:
    """The locked artifacts of a dataset."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    entry: str
    """What in the catalog's entry decides how these files become data, see `entry_hash`."""
    dlcat: str
    """The version that locked it."""
    artifacts: dict[str, LockedFile]
    """By file name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A whole lock file."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    version: int = VERSION
    """Of the format."""
    datasets: dict[str, LockedDataset] = field(default_factory=dict)
    """By name."""


def read(path: Path) -> Lock | None:
    """What a lock file says; None where there is none.

    Raises:
        InvalidError: it cannot be read, is of another format, or does not follow this one; every fault with its line.
    """
    from dlcat import document  # YAML and pydantic cost 150 ms
    from dlcat.schema import Schema

    if not path.exists():
        return None
    found = document.load(path)
    if (version := found.data.get("version")) != VERSION:
        expected = (
            f"expected {VERSION}, found {version!r}" if version is not None else "expected this key, found nothing"
        )
        raise InvalidError(f"{found.at(('version',))}: {expected}", hint="another version of dlcat may have written it")
    lock, faults = Schema(Lock).read(found.data)
    faults += [] if lock is None else list(_faults(lock))
    if faults or lock is None:
        raise InvalidError(_lines(found, faults), hint=_HINT)
    assert isinstance(lock, Lock)
    return lock


def write(path: Path, lock: Lock) -> None:
    """Write the lock file, whole or not at all.

    Raises:
        DiskError: it cannot be written.
    """
    write_beside(path, render(lock))


def render(lock: Lock) -> str:
    """The lock as it is written."""
    lines = [HEADER + f"version: {lock.version}", "datasets:" if lock.datasets else "datasets: {}"]
    for name, dataset in sorted(lock.datasets.items()):
        lines += [f"  {_scalar(name)}:", f"    entry: {_scalar(dataset.entry)}", f"    dlcat: {_scalar(dataset.dlcat)}"]
        lines += ["    artifacts:" if dataset.artifacts else "    artifacts: {}"]
        for file, locked in sorted(dataset.artifacts.items()):
            lines += [f"      {_scalar(file)}:", *(f"        {line}" for line in _file_lines(locked))]
    return "\n".join(lines) + "\n"


def lock(datasets: Iterable[Dataset], store: Store, former: Lock | None = None, *, version: str) -> Lock:
    """The former lock with what the store holds of these datasets, verified, in the place of what it said of them.

    Files that are locked and not in this store stay locked, as long as the catalog knows them.

    Args:
        datasets: what to lock.
        store: the cache.
        former: what was locked so far.
        version: of dlcat, to be noted beside what is new.

    Raises:
        UsageError: nothing of a dataset is in the store.
    """
    base = former or Lock()
    return replace(base, datasets=base.datasets | {each.name: _locked(each, store, base, version) for each in datasets})


def frozen(dataset: Dataset, lock: Lock | None, *, parts: tuple[str, ...] = ()) -> Dataset:
    """The entry with the locked files alone, each held to its locked size and sha256: `fetch` does the rest.

    Args:
        dataset: the catalog entry.
        lock: what is locked; None where there is no lock file.
        parts: the parts that will be fetched; by default the default ones.

    Raises:
        InvalidError: the dataset, or an artifact of these parts, is not locked, or the entry has changed since.
        VerificationError: the catalog promises other bytes than those that are locked.
    """
    hint = f"dlcat lock {dataset.name}, and look at what changes in dlcat.lock"
    locked = None if lock is None else lock.datasets.get(dataset.name)
    if locked is None:
        what = "there is no dlcat.lock" if lock is None else f"dlcat.lock does not know {dataset.name}"
        raise InvalidError(f"{dataset.name}: expected a locked dataset, but {what}", hint=hint)
    open_files = [artifact.file for artifact in dataset.selected(parts) if artifact.file not in locked.artifacts]
    if open_files:
        raise InvalidError(f"{dataset.name}: not in dlcat.lock: {', '.join(open_files)}", hint=hint)
    if (found := entry_hash(dataset, locked.artifacts)) != locked.entry:
        expected = f"expected the entry that was locked, {locked.entry}, found {found}"
        raise InvalidError(f"{dataset.name}: the catalog has changed: {expected}", hint=hint)
    kept = [artifact for artifact in dataset.artifacts if artifact.file in locked.artifacts]
    return replace(dataset, artifacts=[_held(dataset, each, locked.artifacts[each.file]) for each in kept])


def require_locked(dataset: Dataset, lock: Lock | None, digests: Mapping[str, str]) -> None:
    """Hold the bytes that are about to be used to the lock.

    Args:
        dataset: the catalog entry.
        lock: what is locked; None where there is no lock file.
        digests: artifact file to verified sha256.

    Raises:
        InvalidError: the dataset, or a file, is not locked.
        VerificationError: a file has other bytes.
    """
    locked = lock.datasets[dataset.name].artifacts if lock and dataset.name in lock.datasets else {}
    hint = f"dlcat lock {dataset.name}"
    if unknown := sorted(digests.keys() - locked.keys()):
        raise InvalidError(f"{dataset.name}: not in dlcat.lock: {', '.join(unknown)}", hint=hint)
    other = [file for file, digest in sorted(digests.items()) if locked[file].sha256 != digest]
    lines = [f"{dataset.name}/{file}: locked is sha256 {locked[file].sha256}, found {digests[file]}" for file in other]
    if lines:
        raise VerificationError("\n".join(lines), hint=f"dlcat fetch --frozen {dataset.name}")


def citation(path: Path, dataset: Dataset, digests: Mapping[str, str]) -> dict[str, Any] | None:
    """What a run's report says of the lock file: its own sha256, and whether the run's files are those in it.

    None where there is no lock file.

    Raises:
        InvalidError: it cannot be read.
    """
    if (found := read(path)) is None:
        return None
    locked = found.datasets.get(dataset.name)
    holds = locked is not None and all(
        file in locked.artifacts and locked.artifacts[file].sha256 == digest for file, digest in digests.items()
    )
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "holds": holds}


def entry_hash(dataset: Dataset, files: Iterable[str]) -> str:
    """'sha256:...' of what in the entry decides how these files become data: how they unpack, and how they are read.

    Texts, addresses, licences and checksums are not in it: the bytes are locked themselves, and better words make no other
    data. A later dlcat that knows more fields finds the same hash.
    """
    chosen = set(files)
    decisive = {
        "splits": dataset.splits,
        "classes": dataset.classes,
        "sample": [dataset.sample.shape, dataset.sample.dtype, dataset.sample.rate_hertz],
        "reader": dataset.reader.plain() if dataset.reader else None,
        "artifacts": sorted(
            [artifact.file, artifact.split, artifact.part, artifact.unpack, artifact.nested]
            for artifact in dataset.artifacts
            if artifact.file in chosen
        ),
    }
    return f"sha256:{hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()}"


def lockable(datasets: Iterable[Dataset], store: Store) -> list[Dataset]:
    """The datasets of which the store holds anything verified."""
    return [dataset for dataset in datasets if "ok" in store.states(dataset).values()]


def _locked(dataset: Dataset, store: Store, base: Lock, version: str) -> LockedDataset:
    former = base.datasets.get(dataset.name)
    known = former.artifacts if former else {}
    files: dict[str, LockedFile] = {}
    for artifact in dataset.artifacts:
        receipt = store.receipt(dataset, artifact)
        if receipt is not None and store.state(dataset, artifact) == "ok":
            files[artifact.file] = _of_receipt(dataset, artifact, store, receipt, known.get(artifact.file))
        elif artifact.file in known:
            files[artifact.file] = known[artifact.file]
    if not files:
        raise UsageError(f"nothing of {dataset.name} is in the cache", hint=f"dlcat fetch {dataset.name}")
    now = LockedDataset(entry=entry_hash(dataset, files), dlcat=version, artifacts=files)
    # A newer dlcat that finds the same leaves no trace in the diff.
    return former if former is not None and replace(now, dlcat=former.dlcat) == former else now


def _of_receipt(
    dataset: Dataset, artifact: Artifact, store: Store, receipt: Receipt, known: LockedFile | None
) -> LockedFile:
    found = (receipt.size_bytes, receipt.checksums["sha256"])
    if known is not None and (known.size_bytes, known.sha256) == found:
        return known
    is_named = receipt.source.startswith(("http://", "https://", "package:"))
    return LockedFile(
        size_bytes=receipt.size_bytes,
        sha256=receipt.checksums["sha256"],
        source=receipt.source if is_named else BY_HAND,
        first_seen=receipt.when,
        by=_owner(store.artifact_path(dataset, artifact)),
        rewrapped=receipt.rewrapped,
    )


def _owner(path: Path) -> str | None:
    """The name of the user whose file it is."""
    try:
        return path.owner()
    except (OSError, KeyError, NotImplementedError, ImportError):
        return None


def _held(dataset: Dataset, artifact: Artifact, locked: LockedFile) -> Artifact:
    """The artifact, held to the locked bytes."""
    promised = artifact.checksums.get("sha256", locked.sha256)
    if promised != locked.sha256 and not locked.rewrapped:
        raise VerificationError(
            f"{dataset.name}/{artifact.file}: locked is sha256 {locked.sha256}, the catalog promises {promised}",
            hint=f"dlcat lock {dataset.name}, if the catalog is right",
        )
    # Other checksums are kept, except of another wrapper: they are those of the same bytes. Hashes of files inside are not:
    # no third wrapper is accepted for what it holds.
    others = {} if locked.rewrapped else artifact.checksums
    return replace(
        artifact,
        size=locked.size_bytes,
        checksums=others | {"sha256": locked.sha256},
        tree=None,
        contents=[replace(member, sha256=None, sha1=None, md5=None) for member in artifact.contents],
    )


def _faults(lock: Lock) -> Iterator[Fault]:
    for name, dataset in lock.datasets.items():
        for file, locked in dataset.artifacts.items():
            if not _SHA256.fullmatch(locked.sha256):
                where = ("datasets", name, "artifacts", file, "sha256")
                yield where, f"expected 64 hexadecimal digits in lower case, found {locked.sha256!r}"


def _lines(document: Document, faults: list[Fault]) -> str:
    return "\n".join(f"{document.at(where)}: {text}" for where, text in faults)


def _file_lines(locked: LockedFile) -> list[str]:
    lines = [
        f"size_bytes: {locked.size_bytes}",
        f"sha256: {_scalar(locked.sha256)}",
        f"source: {_scalar(locked.source)}",
        f"first_seen: {_scalar(locked.first_seen)}",
    ]
    lines += [] if locked.by is None else [f"by: {_scalar(locked.by)}"]
    return [*lines, "rewrapped: true"] if locked.rewrapped else lines


def _scalar(text: str) -> str:
    """The text so that YAML reads it as this text: 64 digits with an e among them would be a number."""
    from dlcat.document import scalar

    if _PLAIN.fullmatch(text) and scalar(text) == text:
        return text
    known = text.encode(errors="replace").decode()  # half a character, as a system's names may hold
    signs = (f"\\{sign}" if sign in '"\\' else sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in known)
    return f'"{"".join(signs)}"'
