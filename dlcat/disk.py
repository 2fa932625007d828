"""Room on the disk, and what it refuses, said in words."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dlcat import units
from dlcat.errors import DiskError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REASONS = {
    errno.ENOSPC: "no space left",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "the file would be larger than is allowed here",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
}
HINT = "free some space, or choose another cache folder with --cache or DLCAT_CACHE"


def free_bytes(folder: Path) -> int:
    """Bytes free for this user on the file system that holds, or would hold, the folder."""
    for place in (folder, *folder.parents):
        if place.exists():
            return shutil.disk_usage(place).free
    return shutil.disk_usage(folder.anchor or ".").free


def require_room(folder: Path, needed_bytes: int) -> None:
    """Stop before the first byte where the disk is too small.

    Raises:
        DiskError: fewer than `needed_bytes` are free.
    """
    free = free_bytes(folder)
    if free < needed_bytes:
        raise DiskError(f"{folder}: {units.size(needed_bytes)} needed, {units.size(free)} free", hint=HINT)


@contextmanager
def disk_errors(path: Path, hint: str = HINT) -> Iterator[None]:
    """Turn what the operating system refuses into a DiskError that names the path, the reason and the way out.

    Raises:
        DiskError: no space, no permission, a file in the place of a folder, a broken disk.
    """
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
        raise DiskError(f"{error.filename or path}: {reason}", hint=hint) from error


def write_beside(path: Path, content: str, hint: str = HINT) -> None:
    """Write a small text file so that it is there whole or not at all.

    Raises:
        DiskError: it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    with disk_errors(path, hint):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "w", encoding="utf-8") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same bytes as the file `source`, without using their room twice where the disk can do that.

    Raises:
        DiskError: neither a hard link nor a copy can be made.
    """
    with disk_errors(target):
        target.unlink(missing_ok=True)
        try:
            os.link(source.resolve(), target)  # link(2) would link a symbolic link itself
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, target)
            found = os.stat(source)
            os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))  # a link would have the same time
