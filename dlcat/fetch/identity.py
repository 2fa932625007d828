"""What makes bytes the bytes the catalog promises: checksums, strongest first, sizes, and one checksum of many files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from dlcat.disk import disk_errors

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from pathlib import Path

    from dlcat.catalog.dataset import Artifact
    from dlcat.fetch.records import Progress

STRENGTH = ("sha256", "sha512", "sha384", "sha1", "md5")
"""Checksum algorithms, most trusted first. The SHA-2 family is equally safe, and sha256 is computed in any case."""

CHUNK_BYTES = 512 * 1024
"""Bytes hashed, received and written at once: larger chunks were not faster, 8 KiB cost a third of the speed."""


def strongest(checksums: Mapping[str, str]) -> tuple[str, str] | None:
    """The algorithm and digest that decide, or None where there are none."""
    return next(((name, checksums[name]) for name in STRENGTH if name in checksums), None)


def promise(artifact: Artifact) -> str:
    """What the catalog holds an artifact to: 'sha256:...', without a checksum 'size:123', without both ''."""
    if found := strongest(artifact.checksums):
        return ":".join(found)
    return "" if artifact.size is None else f"size:{artifact.size}"


def algorithms(artifact: Artifact) -> tuple[str, ...]:
    """What to compute over an artifact: always sha256, and the strongest declared checksum where it is another."""
    found = strongest(artifact.checksums)
    return ("sha256",) if found is None or found[0] == "sha256" else ("sha256", found[0])


def tree_hash(files: Iterable[tuple[str, int, str]]) -> str:
    r"""One checksum of many files: 'sha256:...' over a line for each of (path, size in bytes, 'sha256:...').

    A line is the path as UTF-8 (bytes that are not, as they are), a zero byte, the size in decimal digits, a zero byte,
    the checksum with its prefix, and a line feed; lines are sorted by the bytes of their paths. No path holds a zero byte,
    so two different trees never have the same lines. Folders, times, modes and the order in an archive do not count.

    >>> tree_hash([("b/1", 0, "sha256:e3b0c4"), ("a", 3, "sha256:ba7816")]) == "sha256:" + hashlib.sha256(
    ...     b"a\x003\x00sha256:ba7816\n" b"b/1\x000\x00sha256:e3b0c4\n"
    ... ).hexdigest()
    True
    """
    lines = sorted((path.encode("utf-8", "surrogateescape"), size, checksum) for path, size, checksum in files)
    digest = hashlib.sha256()
    for path, size_bytes, checksum in lines:
        digest.update(b"%b\0%d\0%b\n" % (path, size_bytes, checksum.encode()))
    return f"sha256:{digest.hexdigest()}"


class Hashes:
    """Several checksums of the same bytes, computed as they pass."""

    def __init__(self, names: Iterable[str]) -> None:
        # md5 and sha1 identify here, they do not protect: systems that forbid them for security still allow this.
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}

    def update(self, chunk: bytes | memoryview) -> None:
        """Take in the next bytes."""
        for each in self._hashes.values():
            each.update(chunk)

    def copy(self) -> Hashes:
        """Another object that has taken in the same bytes."""
        twin = Hashes(())
        twin._hashes = {name: each.copy() for name, each in self._hashes.items()}
        return twin

    def digests(self) -> dict[str, str]:
        """Algorithm to hexadecimal digest of the bytes so far."""
        return {name: each.hexdigest() for name, each in self._hashes.items()}


def hash_file(path: Path, names: Iterable[str]) -> Generator[Progress, None, dict[str, str]]:
    """Read a file once; yields (done, total) bytes, returns algorithm to hexadecimal digest.

    Raises:
        DiskError: the file cannot be read.
    """
    hashes = Hashes(names)
    done_bytes = 0
    with disk_errors(path), open(path, "rb") as stream:
        total_bytes = path.stat().st_size
        while chunk := stream.read(CHUNK_BYTES):
            hashes.update(chunk)
            done_bytes += len(chunk)
            yield done_bytes, total_bytes
    return hashes.digests()
