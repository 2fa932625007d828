"""What the catalog promises of a dataset's targets, by the target that its reader is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dlcat.errors import InvalidError, nearest
from dlcat.readers.examples import reader

if TYPE_CHECKING:
    from dlcat.catalog import Dataset


@dataclass(frozen=True, slots=True)
class Promised:
    """The targets of a dataset before any is read."""

    kind: Literal["classes", "number"]
    names: tuple[str, ...] | None = None
    """In label order; None where the catalog does not list them."""
    count: int | None = None
    """How many classes; None where the catalog does not say."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names, or numbers that stand for names that only the data tell; None where not even their count is known."""
        if self.names is not None or self.count is None:
            return self.names
        return tuple(str(number) for number in range(self.count))


def promised(dataset: Dataset) -> Promised:
    """What the catalog says of the target that the dataset's reader is asked for.

    Raises:
        InvalidError: it says nothing of that target.
    """
    told: Any = dataset.classes
    if dataset.targets:
        target = _option(dataset, "target")
        if target not in dataset.targets:
            raise InvalidError(
                f"{dataset.name}: the catalog has no target {target!r}", hint=nearest(str(target), dataset.targets)
            )
        told = dataset.targets[target]
    match told:
        case list(names):
            return Promised("classes", tuple(names), len(names))
        case int(count):
            return Promised("classes", None, count)
        case "number":
            return Promised("number")
        case str(option) if dataset.targets:
            return Promised("classes", None, _option(dataset, option))
        case _:
            return Promised("classes")


def _option(dataset: Dataset, name: str) -> Any:
    """What an option of the dataset's reader is set to, or its default."""
    assert dataset.reader is not None, "the catalog is validated: only an entry with a reader has targets"
    if name in dataset.reader.options:
        return dataset.reader.options[name]
    known = reader.options(dataset.reader.name)
    if name not in known:
        raise InvalidError(
            f"{dataset.name}: expected an option {name!r} of reader {dataset.reader.name!r}, by which the catalog goes"
        )
    return known[name].default
