"""Which artifacts a slice concerns, and how each would be brought; said before a byte moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dlcat.catalog.dataset import ARCHIVES
from dlcat.errors import UsageError, nearest
from dlcat.fetch.plan import asked, estimate, plan_for, selected
from dlcat.fetch.slices.chosen import Selection, matcher, near
from dlcat.fetch.slices.record import Request, here, read_slice

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dlcat.catalog.dataset import Access, Artifact, Dataset
    from dlcat.fetch.plan import Estimate, Planned
    from dlcat.fetch.store import Store
    from dlcat.fetch.terms import Agreement

How = Literal["ranges", "stream", "whole", "here"]
"""How a slice of an artifact is brought: some of its bytes, all of them past us, all of them kept, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSlice:
    """How a slice of one artifact would be brought."""

    file: str
    how: How
    download_bytes: int | None
    """At most: for `ranges` it is known only once the directory is read; None where no size is published."""
    sources: tuple[str, ...]
    """In the order they would be tried; empty where a person must ask for the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePlan:
    """What fetching a part of a dataset would do."""

    dataset: str
    access: Access
    license: str | None
    folder: Path
    """Where the files will be."""
    artifacts: tuple[PlannedSlice, ...]
    download_bytes: int
    """At most, as far as sizes are published."""
    sizes_known: bool
    """False where a size is not published, so that more than that may travel."""
    peak_bytes: int | None
    """Room needed at the fullest moment; None where only the directory of an archive will tell."""
    free_bytes: int
    terms: Agreement | None
    """What upstream wants agreed to, and whether this user has."""
    estimate: Estimate | None
    """How long `download_bytes` would take; None where no source's speed is known."""

    @property
    def exact(self) -> bool:
        """Whether the bytes that travel are known; else a remote directory tells how few of them are wanted."""
        return self.sizes_known and all(each.how != "ranges" for each in self.artifacts)

    @property
    def fits(self) -> bool:
        """Whether the disk has the room, as far as that is known."""
        return self.peak_bytes is None or self.peak_bytes <= self.free_bytes


def plan_slice(
    dataset: Dataset,
    store: Store,
    *,
    only: tuple[str, ...] = (),
    split: str | None = None,
    sample: int | None = None,
    parts: tuple[str, ...] = (),
    mirror: tuple[str, ...] = (),
) -> SlicePlan:
    """What `fetch_slice` with the same arguments would do; no network.

    Raises:
        UsageError: as `fetch_slice`, as far as it can be told without a network.
        DiskError: the note of which terms are accepted cannot be read.
    """
    selection = Selection(tuple(only), sample)
    chosen = concerned(dataset, selection, split, parts)
    taken = chosen if selection == Selection() else [*archives_of(chosen), *singles_of(chosen, selection)]
    if not taken:
        raise nothing_matches(dataset, selection, [inside(artifact) for artifact in chosen])
    whole = plan_for(dataset, store, taken, mirror=mirror)
    planned = [_planned(dataset, *each, store, selection) for each in zip(taken, whole.artifacts, strict=True)]
    return SlicePlan(
        dataset=whole.dataset,
        access=whole.access,
        license=whole.license,
        folder=whole.folder,
        artifacts=tuple(planned),
        download_bytes=sum(each.download_bytes or 0 for each in planned),
        sizes_known=all(each.download_bytes is not None for each in planned),
        peak_bytes=whole.peak_bytes if selection == Selection() and whole.sizes_known else None,
        free_bytes=whole.free_bytes,
        terms=asked(dataset),
        estimate=estimate([(each.download_bytes, each.sources) for each in planned], store),
    )


def nothing_matches(dataset: Dataset, selection: Selection, names: list[str]) -> UsageError:
    """The error that says which patterns match none of the paths, and what is near."""
    patterns = ", ".join(map(repr, selection.only)) or "the sample"
    hints = dict.fromkeys(near(pattern, names) for pattern in selection.only)
    return UsageError(f"{dataset.name}: nothing matches {patterns}", hint="; ".join(hints))


def is_sliced(dataset: Dataset, artifact: Artifact, store: Store, selection: Selection) -> bool:
    """Whether the same was asked for before, and nothing of it was lost since."""
    former = read_slice(dataset, artifact, store)
    if former is None or len(here(dataset, store, former)) != len(former.files):
        return False
    return Request(selection.only, selection.sample) in former.requests


def _planned(dataset: Dataset, artifact: Artifact, whole: Planned, store: Store, selection: Selection) -> PlannedSlice:
    how = _how(dataset, artifact, whole, store, selection)
    sizes = {"here": 0, "whole": whole.remaining_bytes}
    return PlannedSlice(
        file=artifact.file, how=how, download_bytes=sizes.get(how, artifact.size), sources=whole.sources
    )


def _how(dataset: Dataset, artifact: Artifact, whole: Planned, store: Store, selection: Selection) -> How:
    if whole.state == "ok":
        return "here"
    if selection == Selection() or artifact.unpack not in ARCHIVES:
        return "whole"
    if whole.unpacked or is_sliced(dataset, artifact, store, selection):
        return "here"
    return "ranges" if artifact.unpack == "zip" else "stream"


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
