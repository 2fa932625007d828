"""Members of a tar, compressed or not, out of a stream of it: all of it must pass, and only they are kept.

So the archive's own checksum can be computed on the way, and decides in the end, as for a whole archive.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from dlcat.fetch.slices.chosen import matcher, rank
from dlcat.fetch.unpack.target import Target

if TYPE_CHECKING:
    from pathlib import Path

    from dlcat.fetch.slices.chosen import Selection
    from dlcat.fetch.unpack.budget import Account

NAMES = 10_000
"""So many paths are remembered, to name near ones where nothing matched."""


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
