"""Files that lie elsewhere, brought one after another, verified, ahead of who reads them; and let go where room is short."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dlcat.disk import disk_errors, free_bytes
from dlcat.errors import UnreachableError, UsageError, VerificationError

if TYPE_CHECKING:
    from pathlib import Path

    from dlcat.catalog.dataset import Dataset
    from dlcat.fetch.wire.network import Network

FILES_AHEAD = 2
"""Brought beyond the one that is read."""
LATE = 16_384
"""Uses for which a file is kept after its last one: who decodes reads it later than it was asked for."""
SPARE = 0.1
"""Share of the room that is free at first which is left to others."""


@dataclass(slots=True)
class Elsewhere:
    """The files below one address; http and https by dlcat's own downloader, every other kind by fsspec."""

    address: str
    cache: Path
    network: Network | None = None
    room_bytes: int | None = None
    """What they may take on this disk; None: most of what is free when the first is brought."""
    late: int = LATE
    _order: list[dict[str, Any]] = field(default_factory=list)
    """Those announced, by their first use."""
    _last: dict[str, int] = field(default_factory=dict)
    """At which use, of all, each file is used last."""
    _uses: int = 0
    """How often a file was asked for, since they were announced."""
    _coming: dict[str, Future[Path]] = field(default_factory=dict)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "dlcat-shards"))

    @property
    def folder(self) -> Path:
        """Where they are kept."""
        return self.cache / hashlib.sha256(self.address.encode()).hexdigest()[:16]

    def bring_index(self, file: str) -> Path:
        """A small file of which nothing is known, as it is there now.

        Raises:
            UsageError: fsspec is needed, and not installed.
            UnreachableError: it cannot be brought.
        """
        return self._fetch({"file": file, "bytes": None, "sha256": None})

    def announce(self, order: list[tuple[dict[str, Any], int]]) -> None:
        """Say which files will be asked for, by first use, and at which use of all each is used last."""
        self._order = [about for about, _ in order]
        self._last = {about["file"]: last for about, last in order}
        self._uses = 0
        self._coming = {}

    def bring(self, about: dict[str, Any]) -> Path:
        """A file with its `bytes` and `sha256`, whole; those that are used first after it are on their way then.

        Raises:
            VerificationError: it is not what was promised.
            UnreachableError: it cannot be brought.
            DiskError: it cannot be written.
        """
        self._uses += 1
        if about["file"] not in self._coming:
            self._begin(about)
            at = self._order.index(about) if about in self._order else len(self._order)
            for each in self._order[at + 1 : at + 1 + FILES_AHEAD]:
                self._begin(each)
        return self._coming[about["file"]].result()

    def _begin(self, about: dict[str, Any]) -> None:
        if about["file"] not in self._coming:
            self._coming[about["file"]] = self._thread.submit(self._bring, about, self._uses)

    def _bring(self, about: dict[str, Any], uses: int) -> Path:
        path: Path = self.folder / about["file"]
        if not path.is_file() or path.stat().st_size != about["bytes"]:
            self._make_room(about["bytes"], uses)
            path = self._fetch(about)
        return path

    def _make_room(self, needed: int, uses: int) -> None:
        """Let go of files that have had their last use in this pass."""
        kept = sorted(path for path in self.folder.glob("*.tar") if path.is_file())
        taken = sum(path.stat().st_size for path in kept)
        if self.room_bytes is None:
            self.room_bytes = taken + int((1 - SPARE) * free_bytes(self.folder))
        for path in kept:
            if taken + needed <= self.room_bytes:
                return
            if self._last.get(path.name, -1) + self.late < uses:
                taken -= path.stat().st_size
                path.unlink()

    def _fetch(self, about: dict[str, Any]) -> Path:
        """Bring one file and hold it against what is known of it."""
        target: Path = self.folder / about["file"]
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        is_http = self.address.startswith(("http://", "https://"))
        os.replace(self._download(about) if is_http else self._copy(about), target)
        return target

    def _download(self, about: dict[str, Any]) -> Path:
        """By dlcat's downloader: resumed, in patience with its source, verified."""
        from dlcat.fetch.fetch import fetch
        from dlcat.fetch.store import Store
        from dlcat.locations import Locations

        dataset = _entry(self.address, about)
        store = Store(Locations(catalogs=(), recipes=(), cache=self.folder / ".downloads", runs=self.folder))
        for _ in fetch(dataset, store, network=self.network, force=about["sha256"] is None):
            pass
        taken = self.folder / f".{about['file']}.{os.getpid()}"
        os.replace(store.artifact_path(dataset, dataset.artifacts[0]), taken)
        store.remove(dataset.name)
        return taken

    def _copy(self, about: dict[str, Any]) -> Path:
        """By fsspec, into a file beside the one it is to be."""
        url, beside = f"{self.address.rstrip('/')}/{about['file']}", self.folder / f".{about['file']}.{os.getpid()}"
        digest = hashlib.sha256()
        try:
            import fsspec

            with fsspec.open(url, "rb") as source, open(beside, "wb") as stream:
                while content := source.read(1 << 20):
                    digest.update(content)
                    stream.write(content)
        except ImportError as error:
            raise UsageError(f"{url}: {error}", hint="for s3://: pip install 'dlcat[remote]'") from error
        except (OSError, ValueError) as error:
            raise UnreachableError(f"{url}: cannot be read: {error}") from error
        if about["sha256"] not in (None, digest.hexdigest()):
            beside.unlink()
            raise VerificationError(f"{url}: expected sha256 {about['sha256']}, found {digest.hexdigest()}")
        return beside


def _entry(address: str, about: dict[str, Any]) -> Dataset:
    """One file as the catalog would have it, for the downloader."""
    from dlcat.catalog.dataset import Artifact, Dataset, License, Sample, Size, Summary

    sums = {} if about["sha256"] is None else {"sha256": about["sha256"]}
    artifact = Artifact(
        file=about["file"],
        urls=[f"{address.rstrip('/')}/{about['file']}"],
        size=about["bytes"],
        checksums=sums,
        provenance="the index of the shards",
    )
    return Dataset(
        name=about["file"],
        title="shards",
        domain="image",
        tasks=["image-classification"],
        summary=Summary(en="Shards.", zh="分片。"),
        homepage=address,
        license=License(id=None),
        access="open",
        citation="-",
        size=Size(download=about["bytes"], unpacked=about["bytes"]),
        splits={},
        sample=Sample(dtype="uint8"),
        artifacts=[artifact],
    )
