"""Archives into a folder, trusting nothing they say: no path that leaves the folder, no links, no bombs."""

from __future__ import annotations

import bz2
import errno
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast

from dlcat.disk import disk_errors, link_or_copy
from dlcat.errors import DlcatError, VerificationError
from dlcat.fetch.identity import CHUNK_BYTES
from dlcat.fetch.store import OWN_FOLDER, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.records import Progress

LIMIT_MEMBERS = 5_000_000
LIMIT_RATIO = 200
"""Unpacked bytes per archive byte that are believed where the catalog does not promise more; text reaches about 20."""
HARMLESS_BYTES = 64 * 2**20
"""Never a bomb, however well it was compressed: any disk has room for that."""
LIMIT_NAME_BYTES = 255
LIMIT_PATH_BYTES = 1024
LIMIT_DEPTH = 64

_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Budget:
    """How much an archive may unpack to before it counts as a bomb."""

    size_bytes: int
    members: int = LIMIT_MEMBERS


def budget(dataset: Dataset, archive_bytes: int) -> Budget:
    """A tenth more than the catalog says the dataset unpacks to, or 200 times the archive, or 64 MiB: what is most."""
    promised_bytes = (dataset.size.unpacked or 0) * 11 // 10 + 2**20
    return Budget(max(promised_bytes, LIMIT_RATIO * archive_bytes, HARMLESS_BYTES))


def unpack(
    archive: Path, artifact: Artifact, folder: Path, limit: Budget, *, only: frozenset[str] | None = None
) -> Generator[Progress, None, list[Entry]]:
    """Unpack an artifact into an empty folder of its own; yields (done, total) bytes, returns the files in order.

    Modes become 0644 and 0755; what macOS adds to zips (`__MACOSX/`) is left out.

    Args:
        archive: the file.
        artifact: says how it unpacks, and what the one file inside gz and bz2 is called.
        folder: where to; nothing else may write there.
        limit: refused above this.
        only: paths to unpack, for archives of which only these are vouched for; None for all.

    Raises:
        VerificationError: the archive is damaged, encrypted, larger than the limit, or holds a member that is a link, a
            device, or would leave the folder; the message names the member.
        DiskError: the disk is full or refuses.
    """
    target = _Target(folder, limit, only)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _named(artifact.file):
        if artifact.unpack == "none":
            link_or_copy(archive, folder / artifact.file)
            return [Entry(artifact.file, archive.stat().st_size)]
        yield from _UNPACKERS[artifact.unpack](archive, artifact, target)
    return [Entry(path, size_bytes) for path, size_bytes in target.files.items()]


def contained(name: str) -> PurePosixPath:
    """A member's name as a path that stays below any folder it is joined to, on any system.

    >>> contained("./images/0001.png")
    PurePosixPath('images/0001.png')

    Raises:
        VerificationError: it would leave the folder, write where the store keeps its notes, or is too long.
    """
    path = PurePosixPath(name)
    raw = name.encode("utf-8", "surrogateescape")
    if "\0" in name or "\\" in name or name.startswith("/") or _DRIVE.match(name) or ".." in path.parts:
        raise VerificationError(f"member {name!r} would leave the folder it is unpacked to")
    if path.parts and path.parts[0].lower() == OWN_FOLDER:
        raise VerificationError(f"member {name!r} would write into {OWN_FOLDER}, which belongs to dlcat")
    lengths = [len(part.encode("utf-8", "surrogateescape")) for part in path.parts]
    if len(raw) > LIMIT_PATH_BYTES or len(lengths) > LIMIT_DEPTH or max(lengths, default=0) > LIMIT_NAME_BYTES:
        raise VerificationError(f"member {name[:60]!r}... has too long a name")
    return path


class _Target:
    """The folder that members are written to, and what they have used of the budget."""

    def __init__(self, folder: Path, limit: Budget, only: frozenset[str] | None) -> None:
        self.files: dict[str, int] = {}
        self.done_bytes = 0
        self._folder = folder
        self._limit = limit
        self._only = only
        self._members = 0
        self._known_folders: set[PurePosixPath] = {PurePosixPath()}

    def wants(self, path: PurePosixPath) -> bool:
        """Whether this member is to be unpacked; every member counts towards the budget."""
        self._members += 1
        if self._members > self._limit.members:
            raise VerificationError(f"expected at most {self._limit.members} members, found more")
        return path.parts[:1] != ("__MACOSX",) and (self._only is None or str(path) in self._only)

    def make_folder(self, path: PurePosixPath) -> None:
        if path not in self._known_folders:
            with _clashes(path), disk_errors(self._folder / path):
                (self._folder / path).mkdir(parents=True, exist_ok=True)
            self._known_folders.add(path)

    def write(self, path: PurePosixPath, stream: IO[bytes], total_bytes: int | None) -> Generator[Progress, None, None]:
        """One member's bytes into a new file; no link is ever followed, because none is ever made."""
        if not path.parts:
            raise VerificationError("a member has no name")
        self.make_folder(path.parent)
        size_bytes = 0
        with self._new_file(path) as file:
            while chunk := stream.read(CHUNK_BYTES):
                size_bytes += len(chunk)
                self.done_bytes += len(chunk)
                if self.done_bytes > self._limit.size_bytes:
                    raise VerificationError(f"expected at most {self._limit.size_bytes} bytes unpacked, found more")
                with disk_errors(self._folder / path):
                    file.write(chunk)
                yield self.done_bytes, total_bytes
        self.files[str(path)] = size_bytes

    @contextmanager
    def _new_file(self, path: PurePosixPath) -> Iterator[IO[bytes]]:
        target = self._folder / path
        if self.files.pop(str(path), None) is not None:
            target.unlink()  # twice in one archive: the later one holds, as tar and unzip have it
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with _clashes(path), disk_errors(target):
            descriptor = os.open(target, flags, 0o644)
        with open(descriptor, "wb", buffering=0) as file:
            yield cast("IO[bytes]", file)


