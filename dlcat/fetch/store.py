"""The cache folder, and the state of every artifact in it, named by what lies on the disk without hashing it again.

artifacts/<dataset>/<file>               as upstream serves it
artifacts/<dataset>/.dlcat/<file>.json   its receipt, written last: what was verified, when, from where
artifacts/<dataset>/.dlcat/<file>.blocks  the CRC-32 of its blocks, for `verify --repair`
artifacts/<dataset>/.dlcat/<file>.evidence  the first bytes of what came in its place
artifacts/<dataset>/.dlcat/<file>.*.part a download under way, or broken off; see `partial`
artifacts/.locks/<dataset>.lock          held by the one process that works on the dataset
data/<dataset>/...                       the readable tree: everything unpacked, plain files linked
data/<dataset>/.dlcat/<file>.jsonl       the manifest of what one artifact brought, written last
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from dlcat.disk import disk_errors, write_beside
from dlcat.errors import UsageError
from dlcat.fetch.download.owner import is_owner, process_owner
from dlcat.fetch.identity import promise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from filelock import BaseFileLock

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.locations import Locations

State = Literal["missing", "partial", "corrupt", "ok"]
Provenance = Literal["published", "seen first"]

OWN_FOLDER = ".dlcat"
"""Where the store keeps its notes, inside artifacts/<dataset>/ and data/<dataset>/; no archive may write there."""

STAGING = "staging."


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is known of an artifact that was verified once."""

    size_bytes: int
    mtime_ns: int
    checksums: dict[str, str]
    """Algorithm to digest, as computed here; sha256 is always among them."""
    promised: str
    """What the catalog promised at that time, see `identity.promise`."""
    provenance: Provenance
    rewrapped: bool
    source: str
    when: str
    """When these bytes were verified first; UTC, ISO 8601."""
    sound: bool = True
    """False once `verify` has found other bytes; the checksums above are those that were right."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The blocks of a file that was right, so that damage can be mended by the block."""

    sha256: str
    """Of the whole file."""
    crc32s: list[int]
    """See `download.blocks.Blocks`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in the data folder."""

    path: str
    size_bytes: int
    checksum: str | None = None
    """'sha256:440f...', computed while it was written; None in manifests that were written before this was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What one artifact brought into the data folder, without the list of its files."""

    sha256: str
    """Of the artifact it was unpacked from."""
    files: int
    size_bytes: int
    top: list[str]
    """The first component of every path, once."""


def name_state(
    artifact: Artifact, receipt: Receipt | None, size_and_time: tuple[int, int] | None, *, part: bool
) -> State:
    """The state of an artifact from its receipt, its file's bytes and mtime_ns (None: no file), and its part."""
    if size_and_time is None:
        return "partial" if part else "missing"
    if receipt is None or not receipt.sound or (receipt.size_bytes, receipt.mtime_ns) != size_and_time:
        return "corrupt"
    promised = promise(artifact)
    algorithm, _, digest = promised.partition(":")
    kept = receipt.promised == promised or receipt.checksums.get(algorithm) == digest or not promised
    return "ok" if kept or promised == f"size:{receipt.size_bytes}" else "corrupt"


