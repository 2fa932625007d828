"""What the cache holds by kind, and giving back the room of what nobody will use again.

Garbage is what a process that is gone left behind, arrays that were prepared from other bytes than those that are there
now, and, where that is asked for, datasets that the catalog does not know. What a live process works on never is, nor
what dlcat did not write. No lock is trusted: a folder is renamed before it is emptied, which succeeds for one process
only, so that whoever goes on with a broken download at the same moment has it, or has not.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from dlcat.disk import disk_errors
from dlcat.errors import DiskError
from dlcat.fetch.download.owner import ABANDONED_SECONDS, give_up, is_orphan, is_owner, new_owner
from dlcat.fetch.store import OWN_FOLDER, STAGING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from dlcat.fetch.store import Store

Kind = Literal["partial", "staging", "leftover", "prepared", "unknown"]
"""A download that broke off; unpacking that did; another file that was never finished; arrays made from other bytes; a
dataset that the catalog does not know."""

PART = ".part"
_LEFTOVER = re.compile(r".+\.\d+\.(new|import)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Garbage:
    """Something in the cache that is of no use any more."""

    dataset: str
    kind: Kind
    paths: tuple[Path, ...]
    size_bytes: int
    """What its files take."""
    changed: datetime
    """When anything in it was changed last."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What the cache holds of one dataset; a file that is linked twice counts where it is named first."""

    dataset: str
    artifacts_bytes: int
    """Downloads, as upstream serves them."""
    data_bytes: int
    """Unpacked files."""
    prepared_bytes: int
    """Decoded arrays."""
    shards_bytes: int
    """Shards that were packed here, or read from elsewhere."""
    unfinished_bytes: int
    """Downloads and unpacking that are under way, or were broken off."""
    used: datetime | None
    """When a file was read or changed last, as far as the file system notes that; None where there is no file."""

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return self.artifacts_bytes + self.data_bytes + self.prepared_bytes + self.shards_bytes + self.unfinished_bytes


def garbage(
    store: Store,
    known: Collection[str],
    current: Callable[[str], Collection[str] | None],
    *,
    unknown: bool = False,
    now: datetime | None = None,
) -> Iterator[Garbage]:
    """What may go; asking removes nothing.

    Args:
        store: the cache.
        known: the names in the catalog.
        current: from a dataset's name to the names of the folders under prepared/<dataset>/ that are of use; None where that
            cannot be told, as without the reader; asked only where there are any.
        unknown: whether datasets that are not known are garbage. A cache that several workspaces share holds what the
            catalog of another one knows.
        now: the moment; None for this one.
    """
    with disk_errors(store.locations.cache):
        names = store.names()
    for name in names:
        if name in known:
            yield from _partials(store, name)
            yield from _staging(store, name)
            yield from _leftovers(store, name, now or datetime.now(UTC))
            yield from _prepared(store, name, current)
        elif unknown:
            yield from _unknown(store, name)


def chosen(
    found: Iterable[Garbage],
    *,
    older_than: timedelta | None = None,
    larger_than_bytes: int | None = None,
    now: datetime | None = None,
) -> list[Garbage]:
    """Of the garbage, what was not changed for so long, and is larger than so many bytes; the largest first."""
    moment = now or datetime.now(UTC)
    kept = [
        each
        for each in found
        if (older_than is None or moment - each.changed > older_than)
        and (larger_than_bytes is None or each.size_bytes > larger_than_bytes)
    ]
    return sorted(kept, key=lambda each: (-each.size_bytes, each.paths))


def collect(found: Iterable[Garbage], store: Store) -> Iterator[Garbage]:
    """Remove the garbage, and yield each as it is gone; what somebody uses again by now is left, and not yielded.

    Raises:
        DiskError: some of it could not be removed; raised after everything else is, with a line for each.
    """
    refused: list[str] = []
    for each in found:
        try:
            if _remove(each, store):
                yield each
        except DiskError as error:
            refused.append(error.message)
    if refused:
        raise DiskError("\n".join(refused), hint="who owns these files can remove them: dlcat cache gc")


def holdings(store: Store) -> list[Holding]:
    """What the cache holds, by dataset.

    Raises:
        DiskError: the cache cannot be read.
    """
    with disk_errors(store.locations.cache):
        return [_holding(store, name) for name in store.names()]


def _partials(store: Store, name: str) -> Iterator[Garbage]:
    for path in _folders(store.locations.artifacts / name / OWN_FOLDER, f"*{PART}"):
        owner = _part_owner(path)
        if is_owner(owner) and is_orphan(owner, path / "claims"):
            yield _garbage(name, "partial", path)


def _staging(store: Store, name: str) -> Iterator[Garbage]:
    for path in _folders(store.locations.data / name / OWN_FOLDER, f"{STAGING}*"):
        owner = path.name.removeprefix(STAGING)
        if is_owner(owner) and is_orphan(owner, path):
            yield _garbage(name, "staging", path)


def _leftovers(store: Store, name: str, now: datetime) -> Iterator[Garbage]:
    """Files and folders whose names tell the process and not the machine: nobody has touched them for an hour."""
    places = (store.locations.artifacts / name / OWN_FOLDER, store.locations.data / name / OWN_FOLDER)
    paths = [path for place in places for path in sorted(place.glob("*")) if _LEFTOVER.fullmatch(path.name)]
    paths += _folders(store.locations.prepared / name, ".*")
    for path in paths:
        each = _garbage(name, "leftover", path)
        if now - each.changed > timedelta(seconds=ABANDONED_SECONDS):
            yield each