def _unpack_tar(archive: Path, _artifact: Artifact, target: _Target) -> Generator[Progress, None, None]:
    with _decompressed(archive) as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictMember) as tar:
        while member := tar.next():
            tar.members.clear()  # type: ignore[attr-defined]  # else a million members stay in memory
            path = contained(member.name)
            if member.isdir():
                if target.wants(path):
                    target.make_folder(path)
            elif not member.isreg():
                raise VerificationError(f"member {member.name!r} is {_kind(member)}; only files are unpacked")
            elif target.wants(path):
                content = tar.extractfile(member)
                assert content is not None  # it is a regular file
                yield from target.write(path, content, None)
        while stream.read(CHUNK_BYTES):  # to the end, where compressed streams keep their checksum
            pass


class _StrictMember(tarfile.TarInfo):
    """A tar member whose damaged header is an error; tarfile by itself takes one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _StrictMember:
        try:
            return super().fromtarfile(tar)
        except tarfile.HeaderError as error:
            if str(error) not in ("end of file header", "empty header"):
                raise VerificationError(f"damaged: {error} at byte {tar.offset}") from error
            raise


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return f"a link to {member.linkname!r}"
    return "a device or a pipe"


def _unpack_zip(archive: Path, _artifact: Artifact, target: _Target) -> Generator[Progress, None, None]:
    with zipfile.ZipFile(archive) as opened:
        total_bytes = sum(member.file_size for member in opened.infolist())
        for member in opened.infolist():
            path = contained(member.orig_filename)  # zipfile cuts `filename` at a NUL
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise VerificationError(f"member {member.filename!r} is a link or a device; only files are unpacked")
            if not target.wants(path):
                continue
            if member.is_dir():
                target.make_folder(path)
                continue
            if member.flag_bits & 0x1:
                raise VerificationError(f"member {member.filename!r} is encrypted")
            with opened.open(member) as content:
                yield from target.write(path, content, total_bytes)


def _unpack_single(archive: Path, artifact: Artifact, target: _Target) -> Generator[Progress, None, None]:
    name = artifact.contents[0].path if artifact.contents else artifact.file.removesuffix(f".{artifact.unpack}")
    path = contained(name)
    with _decompressed(archive, expected=artifact.unpack) as stream:
        if target.wants(path):
            yield from target.write(path, stream, artifact.contents[0].size if artifact.contents else None)


_UNPACKERS: dict[str, Callable[[Path, Artifact, _Target], Generator[Progress, None, None]]] = {
    "tar": _unpack_tar,
    "zip": _unpack_zip,
    "gz": _unpack_single,
    "bz2": _unpack_single,
}


@contextmanager
def _decompressed(archive: Path, expected: str | None = None) -> Iterator[IO[bytes]]:
    """The bytes inside gzip, bzip2 or xz, told by the first bytes and not by the name; other files as they are."""
    with open(archive, "rb") as stream:
        magic = stream.read(6)
    found = next((name for start, name in _MAGIC.items() if magic.startswith(start)), None)
    if expected is not None and found != expected:
        raise VerificationError(f"expected {expected}, found {found or f'a file that starts with {magic!r}'}")
    openers: dict[str | None, Callable[[Path], Any]] = {"gz": _open_gzip, "bz2": bz2.open, "xz": lzma.open}
    with openers[found](archive) if found else open(archive, "rb") as stream:
        yield cast("IO[bytes]", stream)


_MAGIC = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\0": "xz"}


def _open_gzip(archive: Path) -> Any:
    try:
        from isal import igzip  # three times as fast as the standard library
    except ImportError:
        import gzip

        return gzip.open(archive)
    opened: Callable[[Path], Any] = igzip.IGzipFile
    return opened(archive)


@contextmanager
def _named(file: str) -> Iterator[None]:
    """Every failure of an archive as one kind of error, with the file's name in front."""
    try:
        yield
    except VerificationError as error:
        raise VerificationError(f"{file}: {error.message}", hint=error.hint) from error
    except DlcatError:
        raise
    except OSError as error:
        if error.errno is not None:  # the disk, not the archive
            with disk_errors(Path(file)):
                raise
        raise VerificationError(f"{file}: damaged: {error}") from error
    except _damage() as error:
        raise VerificationError(f"{file}: damaged: {error or type(error).__name__}") from error


def _damage() -> tuple[type[Exception], ...]:
    """What the libraries raise over archives that are damaged, or made by something stranger."""
    errors: tuple[type[Exception], ...] = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)
    # The zip and tar readers trust numbers and names inside: ValueError holds Unicode errors, RuntimeError what is
    # not implemented.
    errors += (struct.error, ValueError, OverflowError, IndexError, RuntimeError)
    try:
        from isal.igzip_lib import IsalError
    except ImportError:
        return errors
    return (*errors, cast("type[Exception]", IsalError))


@contextmanager
def _clashes(path: PurePosixPath) -> Iterator[None]:
    """A member that stands where another one already made something else."""
    try:
        yield
    except DlcatError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
            raise VerificationError(f"member {str(path)!r} is a file here and a folder there") from error
        raise
