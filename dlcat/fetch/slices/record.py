"""What is kept of a slice: which members of an artifact are in the data folder where the whole artifact is not.

data/<dataset>/.dlcat/<file>.slice.json   written last; never the manifest of the whole artifact, which has another name

So the store does not take a slice for the whole: the artifact stays missing, and the dataset not installed. When the
whole artifact is unpacked, its manifest counts, and the slice is no more.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from dlcat.disk import write_beside
from dlcat.errors import DiskError
from dlcat.fetch.identity import hash_file, promise, tree_hash
from dlcat.fetch.records import Failed, Verified, moved
from dlcat.fetch.store import OWN_FOLDER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.records import Moved
    from dlcat.fetch.store import Store

Voucher = Literal["archive", "member", "crc32"]
"""What the file was held to: the archive's own checksum in the catalog, the member's, or only the archive's directory."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of a slice."""

    path: str
    size_bytes: int
    checksum: str
    """'sha256:440f...', computed while it was written."""
    voucher: Voucher


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for, and got."""

    only: tuple[str, ...]
    sample: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The members of one artifact that are here."""

    artifact: str
    promised: str
    """What the catalog promised of the whole artifact at that time, see `identity.promise`."""
    version: str
    """Of which bytes it is a slice: 'directory:...', the SHA-256 of a zip's directory, or 'sha256:...' of all bytes."""
    source: str
    """The last one, without user, password, query and fragment."""
    when: str
    """The last time; UTC, ISO 8601."""
    requests: tuple[Request, ...]
    files: tuple[Piece, ...]
    all_files: int
    """Files in the whole artifact."""
    all_bytes: int | None
    """Bytes of all of them; None where nobody counted."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the files that are here."""
        return sum(piece.size_bytes for piece in self.files)

    @property
    def is_whole(self) -> Literal[False]:
        """Never: whatever it holds, the artifact as such was not verified."""
        return False


def slice_path(dataset: Dataset, artifact: Artifact, store: Store) -> Path:
    """Where the note of the artifact's slice lies."""
    return store.data_path(dataset) / OWN_FOLDER / f"{artifact.file}.slice.json"


def read_slice(dataset: Dataset, artifact: Artifact, store: Store) -> Slice | None:
    """What is here of the artifact; None where that is nothing, or all of it, or of what the catalog no longer names."""
    found = _load(slice_path(dataset, artifact, store))
    if found is None or found.promised != promise(artifact) or store.is_unpacked(dataset, artifact):
        return None
    return found


def slices(dataset: Dataset, store: Store) -> list[Slice]:
    """What is here of the dataset's artifacts that are not here as a whole: what no reader may take for the dataset."""
    found = (read_slice(dataset, artifact, store) for artifact in dataset.artifacts)
    return [each for each in found if each is not None]


def write_slice(dataset: Dataset, artifact: Artifact, store: Store, made: Slice) -> None:
    """Keep the note: the marker that its files are there.

    Raises:
        DiskError: it cannot be written.
    """
    plain: dict[str, Any] = {"whole": made.is_whole, **asdict(made)}
    plain["files"] = [[each.path, each.size_bytes, each.checksum, each.voucher] for each in made.files]
    plain["requests"] = [[each.only, each.sample] for each in made.requests]
    write_beside(slice_path(dataset, artifact, store), json.dumps(plain))


def withdraw_slice(dataset: Dataset, artifact: Artifact, store: Store, staying: Collection[str] = ()) -> None:
    """Forget the slice, and remove its files but those whose paths stay because something else brings them.

    Raises:
        OSError: something cannot be removed.
    """
    path = slice_path(dataset, artifact, store)
    former = _load(path)
    path.unlink(missing_ok=True)
    paths = [] if former is None else [piece.path for piece in former.files]
    take_away(store.data_path(dataset), [path for path in paths if path not in staying])


def take_away(folder: Path, paths: Collection[str]) -> None:
    """Remove files below the folder, and the folders that are empty without them.

    Raises:
        OSError: a file cannot be removed.
    """
    for path in paths:
        (folder / path).unlink(missing_ok=True)
    parents = {parent for path in paths for parent in PurePosixPath(path).parents if parent.parts}
    for parent in sorted(parents, key=lambda each: len(each.parts), reverse=True):
        with suppress(OSError):  # other files lie there
            (folder / parent).rmdir()


def here(dataset: Dataset, store: Store, found: Slice) -> list[Piece]:
    """The slice's files that lie there with their size."""
    return [piece for piece in found.files if _size(store.data_path(dataset) / piece.path) == piece.size_bytes]


def verify_slices(dataset: Dataset, store: Store) -> Iterator[Moved | Verified | Failed]:
    """Hash every file of every slice of the dataset; what fails is no longer part of it, and fetched again when asked for.

    Verified names the tree hash of the slice's files.

    Raises:
        DiskError: a file cannot be read.
    """
    for artifact in dataset.artifacts:
        if (found := read_slice(dataset, artifact, store)) is None:
            continue
        sound: list[Piece] = []
        for piece in found.files:
            wrong = yield from _fault(dataset, artifact, store, piece)
            if wrong is None:
                sound.append(piece)
            else:
                yield Failed(artifact.file, f"{store.data_path(dataset) / piece.path} with {piece.checksum}", wrong)
        if len(sound) == len(found.files):
            yield Verified(artifact.file, tree_hash((each.path, each.size_bytes, each.checksum) for each in sound))
        else:
            with suppress(DiskError):  # what was found counts, not whether this user may write it down
                write_slice(dataset, artifact, store, replace(found, files=tuple(sound), requests=()))


def _fault(dataset: Dataset, artifact: Artifact, store: Store, piece: Piece) -> Any:
    """What is wrong with a file, or None; yields how far its hashing is."""
    path = store.data_path(dataset) / piece.path
    size_bytes = _size(path)
    if size_bytes != piece.size_bytes:
        return "no such file" if size_bytes is None else f"{size_bytes} bytes"
    found = yield from moved(hash_file(path, ("sha256",)), artifact.file, "hash")
    checksum = f"sha256:{found['sha256']}"
    return None if checksum == piece.checksum else checksum


def _load(path: Path) -> Slice | None:
    """The note in a file; None where there is none that can be read."""
    try:
        plain = json.loads(path.read_bytes())
        if not isinstance(plain, dict) or plain.pop("whole") is not False:
            return None
        pieces = tuple(Piece(*row) for row in plain.pop("files"))
        requests = tuple(Request(tuple(only), sample) for only, sample in plain.pop("requests"))
        return Slice(**plain, files=pieces, requests=requests)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