def _prepared(store: Store, name: str, current: Callable[[str], Collection[str] | None]) -> Iterator[Garbage]:
    made = [path for path in _folders(store.locations.prepared / name, "[!.]*") if (path / "meta.json").exists()]
    used = current(name) if made else None
    if used is not None:
        yield from (_garbage(name, "prepared", path) for path in made if path.name not in used and _is_ours(path))


def _unknown(store: Store, name: str) -> Iterator[Garbage]:
    """A dataset nobody works on; of a folder that dlcat did not make, nothing."""
    places = store.locations
    paths = [path for path in (places.artifacts / name, places.data / name) if (path / OWN_FOLDER).is_dir()]
    paths += [places.prepared / name] if any((places.prepared / name).glob("*/meta.json")) else []
    if paths and not _is_worked_on(store, name):
        found = [_measure(path) for path in paths]
        yield Garbage(name, "unknown", tuple(paths), sum(size for size, _ in found), max(time for _, time in found))


def _is_worked_on(store: Store, name: str) -> bool:
    parts = _folders(store.locations.artifacts / name / OWN_FOLDER, f"*{PART}")
    staged = _folders(store.locations.data / name / OWN_FOLDER, f"{STAGING}*")
    owners = [(_part_owner(path), path / "claims") for path in parts]
    owners += [(path.name.removeprefix(STAGING), path) for path in staged]
    return any(is_owner(owner) and not is_orphan(owner, touched) for owner, touched in owners)


def _remove(each: Garbage, store: Store) -> bool:
    match each.kind:
        case "unknown":
            return _remove_dataset(each, store)
        case "partial":
            (path,) = each.paths
            owner = _part_owner(path)
            if not is_orphan(owner, path / "claims"):
                return False
            return _take(path, lambda mine: f"{path.name.removesuffix(PART).removesuffix(owner)}{mine}{PART}")
        case "staging":
            (path,) = each.paths
            return is_orphan(path.name.removeprefix(STAGING), path) and _take(path, lambda mine: f"{STAGING}{mine}")
        case _:
            (path,) = each.paths
            return _take(path, lambda mine: f".{mine}")


def _take(path: Path, name: Callable[[str], str]) -> bool:
    """Rename a folder, so that it is ours alone, and remove it, or remove a file; False where it is not there any more."""
    owner = new_owner()
    with disk_errors(path):
        try:
            if not path.is_dir():
                path.unlink()
            else:
                taken = path.with_name(name(owner))
                os.rename(path, taken)
                shutil.rmtree(taken)
        except FileNotFoundError:
            return False
        finally:
            give_up(owner)
    return True


def _remove_dataset(each: Garbage, store: Store) -> bool:
    lock = store.claim(each.dataset, wait=False)
    if lock is None:
        return False
    try:
        if _is_worked_on(store, each.dataset):
            return False
        with disk_errors(store.locations.cache):
            for path in each.paths:
                if path.exists():
                    shutil.rmtree(path)
    finally:
        lock.release()
    return True


def _holding(store: Store, name: str) -> Holding:
    places = store.locations
    seen: set[tuple[int, int]] = set()
    sums: Counter[str] = Counter()
    used = 0.0
    tops = {
        places.artifacts: "artifacts",
        places.data: "data",
        places.prepared: "prepared",
        places.packed: "shards",
        places.shards: "shards",
    }
    for top, kind in tops.items():
        for path, found in _files(top / name):
            own = path.relative_to(top / name).parts
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                sums["unfinished" if _is_unfinished(own) else kind] += found.st_size
            if OWN_FOLDER not in own[:1]:
                used = max(used, found.st_atime, found.st_mtime)
    return Holding(
        dataset=name,
        artifacts_bytes=sums["artifacts"],
        data_bytes=sums["data"],
        prepared_bytes=sums["prepared"],
        shards_bytes=sums["shards"],
        unfinished_bytes=sums["unfinished"],
        used=datetime.fromtimestamp(used, UTC) if used else None,
    )


def _is_unfinished(parts: tuple[str, ...]) -> bool:
    own = len(parts) > 1 and parts[0] == OWN_FOLDER
    return own and (parts[1].endswith(PART) or parts[1].startswith(STAGING) or bool(_LEFTOVER.fullmatch(parts[1])))


def _garbage(name: str, kind: Kind, path: Path) -> Garbage:
    size_bytes, changed = _measure(path)
    return Garbage(name, kind, (path,), size_bytes, changed)


def _measure(path: Path) -> tuple[int, datetime]:
    """Bytes of the files in a folder, or of a file, and when any of it was changed last: its content, name or links."""
    seen: dict[tuple[int, int], int] = {}
    changed = 0.0
    with suppress(OSError):
        changed = max(path.lstat().st_mtime, path.lstat().st_ctime)
    for _, found in _files(path):
        seen[found.st_dev, found.st_ino] = found.st_size
        changed = max(changed, found.st_mtime, found.st_ctime)
    return sum(seen.values()), datetime.fromtimestamp(changed, UTC)


def _files(top: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The files below a folder, or the file itself, without following links; what vanishes meanwhile is left out."""
    paths = (
        [top]
        if not top.is_dir()
        else (top.joinpath(parent, name) for parent, _, names in os.walk(top) for name in names)
    )
    for path in paths:
        with suppress(OSError):
            yield path, path.lstat()


def _folders(place: Path, pattern: str) -> list[Path]:
    return [path for path in sorted(place.glob(pattern)) if path.is_dir() and not path.is_symlink()]


def _is_ours(path: Path) -> bool:
    """Whether this user owns it: what is another's may be mapped into a process of theirs, perhaps on another machine."""
    with suppress(OSError):
        return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()
    return False


def _part_owner(path: Path) -> str:
    """<file>.<owner>.part: an owner's name holds no dot."""
    return path.name.removesuffix(PART).rpartition(".")[2]
