"""Members of a tar, compressed or not, out of a stream of it: all of it must pass, and only they are kept.

So the archive's own checksum can be computed on the way, and decides in the end, as for a whole archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import chain
from typing import TYPE_CHECKING

from dlcat.errors import VerificationError
from dlcat.fetch.chosen import matcher, rank
from dlcat.fetch.unpack import archive, streams, tar
from dlcat.fetch.unpack.containment import short
from dlcat.fetch.unpack.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dlcat.fetch.chosen import Selection
    from dlcat.fetch.unpack.budget import Account

NAMES = 10_000
"""So many paths are remembered, to name near ones where nothing matched."""
_MAGIC_BYTES = 6


class Chosen(Target):
    """A target that takes what is selected; of a sample what is in it so far, and gives back what drops out.

    Attributes:
        names: the first paths it was offered.
        offered: how many files it was offered.
    """

    def __init__(
        self, folder: Path, account: Account, selection: Selection, *, among: frozenset[str] | None = None
    ) -> None:
        super().__init__(folder, account, only=among)
        self.names: list[str] = []
        self.offered = 0
        self._matching = matcher(selection.only)
        self._sample = selection.sample
        self._heap: list[tuple[int, str]] = []
        self._drawn: set[str] = set()

    def place(self, name: str, *, is_folder: bool = False) -> str | None:
        path = super().place(name, is_folder=is_folder)
        if path is None or is_folder:
            return None
        self.offered += 1
        if len(self.names) < NAMES:
            self.names.append(path)
        return path if self._matching(path) and self._is_drawn(path) else None

    def _is_drawn(self, path: str) -> bool:
        if self._sample is None or path in self._drawn:
            return True
        place = -int.from_bytes(rank(path), "big")
        if len(self._drawn) == self._sample:
            if place < self._heap[0][0]:
                return False
            _, worst = heappop(self._heap)
            self._drawn.remove(worst)
            self.remove(worst)
        heappush(self._heap, (place, path))
        self._drawn.add(path)
        return True


def unpack_stream(chunks: Iterable[bytes], target: Target, file: str) -> Iterator[int]:
    """Unpack a tar that comes as a stream into the target; yields how many bytes were written each time.

    Raises:
        VerificationError: it is damaged, cut or a bomb, or a member is no file, or would leave the folder.
    """
    with archive._named(file):
        yield from _members(tar._Feed(_content(iter(chunks))), target)


def _members(feed: tar._Feed, target: Target) -> Iterator[int]:
    while (header := tar._next_header(feed, target.account)) is not None:
        if header.is_folder:
            target.place(header.name, is_folder=True)
            continue
        if header.kind not in tar._FILES:
            raise VerificationError(f"member {short(header.name)} is {tar._kind(header)}; only files are unpacked")
        target.account.spend(header.size_bytes)
        if (path := target.place(header.name)) is None:
            feed.skip(header.size_bytes)
        else:
            target.make_folder(path.rpartition("/")[0])
            yield from target.write(path, feed.pieces(header.size_bytes))
        feed.skip(-header.size_bytes % tar._BLOCK_BYTES)
    tar._require_end(feed, target.account)


def _content(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """What is inside, told by the first bytes."""
    start = b""
    while len(start) < _MAGIC_BYTES and (chunk := next(chunks, b"")):
        start += chunk
    found = next((name for magic, name in streams._MAGIC.items() if start.startswith(magic)), None)
    whole = chain((start,), chunks)
    return streams.expanded(whole, streams._DECOMPRESSORS[found]()) if found else whole