@dataclass(frozen=True, slots=True)
class Store:
    """The artifacts and data folders of a cache. Making one, and asking it anything, writes nothing."""

    locations: Locations

    def state(self, dataset: Dataset, artifact: Artifact) -> State:
        """missing, partial (a download broke off), corrupt (bytes that are not, or no longer, vouched for) or ok."""
        found = _stat(self.artifact_path(dataset, artifact))
        size_and_time = None if found is None else (found.st_size, found.st_mtime_ns)
        part = bool(self.partials(dataset, artifact))
        return name_state(artifact, self.receipt(dataset, artifact), size_and_time, part=part)

    def states(self, dataset: Dataset) -> dict[str, State]:
        """The state of every artifact by its file name."""
        return {artifact.file: self.state(dataset, artifact) for artifact in dataset.artifacts}

    def is_installed(self, dataset: Dataset, parts: tuple[str, ...] = ()) -> bool:
        """Whether every artifact of the parts (by default the default ones) is ok and unpacked."""
        return all(
            self.state(dataset, artifact) == "ok" and self.is_unpacked(dataset, artifact)
            for artifact in dataset.selected(parts)
        )

    def is_unpacked(self, dataset: Dataset, artifact: Artifact) -> bool:
        """Whether the data folder holds what the artifact, as it is now, unpacks to; looks at top-level names only."""
        manifest = self.manifest(dataset, artifact)
        receipt = self.receipt(dataset, artifact)
        if manifest is None or receipt is None or manifest.sha256 != receipt.checksums["sha256"]:
            return False
        folder = self.data_path(dataset)
        if artifact.unpack == "none":  # a link into the artifacts, or to a file that has been replaced there
            found = _stat(folder / artifact.file)
            return found is not None and (found.st_size, found.st_mtime_ns) == (receipt.size_bytes, receipt.mtime_ns)
        return all((folder / name).exists() for name in manifest.top)

    def digest(self, dataset: Dataset, artifact: Artifact) -> str:
        """The sha256 of a verified artifact: the key of whatever is prepared from it.

        Raises:
            UsageError: the artifact is not there, or not ok.
        """
        receipt = self.receipt(dataset, artifact)
        state = self.state(dataset, artifact)
        if receipt is None or state != "ok":
            raise UsageError(
                f"{dataset.name}/{artifact.file}: expected a verified file, found it {state}",
                hint=f"dlcat fetch {dataset.name}",
            )
        return receipt.checksums["sha256"]

    def artifact_path(self, dataset: Dataset, artifact: Artifact) -> Path:
        """Where the verified download lies."""
        return self.locations.artifacts / dataset.name / artifact.file

    def notes_path(self, dataset: Dataset) -> Path:
        """The folder of the dataset's receipts and partials."""
        return self.locations.artifacts / dataset.name / OWN_FOLDER

    def evidence_path(self, dataset: Dataset, artifact: Artifact) -> Path:
        """Where the first bytes of what came in place of the artifact are kept."""
        return self.notes_path(dataset) / f"{artifact.file}.evidence"

    def keep_evidence(self, dataset: Dataset, artifact: Artifact, start: bytes) -> None:
        """Keep the first bytes of what came in place of the artifact, if that is possible."""
        if start:
            with suppress(OSError):
                self.evidence_path(dataset, artifact).write_bytes(start)

    def blocks(self, dataset: Dataset, artifact: Artifact) -> Recorded | None:
        """The blocks of the artifact when it was verified; None where they were not recorded."""
        try:
            return Recorded(**json.loads(self._blocks_path(dataset, artifact).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def write_blocks(self, dataset: Dataset, artifact: Artifact, recorded: Recorded) -> None:
        """Keep the blocks.

        Raises:
            DiskError: they cannot be written.
        """
        write_beside(self._blocks_path(dataset, artifact), json.dumps(asdict(recorded)))

    def _blocks_path(self, dataset: Dataset, artifact: Artifact) -> Path:
        return self.notes_path(dataset) / f"{artifact.file}.blocks"

    def partials(self, dataset: Dataset, artifact: Artifact) -> list[Path]:
        """The folders of downloads that are under way, or were broken off."""
        folder = self.notes_path(dataset)
        if not folder.is_dir():
            return []
        from dlcat.fetch.download.partial import partials  # 10 ms, for which `list` has no use

        return partials(folder, artifact.file)

    def receipt_path(self, dataset: Dataset, artifact: Artifact) -> Path:
        """Where the artifact's receipt lies."""
        return self.notes_path(dataset) / f"{artifact.file}.json"

    def data_path(self, dataset: Dataset) -> Path:
        """The folder with the dataset's readable tree."""
        return self.locations.data / dataset.name

    def manifest_path(self, dataset: Dataset, artifact: Artifact) -> Path:
        """Where the list of what the artifact unpacked to lies."""
        return self.data_path(dataset) / OWN_FOLDER / f"{artifact.file}.jsonl"

    def staging_path(self, dataset: Dataset) -> Path:
        """Where this process unpacks before anything is published."""
        # Inside the dataset's own folder: one that is a link to another disk can still be moved into.
        return self.data_path(dataset) / OWN_FOLDER / f"{STAGING}{process_owner()}"

    def staging_paths(self, dataset: Dataset) -> list[Path]:
        """The folders that are being unpacked into, or were when their process ended."""
        found = (self.data_path(dataset) / OWN_FOLDER).glob(f"{STAGING}*")
        return [path for path in found if is_owner(path.name.removeprefix(STAGING))]

    def receipt(self, dataset: Dataset, artifact: Artifact) -> Receipt | None:
        """The artifact's receipt; None where there is none that can be read."""
        try:
            return Receipt(**json.loads(self.receipt_path(dataset, artifact).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def write_receipt(self, dataset: Dataset, artifact: Artifact, receipt: Receipt) -> None:
        """Keep the receipt.

        Raises:
            DiskError: it cannot be written.
        """
        write_beside(self.receipt_path(dataset, artifact), json.dumps(asdict(receipt), indent=1))

    def manifest(self, dataset: Dataset, artifact: Artifact) -> Manifest | None:
        """What the artifact brought into the data folder; None where it is not unpacked."""
        try:
            # The first line alone: below it a million files may be listed.
            with open(self.manifest_path(dataset, artifact), encoding="utf-8") as stream:
                return Manifest(**json.loads(stream.readline()))
        except (OSError, ValueError, TypeError):
            return None

    def entries(self, dataset: Dataset, artifact: Artifact) -> Iterator[Entry]:
        """The files the artifact brought into the data folder, by its manifest."""
        with disk_errors(path := self.manifest_path(dataset, artifact)), open(path, encoding="utf-8") as stream:
            stream.readline()
            for line in stream:
                yield Entry(*json.loads(line))

    def write_manifest(self, dataset: Dataset, artifact: Artifact, manifest: Manifest, entries: list[Entry]) -> None:
        """Keep the manifest: the marker that the artifact is unpacked.

        Raises:
            DiskError: it cannot be written.
        """
        lines = [
            json.dumps(asdict(manifest)),
            *(json.dumps([entry.path, entry.size_bytes, entry.checksum]) for entry in entries),
        ]
        write_beside(self.manifest_path(dataset, artifact), "\n".join(lines) + "\n")

    def claim(self, name: str, *, wait: bool) -> BaseFileLock | None:
        """The dataset's lock, acquired: one process at a time downloads, unpacks or removes. The caller releases it.

        Returns None where another process holds it and `wait` is False.

        Raises:
            DiskError: the lock cannot be written.
        """
        from filelock import FileLock, Timeout  # asyncio comes with it, 30 ms

        path = self.lock_path(name)
        # Group-writable, so that a second user of a shared cache may wait too; a view may resume us in another thread.
        lock = FileLock(path, mode=0o664, thread_local=False)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=-1 if wait else 0)
            except Timeout:
                return None
        return lock

    def lock_path(self, name: str) -> Path:
        """The file whose lock is held by the one process that works on the dataset."""
        return self.locations.artifacts / ".locks" / f"{name}.lock"

    @property
    def health_path(self) -> Path:
        """The ledger of sources; see `health`."""
        return self.locations.artifacts / ".health.json"

    def names(self) -> list[str]:
        """The datasets of which anything lies in the cache, also those the catalog no longer knows."""
        found = {path.name for folder in self._tops if folder.is_dir() for path in folder.iterdir() if path.is_dir()}
        return sorted(name for name in found if not name.startswith("."))

    def used_bytes(self, name: str) -> int:
        """Bytes a dataset takes in the cache; a file that is linked twice counts once."""
        seen: dict[tuple[int, int], int] = {}
        for folder in self._folders(name):
            for parent, _, files in os.walk(folder):
                for file in files:
                    found = os.lstat(os.path.join(parent, file))
                    seen[found.st_dev, found.st_ino] = found.st_size
        return sum(seen.values())

    def remove(self, name: str) -> int:
        """Delete a dataset's artifacts, data, prepared arrays and shards; returns the bytes this freed.

        Raises:
            UsageError: a process works on the dataset.
            DiskError: something cannot be deleted.
        """
        if not any(folder.exists() for folder in self._folders(name)):
            return 0
        lock = self.claim(name, wait=False)
        if lock is None:
            raise UsageError(f"{name}: another process works on it", hint="wait until it has finished")
        try:
            freed_bytes = self.used_bytes(name)
            with disk_errors(self.locations.cache):
                for folder in self._folders(name):
                    if folder.exists():
                        shutil.rmtree(folder)
        finally:
            lock.release()
        return freed_bytes

    @property
    def _tops(self) -> tuple[Path, ...]:
        """Where datasets have a folder each."""
        places = self.locations
        return (places.artifacts, places.data, places.prepared, places.packed, places.shards)

    def _folders(self, name: str) -> list[Path]:
        return [top / name for top in self._tops]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
