"""How much an archive may unpack to before it counts as a bomb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlcat.errors import VerificationError

if TYPE_CHECKING:
    from dlcat.catalog.dataset import Artifact, Dataset

LIMIT_MEMBERS = 5_000_000
LIMIT_RATIO = 200
"""Unpacked bytes per archive byte that are believed where the catalog promises nothing; text reaches about 20."""
HARMLESS_BYTES = 64 * 2**20
"""Never a bomb, however well it was compressed: any disk has room for that."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much an archive may unpack to, archives inside it included."""

    size_bytes: int
    members: int = LIMIT_MEMBERS


def budget(dataset: Dataset, artifact: Artifact, archive_bytes: int) -> Budget:
    """Twice what the catalog says the dataset unpacks to, or, where it does not say, 200 times the archive.

    Nothing below 64 MiB is refused. The catalog's size counts the artifacts that are fetched by default; for others the
    archive's own size decides.
    """
    promised_bytes = dataset.size.unpacked if artifact in dataset.selected() else None
    believed_bytes = LIMIT_RATIO * archive_bytes if promised_bytes is None else 2 * promised_bytes
    return Budget(max(believed_bytes, HARMLESS_BYTES))


class Account:
    """What an archive, and those inside it, have used of their budget."""

    def __init__(self, limit: Budget) -> None:
        self._limit = limit
        self._used_bytes = 0
        self._members = 0

    def count_member(self) -> None:
        """One more file, folder or header.

        Raises:
            VerificationError: there are more than the budget has.
        """
        self._members += 1
        if self._members > self._limit.members:
            raise VerificationError(f"expected at most {self._limit.members} members, found more")

    def spend(self, size_bytes: int) -> None:
        """So many bytes, wanted or not, are about to come out.

        Raises:
            VerificationError: there are more than the budget has.
        """
        self._used_bytes += size_bytes
        if self._used_bytes > self._limit.size_bytes:
            raise VerificationError(f"expected at most {self._limit.size_bytes} bytes unpacked, found more")
