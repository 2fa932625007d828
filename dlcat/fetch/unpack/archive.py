"""An artifact into a folder: the format chosen, archives inside it unpacked in their turn, failures given their name."""

from __future__ import annotations

import lzma
import zlib
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dlcat.disk import disk_errors, link_or_copy
from dlcat.errors import DlcatError, VerificationError
from dlcat.fetch.store import Entry
from dlcat.fetch.unpack.budget import Account, Budget
from dlcat.fetch.unpack.nested import Nesting
from dlcat.fetch.unpack.single import unpack_single
from dlcat.fetch.unpack.streams import inside
from dlcat.fetch.unpack.tar import unpack_tar, unpack_tar_stream
from dlcat.fetch.unpack.target import Target
from dlcat.fetch.unpack.zip import unpack_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from dlcat.catalog.dataset import Artifact
    from dlcat.fetch.records import Progress

    Unpacker = Callable[[Path, Target], Iterator[int]]


def unpack(
    archive: Path, artifact: Artifact, folder: Path, limit: Budget, *, only: frozenset[str] | None = None
) -> Generator[Progress, None, list[Entry]]:
    """Unpack an artifact into an empty folder of its own; yields (done, total) bytes, returns the files by path.

    Modes become 0644 and 0755; what macOS adds to zips (`__MACOSX/`) is left out. Names that differ in case or Unicode
    form only are kept where the disk at hand tells them apart, and refused where they would be one file.

    Args:
        archive: the file.
        artifact: says how it unpacks, archives inside it included, and what the one file inside gz is called.
        folder: where to; nothing else may write there.
        limit: refused above this.
        only: paths to unpack, for archives of which only these are vouched for or needed; None for all.

    Raises:
        VerificationError: the archive is damaged, cut, encrypted, larger than the limit or than it says, or holds a member
            that is no plain file, stands twice with different bytes, or would leave the folder; names the member.
        DiskError: the disk is full or refuses.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _named(artifact.file):
        if artifact.unpack == "none":
            link_or_copy(archive, folder / artifact.file)
            return [Entry(artifact.file, archive.stat().st_size)]
        target = Target(folder, Account(limit), only=only, nesting=Nesting(artifact.nested))
        done_bytes = 0
        for written_bytes in _steps(archive, artifact, target):
            done_bytes += written_bytes
            yield done_bytes, target.total_bytes
    return sorted(target.files.values(), key=lambda entry: entry.path)


def unpack_stream(chunks: Iterator[bytes], target: Target, file: str) -> Iterator[int]:
    """Unpack a tar, compressed or not, that comes as a stream; yields how many bytes were written each time.

    Raises:
        VerificationError: as `unpack`.
        DiskError: the disk is full or refuses.
    """
    with _named(file):
        yield from unpack_tar_stream(inside(chunks), target)


def _steps(archive: Path, artifact: Artifact, target: Target) -> Iterator[int]:
    for written_bytes in _unpacker(artifact)(archive, target):
        yield written_bytes
        yield from _nested_steps(target)  # at once, so that no more than one or two of them take room
    yield from _nested_steps(target)


def _nested_steps(target: Target) -> Iterator[int]:
    while target.waiting:
        path = target.waiting.pop()
        inner = unpack_zip if target.nesting.ending == "zip" else unpack_tar
        target.total_bytes = None
        with _named(path):
            yield from inner(Path(target.at(path)), target.inside(path))
        target.remove(path)


def _unpacker(artifact: Artifact) -> Unpacker:
    if artifact.unpack == "tar":
        return unpack_tar
    return unpack_zip if artifact.unpack == "zip" else partial(unpack_single, artifact=artifact)


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
    from zipfile import BadZipFile

    errors: tuple[type[Exception], ...] = (BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
    # zipfile trusts numbers and names inside: ValueError holds Unicode errors.
    errors += (ValueError, OverflowError, IndexError)
    try:
        from isal.isal_zlib import error as isal_error
    except ImportError:
        return errors
    return (*errors, cast("type[Exception]", isal_error))
