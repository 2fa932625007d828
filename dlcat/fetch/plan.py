"""What a fetch would do: states, sizes, sources, room, time and terms. Reads the disk only; no network, no writing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from dlcat.disk import free_bytes
from dlcat.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dlcat.catalog.dataset import Access, Artifact, Dataset, Unpack
    from dlcat.fetch.store import State, Store
    from dlcat.fetch.terms import Agreement
    from dlcat.fetch.wire.health import Health


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What would happen to one artifact."""

    file: str
    state: State
    size_bytes: int | None
    remaining_bytes: int | None
    """Still to be downloaded; None where the size is not published."""
    sources: tuple[str, ...]
    """In the order they would be tried; empty where a person must ask for the file."""
    unpack: Unpack
    unpacked: bool
    """Whether the data folder already holds what is inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How long a download would take, file after file, each as fast as its first source was when it was used last."""

    seconds: float
    bytes_per_second: float
    """All bytes over all seconds."""
    hosts: tuple[str, ...]
    """Whose speeds these are."""
    seen: str
    """When the hosts were last used; of several the earliest. UTC, ISO 8601."""
    complete: bool
    """False where files are left out, because their size or the speed of their source is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What fetching a dataset would do."""

    dataset: str
    access: Access
    license: str | None
    folder: Path
    """Where the readable tree will be."""
    artifacts: tuple[Planned, ...]
    download_bytes: int
    """Still to be downloaded, as far as sizes are published."""
    unpacked_bytes: int | None
    """Still to be written by unpacking; None where that is not published."""
    peak_bytes: int
    """Room needed at the fullest moment: the archives stay while they are unpacked, and after."""
    free_bytes: int
    sizes_known: bool
    """False where a size is not published, so that the numbers above are too small."""
    terms: Agreement | None = None
    """What upstream wants agreed to, and whether this user has; None where that is nothing, and from `plan_for`."""
    estimate: Estimate | None = None
    """None where no source's speed is known, and from `plan_for`."""

    @property
    def fits(self) -> bool:
        """Whether the disk has the room."""
        return self.peak_bytes <= self.free_bytes


def plan(
    dataset: Dataset,
    store: Store,
    *,
    mirror: tuple[str, ...] = (),
    parts: tuple[str, ...] = (),
    force: bool = False,
) -> Plan:
    """What `fetch` with the same arguments would do.

    Raises:
        UsageError: a part the dataset does not have, or a mirror that is no http(s) URL.
        DiskError: the note of which terms are accepted cannot be read.
    """
    made = plan_for(dataset, store, selected(dataset, parts), mirror=mirror, force=force)
    downloads = [(each.remaining_bytes, each.sources) for each in made.artifacts]
    return replace(made, terms=asked(dataset), estimate=estimate(downloads, store))


def plan_for(
    dataset: Dataset, store: Store, chosen: list[Artifact], *, mirror: tuple[str, ...] = (), force: bool = False
) -> Plan:
    """What it would take to bring these artifacts.

    Raises:
        UsageError: a mirror that is no http(s) URL.
    """
    health = _health(store)
    planned = tuple(_planned(dataset, artifact, store, mirror, force, health) for artifact in chosen)
    download_bytes = sum(each.remaining_bytes or 0 for each in planned)
    unpacked_bytes = _unpacked_bytes(dataset, chosen, store, force)
    return Plan(
        dataset=dataset.name,
        access=dataset.access,
        license=dataset.license.id,
        folder=store.data_path(dataset),
        artifacts=planned,
        download_bytes=download_bytes,
        unpacked_bytes=unpacked_bytes,
        peak_bytes=download_bytes + (unpacked_bytes or 0),
        free_bytes=free_bytes(store.locations.cache),
        sizes_known=unpacked_bytes is not None and all(each.remaining_bytes is not None for each in planned),
    )


def selected(dataset: Dataset, parts: tuple[str, ...]) -> list[Artifact]:
    """The artifacts of the parts, by default of the default parts.

    Raises:
        UsageError: a part the dataset does not have.
    """
    for part in parts:
        if part != "all" and part not in dataset.parts:
            raise UsageError(f"{dataset.name} has no part named {part!r}", hint=nearest(part, (*dataset.parts, "all")))
    return dataset.selected(parts)


def sources(dataset: Dataset, artifact: Artifact, mirror: tuple[str, ...]) -> tuple[str, ...]:
    """Where the artifact may be had, best first: the mirrors, then upstream where the data are open.

    Raises:
        UsageError: a mirror is no http(s) URL.
    """
    for base in mirror:
        if not base.startswith(("http://", "https://")):
            from dlcat.fetch.wire.credentials import redact

            hint = "serve the folder with any static file server"
            raise UsageError(f"expected a mirror like http://host/base, found {redact(base.strip())!r}", hint=hint)
    mirrored = (f"{base.rstrip('/')}/{dataset.name}/{quote(artifact.file)}" for base in mirror)
    return (*mirrored, *(artifact.urls if dataset.access == "open" else ()))


