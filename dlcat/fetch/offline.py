"""Working without a network, on purpose (DLCAT_OFFLINE): what is verified and here is used, and nobody is asked for more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcat import locations
from dlcat.errors import UnreachableError
from dlcat.fetch.plan import sources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dlcat.catalog.dataset import Artifact, Dataset


def reachable(candidates: tuple[str, ...]) -> tuple[str, ...]:
    """The sources that may be tried: all, or offline those that need no connection, files inside installed packages."""
    if not locations.is_offline():
        return candidates
    return tuple(source for source in candidates if source.startswith("package:"))


def require_reachable(dataset: Dataset, pending: Iterable[Artifact], mirror: tuple[str, ...] = ()) -> None:
    """Stop before anything is tried where, offline, artifacts cannot be had; names all of them.

    Args:
        dataset: the catalog entry.
        pending: the artifacts that are not in the cache.
        mirror: base URLs, which need a connection like any other source.

    Raises:
        UnreachableError: there are such artifacts.
    """
    if not locations.is_offline():
        return
    missing = [artifact.file for artifact in pending if not reachable(sources(dataset, artifact, mirror))]
    if missing:
        raise UnreachableError(
            f"offline: not in the cache: {', '.join(f'{dataset.name}/{file}' for file in missing)}",
            hint=f"unset DLCAT_OFFLINE, or hand the files over: dlcat import {dataset.name} PATH",
        )
