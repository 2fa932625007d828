"""Facets: which datasets of a catalog answer to a domain, a task, a licence, a size or some words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from dlcat.catalog.dataset import Access, Domain
from dlcat.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dlcat.catalog.dataset import Dataset

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([kmgt]i?|)b?\s*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """What is asked for; None asks for nothing."""

    domain: str | None = None
    task: str | None = None
    """Part of a task's name."""
    access: str | None = None
    license: str | None = None
    """Part of a licence identifier."""
    max_size: str | None = None
    """Largest download, such as 500MB; a dataset of unknown size is not below it."""
    search: str | None = None
    """Words, all of which must occur in name, title, summary, tasks or classes."""


def matching(datasets: Iterable[Dataset], facets: Facets) -> list[Dataset]:
    """The datasets that answer to every facet, in the catalog's order.

    Raises:
        UsageError: a domain or access that does not exist, or a size that is none.
    """
    _known("--domain", facets.domain, get_args(Domain))
    _known("--access", facets.access, get_args(Access))
    limit_bytes = None if facets.max_size is None else parse_size(facets.max_size)
    return [dataset for dataset in datasets if _answers(dataset, facets, limit_bytes)]


def parse_size(text: str) -> int:
    """Bytes that a text such as 500MB, 1.5 GiB or 4096 stands for; MB is a million bytes, MiB 2**20.

    >>> parse_size("1.5MB"), parse_size("1 KiB"), parse_size("12")
    (1500000, 1024, 12)

    Raises:
        UsageError: it is no size.
    """
    from fractions import Fraction  # 4 ms, for --max-size alone

    found = _SIZE.fullmatch(text)
    if not found:
        raise UsageError(f"{text!r} is no size", hint="write it like 500MB, 2GB or 1.5GiB")
    return int(Fraction(found[1]) * _UNITS[found[2].lower()])


def _known(option: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise UsageError(f"{option} {value}: expected one of {', '.join(known)}", hint=nearest(value, known))


def _answers(dataset: Dataset, facets: Facets, limit_bytes: int | None) -> bool:
    size_bytes = dataset.size.download
    return (
        facets.domain in (None, dataset.domain)
        and facets.access in (None, dataset.access)
        and (facets.task is None or any(facets.task.lower() in task for task in dataset.tasks))
        and (facets.license is None or facets.license.lower() in (dataset.license.id or "").lower())
        and (limit_bytes is None or (size_bytes is not None and size_bytes <= limit_bytes))
        and (facets.search is None or _contains(dataset, facets.search))
    )


def _contains(dataset: Dataset, words: str) -> bool:
    classes = dataset.classes if isinstance(dataset.classes, list) else []
    texts = (dataset.name, dataset.title, dataset.summary.en, dataset.summary.zh, *dataset.tasks, *classes)
    everything = "\n".join(texts).lower()
    return all(word in everything for word in words.lower().split())
