"""Damage in the store mended at its price: of a file the wrong blocks, of an unpacked tree the wrong files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcat.fetch.care.verify import is_known, verify
from dlcat.fetch.download.partial import salvage
from dlcat.fetch.fetch import Order, claimed, fulfil
from dlcat.fetch.install import repair_members
from dlcat.fetch.offline import reachable
from dlcat.fetch.plan import sources
from dlcat.fetch.records import Failed, Missing, Salvaged
from dlcat.fetch.terms import require_acceptance
from dlcat.fetch.wire.network import Network

if TYPE_CHECKING:
    from collections.abc import Generator

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.records import Record
    from dlcat.fetch.store import Store


def repair(
    dataset: Dataset, store: Store, *, mirror: tuple[str, ...] = (), network: Network | None = None
) -> Generator[Record, None, None]:
    """Verify what the store holds of a dataset, and mend what is wrong; yields what `verify` and `fetch` do.

    Raises:
        DlcatError: as `fetch`, where something must be brought again.
    """
    known = [artifact for artifact in dataset.artifacts if is_known(dataset, artifact, store)]
    failed: list[Failed] = []
    for record in verify(dataset, store, keep_tree=True):
        yield record
        if isinstance(record, Failed):
            failed.append(record)
        elif isinstance(record, Missing):
            failed.append(Failed(record.artifact, "a file", "none"))
    if known and failed:
        require_acceptance(dataset)
        order = Order(dataset, store, known, mirror, network=network or Network())
        yield from _mend_files(order, {record.artifact for record in failed if not record.paths})
        yield from _mend_trees(order, {record.artifact: record.paths for record in failed if record.paths})


def _mend_files(order: Order, names: set[str]) -> Generator[Record, None, None]:
    if not names:
        return
    lock = yield from claimed(order.dataset, order.store)
    try:
        for artifact in order.chosen:
            # Without a source the damaged file is all there is, and stays where it is.
            if artifact.file in names and reachable(sources(order.dataset, artifact, order.mirror)):
                yield from _salvage(order.dataset, artifact, order.store)
    finally:
        lock.release()
    yield from fulfil(order)


def _mend_trees(order: Order, wrong: dict[str, tuple[str, ...]]) -> Generator[Record, None, None]:
    lock = yield from claimed(order.dataset, order.store)
    try:
        for artifact in order.chosen:
            if artifact.file in wrong and order.store.state(order.dataset, artifact) == "ok":
                yield from repair_members(order.dataset, artifact, order.store, wrong[artifact.file])
    finally:
        lock.release()


def _salvage(dataset: Dataset, artifact: Artifact, store: Store) -> Generator[Salvaged, None, None]:
    """Keep the sound blocks of a damaged file, where it is known what they are."""
    path, receipt, blocks = (
        store.artifact_path(dataset, artifact),
        store.receipt(dataset, artifact),
        store.blocks(dataset, artifact),
    )
    if receipt is None or receipt.sound or blocks is None or blocks.sha256 != receipt.checksums["sha256"]:
        return
    sound_bytes = salvage(
        store.notes_path(dataset), artifact.file, path, blocks.crc32s, receipt.source, receipt.size_bytes
    )
    yield Salvaged(artifact.file, sound_bytes, receipt.size_bytes)
