"""The folder that members are written to: new files only, each hashed as it is written."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING

from dlcat.disk import disk_errors
from dlcat.errors import DlcatError, VerificationError
from dlcat.fetch.store import Entry
from dlcat.fetch.unpack.containment import contained, folded, short
from dlcat.fetch.unpack.nested import Nesting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dlcat.fetch.unpack.budget import Account

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
NEW_FILE |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
MAC_FOLDER = "__MACOSX"


class Target:
    """A folder of our own, in which no link is ever made, and what was written there so far.

    Several threads may `write` at once; everything else is for one of them.

    Attributes:
        files: what was written, by path.
        waiting: archives among them that are to be unpacked in their turn.
        total_bytes: how much will be written; None where that is not known beforehand.
        account: what was used of the budget.
        nesting: which members are archives, and where to put those of the archive at hand.
    """

    def __init__(
        self, folder: Path, account: Account, *, only: frozenset[str] | None = None, nesting: Nesting | None = None
    ) -> None:
        self.files: dict[str, Entry] = {}
        self.account = account
        self.nesting = nesting or Nesting(None)
        self.total_bytes: int | None = None
        self.waiting: list[str] = []
        self._folder = folder
        self._only = only
        self._known_folders = {""}

    def place(self, name: str, *, is_folder: bool = False) -> str | None:
        """The path for a member, or None where it is not wanted; every member counts towards the budget.

        Raises:
            VerificationError: it would leave the folder, or is one too many.
        """
        self.account.count_member()
        path = contained(name)
        if not path and not is_folder:
            raise VerificationError("a member has no name")
        if path == MAC_FOLDER or path.startswith(f"{MAC_FOLDER}/"):
            return None
        if self.nesting.folder:
            path = contained(self.nesting.moved(path, is_folder=is_folder))
        return path if self._wants(path) else None

    def make_folder(self, path: str) -> None:
        """Make the folder, and those above it, unless it is there."""
        if path in self._known_folders:
            return
        self.make_folder(path.rpartition("/")[0])
        try:
            os.mkdir(self.at(path))
        except OSError as error:
            if not os.path.isdir(self.at(path)):  # else it is there, under a name that this disk takes for the same
                raise self._refused(path, error) from error
        self._known_folders.add(path)

    def write(self, path: str, chunks: Iterable[bytes | memoryview]) -> Iterator[int]:
        """A member's bytes into a new file, in a folder that was made; yields how many each time.

        Of a name that stands twice the bytes must be the same.

        Raises:
            VerificationError: something else lies there: other bytes, a folder, a name that this disk cannot tell apart.
            DiskError: the disk is full or refuses.
        """
        if path in self.files:
            yield from self._compare(path, chunks)
            return
        descriptor = self._create(path)
        digest = hashlib.sha256()
        size_bytes = 0
        try:
            for chunk in chunks:
                self._put(descriptor, chunk, path)
                digest.update(chunk)
                size_bytes += len(chunk)
                yield len(chunk)
        finally:
            os.close(descriptor)
        self.files[path] = Entry(path, size_bytes, f"sha256:{digest.hexdigest()}")
        if self.nesting.is_archive(path):
            self.waiting.append(path)

    def remove(self, path: str) -> None:
        """Take a file back that was written."""
        with disk_errors(self._folder / path):
            os.unlink(self.at(path))
        del self.files[path]

    def inside(self, path: str) -> Target:
        """The same folder, for the members of the archive that lies at `path` in it."""
        twin = Target(self._folder, self.account, only=self._only, nesting=self.nesting.inside(path))
        twin.files = self.files
        twin._known_folders = self._known_folders
        return twin

    def at(self, path: str) -> str:
        """The path on the disk."""
        return f"{self._folder}/{path}"

    def _wants(self, path: str) -> bool:
        return self._only is None or path in self._only or self.nesting.leads_to(path, self._only)

    def _create(self, path: str) -> int:
        try:
            return os.open(self.at(path), NEW_FILE, 0o644)
        except OSError as error:
            raise self._refused(path, error) from error

    def _put(self, descriptor: int, chunk: bytes | memoryview, path: str) -> None:
        try:
            done_bytes = os.write(descriptor, chunk)
            while done_bytes < len(chunk):
                done_bytes += os.write(descriptor, memoryview(chunk)[done_bytes:])
        except OSError as error:
            raise self._refused(path, error) from error

    def _compare(self, path: str, chunks: Iterable[bytes | memoryview]) -> Iterator[int]:
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
            yield len(chunk)
        if f"sha256:{digest.hexdigest()}" != self.files[path].checksum:
            raise VerificationError(f"member {short(path)} stands twice, with different bytes")

    def _refused(self, path: str, error: OSError) -> DlcatError:
        """What the system's refusal means. No context manager, which would cost as much as a small file."""
        if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
            return VerificationError(self._clash(path))
        try:
            with disk_errors(self._folder / path):
                raise error
        except DlcatError as refusal:
            return refusal

    def _clash(self, path: str) -> str:
        same = folded(path)
        twin = next((other for other in list(self.files) if other != path and folded(other) == same), None)
        if twin is not None:
            return f"members {short(twin)} and {short(path)} are one file on this disk"
        return f"member {short(path)} is a file here and a folder there"
