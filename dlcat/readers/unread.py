"""TextExamples and SoundExamples: one split as upstream has it, before a recipe says how it becomes numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from dlcat.readers.ragged import Ragged


@dataclass(frozen=True, slots=True)
class TextExamples:
    """One split of texts."""

    texts: Ragged
    """(N, bytes) uint8, in UTF-8."""
    targets: np.ndarray[Any, np.dtype[Any]]
    """As `streaming.Targets.arrays` has them."""
    classes: tuple[str, ...]
    groups: np.ndarray[Any, np.dtype[np.int64]] | None
    """(N,) equal within what a fair split keeps together, 0 where there is nothing."""
    left_out: tuple[str, ...]
    """What could not be used, by name."""
    home: Path
    """The folder that it is prepared in: what is made from it is kept there."""

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def digests(self) -> dict[str, str]:
        """None beside the catalog's; see `encoded.Storage`."""
        return {}


@dataclass(frozen=True, slots=True)
class SoundExamples:
    """One split of sounds, each in a file."""

    folder: Path
    paths: np.ndarray[Any, Any]
    """(N,) bytes: of every file, below the folder."""
    targets: np.ndarray[Any, np.dtype[Any]]
    """As `streaming.Targets.arrays` has them."""
    classes: tuple[str, ...]
    groups: np.ndarray[Any, np.dtype[np.int64]] | None
    """(N,) equal within what a fair split keeps together, 0 where there is nothing."""
    left_out: tuple[str, ...]
    """What could not be used, by name."""
    home: Path
    """The folder that the list is prepared in: what is made from it is kept there."""

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def digests(self) -> dict[str, str]:
        """None beside the catalog's; see `encoded.Storage`."""
        return {}
