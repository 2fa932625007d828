"""Catalog files, merged: names to Dataset records, read through an index so that `dlcat list` starts at once."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from dlcat.catalog.dataset import Dataset
from dlcat.disk import write_beside
from dlcat.errors import DiskError, InvalidError, UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlcat.locations import Locations

INDEX_VERSION = 1
"""Raised when the records change shape; an index of another version is not read."""


class Catalog:
    """Every known dataset by name, in the order of the files."""

    def __init__(self, datasets: dict[str, Dataset]) -> None:
        self._datasets = datasets

    def __getitem__(self, name: str) -> Dataset:
        """The dataset of that name.

        Raises:
            UsageError: there is none; the hint names the closest.
        """
        if name not in self._datasets:
            raise UsageError(f"no dataset named {name!r} in the catalog", hint=nearest(name, self._datasets))
        return self._datasets[name]

    def __iter__(self) -> Iterator[Dataset]:
        return iter(self._datasets.values())

    def __len__(self) -> int:
        return len(self._datasets)

    def __contains__(self, name: object) -> bool:
        return name in self._datasets

    @property
    def names(self) -> list[str]:
        """The names, in order."""
        return list(self._datasets)


def load(locations: Locations) -> Catalog:
    """Read and merge the catalog files; a later file adds entries or replaces them whole.

    Raises:
        InvalidError: a file is missing or does not follow the schema; all its faults at once.
    """
    merged: dict[str, Dataset] = {}
    for path in locations.catalogs:
        merged |= _read(path, locations.index)
    return Catalog(merged)


def _read(path: Path, index: Path) -> dict[str, Dataset]:
    """One file's entries: from the index where the same bytes were validated before, else from YAML."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidError(f"{path}: no catalog could be read: {error.strerror}") from error
    entry = index / f"{INDEX_VERSION}-{hashlib.sha256(content).hexdigest()[:32]}.json"
    try:
        raw = json.loads(entry.read_bytes())
        return {name: revive(Dataset, record) for name, record in raw.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass  # no index yet, or a damaged one: it is only a copy
    from dlcat import document  # YAML and pydantic cost 150 ms
    from dlcat.catalog import validate

    datasets = validate.datasets(document.load(path))
    _write_index(entry, datasets)
    return datasets


def _write_index(entry: Path, datasets: dict[str, Dataset]) -> None:
    """Keep the validated entries; where the cache cannot be written, the next start validates again."""
    with suppress(DiskError):
        write_beside(entry, json.dumps({name: asdict(dataset) for name, dataset in datasets.items()}))


def revive(record: Any, raw: dict[str, Any]) -> Any:
    """A record from the JSON that `dataclasses.asdict` made of it. Trusts its input: only for what dlcat wrote."""
    return record(**{name: _revive_value(nested, raw[name]) if nested else raw[name] for name, nested in _plan(record)})


def _revive_value(nested: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [revive(nested, item) for item in value]
    if fields(nested)[0].name not in value:  # a mapping of records, such as parts
        return {key: revive(nested, item) for key, item in value.items()}
    return revive(nested, value)


@cache
def _plan(record: Any) -> list[tuple[str, type[Any] | None]]:
    """Field names, each with the record type it holds (itself, in a list or in a mapping), if any."""
    hints = get_type_hints(record)
    return [(item.name, _nested(hints[item.name])) for item in fields(record)]


def _nested(hint: Any) -> type[Any] | None:
    if isinstance(hint, type) and is_dataclass(hint):
        return hint
    return next((found for part in get_args(hint) if (found := _nested(part))), None) if get_origin(hint) else None
