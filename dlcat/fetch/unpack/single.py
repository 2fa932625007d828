"""One file, compressed."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from dlcat.fetch.unpack.streams import content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlcat.catalog.dataset import Artifact
    from dlcat.fetch.unpack.target import Target


def unpack_single(archive: Path, target: Target, artifact: Artifact) -> Iterator[int]:
    """Unpack gz, bz2, xz or zst into the file that the catalog lists, or else the one the archive is named after.

    Raises:
        VerificationError: it is damaged, cut, a bomb, or compressed by something else.
    """
    listed = artifact.contents[0] if artifact.contents else None
    target.total_bytes = listed.size if listed else None
    path = target.place(listed.path if listed else artifact.file.removesuffix(f".{artifact.unpack}"))
    if path is None:
        return
    target.make_folder(path.rpartition("/")[0])
    with closing(content(archive, artifact.unpack)) as chunks:
        yield from target.write(path, _counted(chunks, target))


def _counted(chunks: Iterator[bytes], target: Target) -> Iterator[bytes]:
    for chunk in chunks:
        target.account.spend(len(chunk))
        yield chunk
