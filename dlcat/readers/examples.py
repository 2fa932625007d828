"""Examples: one split of a dataset as arrays; and the family of readers that make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from dlcat.errors import InvalidError, VerificationError, nearest
from dlcat.registry import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch.utils.data import Dataset as TorchDataset

    from dlcat.readers.ragged import Ragged

Value = TypeVar("Value")


Gives = Literal["arrays", "pictures", "sounds", "texts", "records"]
"""What a reader gives of a split; see `reader`."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What the rest of dlcat must know of a reader."""

    gives: Gives = "arrays"
    """In which form it gives a split's examples."""
    names: Callable[[Path], Sequence[str]] | None = None
    """Reads the names of its classes, in label order, from the dataset's folder: where the catalog only says how many there are."""


reader = Family("reader", "dlcat.readers", Traits)
"""A reader is `name(folder: Path, split: str, *, options)`: one split, read from the unpacked folder of its dataset.

What it gives depends on its trait:

- `arrays`: (inputs, targets), the whole split in upstream's dtype, channels first; targets are int64 (N,) or float32 (N,).
- every other one is a generator of `Example` and, for what cannot be used, `Bad`; an example's input is
  - `pictures`: the path of an image file below the folder, as text; it is decoded while a network trains;
  - `sounds`: the path of a sound file below the folder, as text; it is decoded when it is prepared;
  - `texts`: text;
  - `records`: a mapping of plain values (boxes, captions, pairs of sentences): read, shown and counted, not trained on.

It streams where the data do not fit, believes no length it has not held against the file, and unpickles nothing. An option
`target`, where it has one, chooses what is predicted, by the names of the catalog's `targets`.
"""


@dataclass(frozen=True, slots=True)
class Example:
    """One example as upstream has it."""

    input: Any
    """A path below the folder, text, or a mapping; see `reader`."""
    target: str | int | float | tuple[str, ...] | None
    """The name of its class, or its position in the catalog's list of them; a number as float, where that is predicted; the
    names of all classes it has, where there may be several; None where upstream does not tell."""
    place: str
    """Where upstream has it: `file`, or `file:line`."""
    group: str = ""
    """What it shares with others so that a fair test has all of them or none: a speaker, a recording, an author; or nothing."""
    absent: tuple[str, ...] | None = None
    """Of several classes, those it is known not to have, where nobody looked for the rest; None: all that are not in `target`."""


@dataclass(frozen=True, slots=True)
class Bad:
    """Something that should be an example, and cannot be used as one."""

    place: str
    """Where upstream has it: `file`, or `file:line`."""
    expected: str
    """What the format promises there."""
    found: str
    """What is there."""

    def __str__(self) -> str:
        return f"{self.place}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Examples:
    """One split, in memory or memory-mapped.

    >>> examples = Examples(np.zeros((2, 1, 8, 8), np.uint8), np.array([3, 7]), tuple("0123456789"))
    >>> len(examples), examples.classes[examples.targets[1]]
    (2, '7')
    """

    inputs: np.ndarray[Any, np.dtype[Any]]
    """(N, C, H, W) uint8 for images."""
    targets: np.ndarray[Any, np.dtype[Any]]
    """(N,) int64, positions in `classes`, -1 for none; (N, K) uint8, 1 for each class an example has; (N,) float32, numbers."""
    classes: tuple[str, ...]
    groups: np.ndarray[Any, np.dtype[np.int64]] | None = None
    """(N,) equal within what a fair split keeps together, 0 where there is nothing; None where nobody is together."""
    left_out: tuple[str, ...] = ()
    """What could not be used, by name."""
    texts: Ragged | None = None
    """(N, bytes) what tokens were made from; None where inputs are no tokens."""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def digests(self) -> dict[str, str]:
        """None beside the catalog's; see `encoded.Storage`."""
        return {}

    def torch(self) -> TorchDataset[Any]:
        """A map-style torch Dataset of (input, target): float32 tensors, uint8 inputs scaled to 0..1, and int labels.

        >>> examples = Examples(np.full((2, 1, 8, 8), 255, np.uint8), np.array([3, 7]), tuple("0123456789"))
        >>> image, label = examples.torch()[1]
        >>> tuple(image.shape), float(image.max()), label
        ((1, 8, 8), 1.0, 7)
        """
        import torch
        from torch.utils.data import Dataset

        examples = self

        class Items(Dataset[Any]):
            def __len__(self) -> int:
                return len(examples)

            def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
                value = np.asarray(examples.inputs[position], dtype=np.float32)
                scale = 255 if examples.inputs.dtype == np.uint8 else 1
                return torch.from_numpy(value / scale), int(examples.targets[position])

        return Items()


def expect(truth: bool, path: Path, expected: str, found: object) -> None:
    """Stop unless a file is what its format promises.

    Raises:
        VerificationError: names the file, what was expected and what was found.
    """
    if not truth:
        raise VerificationError(
            f"{path}: expected {expected}, found {found}", hint="fetch it again with `dlcat fetch NAME --force`"
        )


def for_split(split: str, known: Mapping[str, Value]) -> Value:
    """What belongs to a split, in a format that has only the splits in `known`.

    Raises:
        InvalidError: the catalog names another one.
    """
    if split not in known:
        raise InvalidError(f"this format has no split named {split!r}", hint=nearest(split, known))
    return known[split]


def read_bytes(path: Path) -> bytes:
    """A file that the dataset's folder must hold.

    Raises:
        VerificationError: it is not there, or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise VerificationError(
            f"{path}: cannot be read: {error.strerror}", hint="`dlcat verify NAME` says what is missing"
        ) from error
