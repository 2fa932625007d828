"""Which artifacts a slice concerns, and how each would be brought; said before a byte moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dlcat.errors import UsageError, nearest
from dlcat.fetch.chosen import Selection, matcher
from dlcat.fetch.plan import selected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.store import Store

How = Literal["ranges", "stream", "whole", "here"]
"""How a slice of an artifact is brought: some of its bytes, all of them past us, all of them kept, or none."""
ARCHIVES = ("zip", "tar")


@dataclass(frozen=True, slots=True)
class PlannedSlice:
    """How a slice of one artifact would be brought."""

    file: str
    how: How
    download_bytes: int | None
    """At most: for `ranges` it is known only once the directory is read; None where no size is published."""


def plan_slice(
    dataset: Dataset,
    store: Store,
    *,
    only: tuple[str, ...] = (),
    split: str | None = None,
    sample: int | None = None,
    parts: tuple[str, ...] = (),
) -> tuple[PlannedSlice, ...]:
    """How `fetch_slice` would bring each artifact; no network.

    Raises:
        UsageError: as `fetch_slice`, as far as it can be told without a network.
    """
    selection = Selection(tuple(only), sample)
    chosen = concerned(dataset, selection, split, parts)
    taken = chosen if selection == Selection() else [*archives_of(chosen), *singles_of(chosen, selection)]
    return tuple(_planned(dataset, artifact, store, selection) for artifact in taken)


def _planned(dataset: Dataset, artifact: Artifact, store: Store, selection: Selection) -> PlannedSlice:
    if store.state(dataset, artifact) == "ok":
        return PlannedSlice(artifact.file, "here", 0)
    if selection == Selection() or artifact.unpack not in ARCHIVES:
        return PlannedSlice(artifact.file, "whole", artifact.size)
    return PlannedSlice(artifact.file, "ranges" if artifact.unpack == "zip" else "stream", artifact.size)


def concerned(dataset: Dataset, selection: Selection, split: str | None, parts: tuple[str, ...]) -> list[Artifact]:
    """The artifacts that come into question.

    Raises:
        UsageError: there are none, or too many to be meant.
    """
    selection.require_sense()
    if selection == Selection() and split is None:
        raise UsageError("a slice of what? expected --only, --split or --sample")
    found = selected(dataset, parts) if split is None else _of_split(dataset, split, parts)
    archives = archives_of(found)
    if selection != Selection() and (nested := [each.file for each in archives if each.nested]):
        raise UsageError(
            f"{dataset.name}: {', '.join(nested)} holds archives; no slice can be made of what is inside these",
            hint="choose other files with --part or --split, or fetch it whole",
        )
    if selection.sample is not None and not archives:
        raise UsageError(
            f"{dataset.name} has no archive to take a sample of: its examples are in {len(found)} files",
            hint=f"dlcat fetch {dataset.name}",
        )
    return found


def _of_split(dataset: Dataset, split: str, parts: tuple[str, ...]) -> list[Artifact]:
    known = {artifact.split for artifact in dataset.artifacts if artifact.split is not None}
    if split not in known:
        inside = split in dataset.splits
        fault = "is inside its files, not a file of its own" if inside else "is not known"
        way = f"choose by path, with --only, or fetch it whole: dlcat fetch {dataset.name}"
        raise UsageError(f"{dataset.name}: split {split!r} {fault}", hint=way if inside else nearest(split, known))
    found = [artifact for artifact in selected(dataset, parts) if artifact.split == split]
    if not found:
        found = [artifact for artifact in dataset.artifacts if artifact.split == split]
        if parts or len({artifact.part for artifact in found}) > 1:
            names = sorted({artifact.part for artifact in found if artifact.part is not None})
            raise UsageError(
                f"{dataset.name}: split {split!r} is in the parts {', '.join(names)}", hint="name one: --part"
            )
    serving = [artifact for artifact in dataset.artifacts if artifact.split is None and artifact.part is None]
    return [artifact for artifact in dataset.artifacts if artifact in found or artifact in serving]


def archives_of(artifacts: Iterable[Artifact]) -> list[Artifact]:
    """Those that hold members to choose from."""
    return [artifact for artifact in artifacts if artifact.unpack in ARCHIVES]


def singles_of(artifacts: Iterable[Artifact], selection: Selection) -> list[Artifact]:
    """The files that hold one member, where that is named; a sample is taken of archives alone."""
    if selection.sample is not None:
        return []
    matching = matcher(selection.only)
    return [artifact for artifact in artifacts if artifact.unpack not in ARCHIVES and matching(inside(artifact))]


def inside(artifact: Artifact) -> str:
    """The path of the one file that an artifact becomes."""
    if artifact.unpack == "none":
        return artifact.file
    return artifact.contents[0].path if artifact.contents else artifact.file.removesuffix(f".{artifact.unpack}")