def asked(dataset: Dataset) -> Agreement | None:
    """What upstream wants this user to agree to; None where that is nothing.

    Raises:
        DiskError: the note of what is accepted cannot be read.
    """
    if dataset.terms is None:  # as nearly everywhere: what looks after consents need not be loaded
        return None
    from dlcat.fetch.terms import agreement

    return agreement(dataset)


def estimate(downloads: Iterable[tuple[int | None, tuple[str, ...]]], store: Store) -> Estimate | None:
    """How long it would take at the ledger's speeds; None where nothing travels or no speed is known.

    Args:
        downloads: for every file its bytes that are not here yet, None where that is not known, and its sources.
        store: the cache, with the ledger.
    """
    health = _health(store)
    if health is None:
        return None
    first = [(size_bytes, found[0] if found else "") for size_bytes, found in downloads if size_bytes != 0]
    paces = [(size_bytes, _pace(health, source)) for size_bytes, source in first if not source.startswith("package:")]
    known = [(size_bytes, *pace) for size_bytes, pace in paces if size_bytes is not None and pace is not None]
    if not known:
        return None
    seconds = sum(size_bytes / speed for size_bytes, speed, _, _ in known)
    return Estimate(
        seconds=seconds,
        bytes_per_second=sum(size_bytes for size_bytes, *_ in known) / seconds,
        hosts=tuple(dict.fromkeys(name for _, _, name, _ in known)),
        seen=min(when for *_, when in known),
        complete=len(known) == len(paces),
    )


def _health(store: Store) -> Health | None:
    """The ledger of sources; None where there is none, so that `plan` need not load what reads it."""
    if not store.health_path.exists():
        return None
    from dlcat.fetch.wire.health import Health

    return Health(store.health_path)


def _pace(health: Health, source: str) -> tuple[float, str, str] | None:
    """A source's bytes per second, its host, and when that was used last."""
    from dlcat.fetch.wire.hosts import host

    speed, history = health.speed_bytes_per_second(source), health.ledger().hosts.get(host(source))
    if speed is None or history is None or history.success is None:
        return None
    return speed, host(source), history.success.when


def _planned(
    dataset: Dataset, artifact: Artifact, store: Store, mirror: tuple[str, ...], force: bool, health: Health | None
) -> Planned:
    state = store.state(dataset, artifact)
    found = sources(dataset, artifact, mirror)
    remaining_bytes = artifact.size
    if state == "ok" and not force:
        remaining_bytes = 0
    elif artifact.size is not None and not force and (partials := store.partials(dataset, artifact)):
        from dlcat.fetch.download.partial import claimed_bytes

        there_bytes = max(map(claimed_bytes, partials))
        remaining_bytes = max(0, artifact.size - there_bytes)
    return Planned(
        file=artifact.file,
        state=state,
        size_bytes=artifact.size,
        remaining_bytes=remaining_bytes,
        sources=found if health is None else health.order(found),
        unpack=artifact.unpack,
        unpacked=store.is_unpacked(dataset, artifact),
    )


def _unpacked_bytes(dataset: Dataset, chosen: list[Artifact], store: Store, force: bool) -> int | None:
    """What unpacking will add. The catalog promises the default artifacts together; what is there already comes off."""
    pending = [artifact for artifact in chosen if force or not store.is_unpacked(dataset, artifact)]
    archives = [artifact for artifact in pending if artifact.unpack != "none"]  # the others are linked, not written
    if not archives:
        return 0
    listed = [_listed_bytes(artifact) for artifact in archives]
    if None not in listed:
        return sum(size or 0 for size in listed)
    if dataset.size.unpacked is None or chosen != dataset.selected():
        return None
    there = sum(_there_bytes(dataset, artifact, store) for artifact in chosen if artifact not in archives)
    return max(0, dataset.size.unpacked - there)


def _listed_bytes(artifact: Artifact) -> int | None:
    """The size inside gz and bz2, where one listed file is all there is; a longer list need not be complete."""
    return artifact.contents[0].size if artifact.unpack in ("gz", "bz2") and artifact.contents else None


def _there_bytes(dataset: Dataset, artifact: Artifact, store: Store) -> int:
    manifest = store.manifest(dataset, artifact)
    if manifest is not None:
        return manifest.size_bytes
    return (artifact.size or 0) if artifact.unpack == "none" else 0
