"""EncodedExamples: one split as encoded pictures, in files of their own or in shards, decoded when they are asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dlcat.readers.pixels import Place

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np


class Storage(Protocol):
    """Where the pictures of a split are."""

    @property
    def digests(self) -> dict[str, str]:
        """File to sha256 of what tells these pictures from others, for the record; none where the catalog's do."""
        ...

    def places(self, positions: Sequence[int]) -> list[Place]:
        """Of these examples; what lies elsewhere is brought first."""
        ...

    def announce(self, positions: np.ndarray[Any, Any]) -> None:
        """Say in which order examples will be asked for, so that what lies elsewhere can be brought ahead."""
        ...


@dataclass(frozen=True, slots=True)
class Tree:
    """Every picture in a file of its own."""

    folder: Path
    paths: np.ndarray[Any, Any]
    """(N,) bytes: of every file, below the folder."""

    @property
    def digests(self) -> dict[str, str]:
        return {}

    def places(self, positions: Sequence[int]) -> list[Place]:
        return [Place(os.path.join(self.folder, os.fsdecode(self.paths[position]))) for position in positions]

    def announce(self, positions: np.ndarray[Any, Any]) -> None:
        """Files can be read in any order."""


@dataclass(frozen=True, slots=True)
class EncodedExamples:
    """One split, on the disk or elsewhere, as upstream encoded it."""

    storage: Storage
    targets: np.ndarray[Any, np.dtype[Any]]
    """(N,) int64, positions in `classes`."""
    classes: tuple[str, ...]
    channels: int
    """1: grey, 3: red, green, blue."""
    shards: np.ndarray[Any, np.dtype[Any]] | None = None
    """(N,) the number of the shard that each example is in; None where each is in a file of its own."""
    groups: np.ndarray[Any, np.dtype[Any]] | None = None
    """(N,) equal within what a fair split keeps together, 0 where there is nothing; None where nobody is together."""
    left_out: tuple[str, ...] = ()
    """What could not be used, by name."""

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def digests(self) -> dict[str, str]:
        """See `Storage.digests`."""
        return self.storage.digests
