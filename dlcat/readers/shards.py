"""Shards: many pictures in few tar files, which are read one after another; in the layout of WebDataset.

<split>-000000.tar       00000000.jpg, 00000000.cls (its label, in digits), 00000001.jpg, ...: shuffled once, by a seed
<split>.members.npy      shard, offset, length and label of every picture
<split>.json             what it is, and the sha256 of all of these; written last, so that its presence means done
.<split>.packing.jsonl   the shards that are done, while there are others to be written
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat.disk import disk_errors, write_beside
from dlcat.errors import InvalidError, UsageError, VerificationError
from dlcat.readers.encoded import EncodedExamples
from dlcat.readers.examples import Examples
from dlcat.readers.pixels import Place
from dlcat.readers.prepare import Prepared, channels
from dlcat.readers.promised import promised

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dlcat.catalog import Dataset
    from dlcat.fetch.wire.network import Network
    from dlcat.readers.elsewhere import Elsewhere

FORMAT = 1
BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
"""How a tar file ends."""
ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "PPM": "ppm"}
"""By Pillow's name of a format, how WebDataset knows it; of any other, its name."""
MEMBER = np.dtype([("shard", "<u4"), ("offset", "<u8"), ("length", "<u4"), ("target", "<u4")])
HINT = "choose another folder with --out"


@dataclass(frozen=True, slots=True)
class Packed:
    """One shard is whole on the disk."""

    split: str
    file: str
    examples: int
    bytes: int
    sha256: str
    done: int
    """Examples of the split that are in this shard or an earlier one."""
    of: int
    """Examples of the split."""
    was_there: bool
    """Whether an earlier `dlcat pack` wrote it."""


@dataclass(frozen=True, slots=True)
class Shards:
    """The pictures of a split inside tar files."""

    files: list[dict[str, Any]]
    """file, bytes, sha256 and examples of each."""
    members: np.ndarray[Any, Any]
    """(N,) of `MEMBER`."""
    home: Path | Elsewhere
    """The folder they are in, or what brings them from elsewhere."""
    digests: dict[str, str]
    """The sha256 of the index, for the record."""

    def places(self, positions: Sequence[int]) -> list[Place]:
        return [self._place(position) for position in positions]

    def announce(self, positions: np.ndarray[Any, Any]) -> None:
        if isinstance(self.home, Path):
            return
        shards = self.members["shard"][positions]
        used, first = np.unique(shards, return_index=True)
        last = dict(zip(used.tolist(), len(shards) - 1 - np.unique(shards[::-1], return_index=True)[1], strict=True))
        self.home.announce([(self.files[shard], int(last[shard])) for shard in used[first.argsort()].tolist()])

    def _place(self, position: int) -> Place:
        shard, offset, length, _ = self.members[position].tolist()
        about = self.files[shard]
        path = self.home / about["file"] if isinstance(self.home, Path) else self.home.bring(about)
        return Place(str(path), offset, length, f"picture {position:08d}")


def fingerprint(dataset: Dataset, digests: Mapping[str, str]) -> str:
    """What shards are made from: the files' hashes and the reader with its options, as 16 hexadecimal digits."""
    made_from = [sorted(digests.items()), None if dataset.reader is None else dataset.reader.plain()]
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def write(
    examples: Prepared,
    folder: Path,
    dataset: str,
    split: str,
    *,
    shard_bytes: int,
    seed: int,
    made_from: str,
) -> Iterator[Packed]:
    """Pack a split into shards, the same bytes every time; what an earlier call that broke off has done is kept.

    Pictures are copied as they are encoded; of examples that are arrays, PNG files are made.

    Args:
        examples: of the split.
        folder: where the shards go.
        dataset: its name, for the index.
        split: its name.
        shard_bytes: no shard is larger, unless one picture is.
        seed: decides the order.
        made_from: see `fingerprint`.

    Raises:
        VerificationError: a picture cannot be read, or is none.
        InvalidError: the examples are no pictures, or have not one class each.
        UsageError: another process packs into the folder.
        DiskError: the shards cannot be written.
    """
    from filelock import FileLock, Timeout

    if not isinstance(examples, Examples | EncodedExamples) or examples.targets.ndim != 1:
        raise InvalidError(f"{dataset}: only pictures with one class each are packed")
    about = {"format": FORMAT, "dataset": dataset, "split": split, "seed": seed, "shard_bytes": shard_bytes}
    about |= {"made_from": made_from, "examples": len(examples), "classes": list(examples.classes)}
    with disk_errors(folder, HINT):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".packing.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(f"{folder}: another process packs here", hint="wait until it has finished") from None
    try:
        yield from _write(examples, folder, about)
    finally:
        lock.release()


def _write(examples: Examples | EncodedExamples, folder: Path, about: dict[str, Any]) -> Iterator[Packed]:
    split, order = about["split"], np.random.default_rng(about["seed"]).permutation(len(examples))
    ledger = folder / f".{split}.packing.jsonl"
    done = _complete(folder, about) or _resumed(folder, ledger, about)
    shards: list[dict[str, Any]] = []
    for shard in done:
        shards.append(shard)
        yield _packed(split, shard, shards, len(order), was_there=True)
    with disk_errors(folder, HINT):
        while (packed := sum(shard["examples"] for shard in shards)) < len(order):
            file = f"{split}-{len(shards):06d}.tar"
            shard = _write_shard(examples, order[packed:], packed, folder / file, about["shard_bytes"])
            with open(ledger, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(shard) + "\n")
            shards.append(shard)
            yield _packed(split, shard, shards, len(order), was_there=False)
        _write_index(folder, about, shards)
        ledger.unlink(missing_ok=True)


def _packed(split: str, shard: dict[str, Any], shards: list[dict[str, Any]], of: int, *, was_there: bool) -> Packed:
    done = sum(each["examples"] for each in shards)
    return Packed(split, shard["file"], shard["examples"], shard["bytes"], shard["sha256"], done, of, was_there)


def _write_shard(
    examples: Examples | EncodedExamples, order: np.ndarray[Any, Any], serial: int, path: Path, most_bytes: int
) -> dict[str, Any]:
    """As many of the examples, in their order, as fit into one tar file; what is known of it."""
    beside = path.with_name(f".{path.name}.part")
    members: list[list[int]] = []
    size = 0
    digest = hashlib.sha256()
    with open(beside, "wb") as stream:
        for position in order.tolist():
            target = int(examples.targets[position])
            ending, content = _encoded(examples, position)
            name = f"{serial + len(members):08d}"
            entries = _entry(f"{name}.{ending}", content) + _entry(f"{name}.cls", str(target).encode())
            if members and size + len(entries) + len(END) > most_bytes:
                break
            members.append([size + BLOCK, len(content), target])
            size += stream.write(entries)
            digest.update(entries)
        size += stream.write(END)
        digest.update(END)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(beside, path)
    about = {"file": path.name, "bytes": size, "sha256": digest.hexdigest(), "examples": len(members)}
    return about | {"members": members}


def _entry(name: str, content: bytes) -> bytes:
    """One file inside a tar file, with nothing in its header that differs between two machines."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    return header.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % BLOCK)


def _encoded(examples: Examples | EncodedExamples, position: int) -> tuple[str, bytes]:
    """How the name of a picture ends, and its bytes."""
    from PIL import Image

    if not isinstance(examples, EncodedExamples):
        return "png", _png(examples.inputs[position])
    (place,) = examples.storage.places([position])
    content = place.read()
    try:
        with Image.open(BytesIO(content)) as picture:
            kind = picture.format or ""
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise VerificationError(
            f"{place}: expected a picture, found none: {error}", hint="`dlcat verify NAME` says what is damaged"
        ) from error
    return ENDINGS.get(kind, kind.lower()), content


def _png(values: np.ndarray[Any, Any]) -> bytes:
    from PIL import Image

    if values.dtype != np.uint8 or values.ndim != 3 or values.shape[0] not in (1, 3):
        raise InvalidError(
            f"expected pictures of bytes with 1 or 3 channels, found {values.dtype} of shape {values.shape}"
        )
    stream = BytesIO()
    picture = Image.fromarray(values[0] if len(values) == 1 else np.ascontiguousarray(values.transpose(1, 2, 0)))
    picture.save(stream, "PNG")
    return stream.getvalue()


def _write_index(folder: Path, about: dict[str, Any], shards: list[dict[str, Any]]) -> None:
    rows = [(number, *member) for number, shard in enumerate(shards) for member in shard["members"]]
    stream = BytesIO()
    np.save(stream, np.array(rows, MEMBER), allow_pickle=False)
    content, file = stream.getvalue(), f"{about['split']}.members.npy"
    beside = folder / f".{file}.part"
    beside.write_bytes(content)
    os.replace(beside, folder / file)
    files = [{key: value for key, value in shard.items() if key != "members"} for shard in shards]
    members = {"file": file, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    index = about | {"members": members, "shards": files}
    write_beside(folder / f"{about['split']}.json", json.dumps(index, indent=1, ensure_ascii=False) + "\n", HINT)


def _complete(folder: Path, about: dict[str, Any]) -> list[dict[str, Any]]:
    """The shards of a split that was packed whole in the same way and is still there; none where it was not."""
    try:
        index = json.loads((folder / f"{about['split']}.json").read_bytes())
        members = np.load(folder / index["members"]["file"], allow_pickle=False)
        same = {key: index[key] for key in about} == about and _digest(folder, index["members"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if not same or not all(_digest(folder, shard) for shard in index["shards"]):
        return []
    columns = ["offset", "length", "target"]
    return [
        shard | {"members": [list(row) for row in members[columns][members["shard"] == number].tolist()]}
        for number, shard in enumerate(index["shards"])
    ]


def _resumed(folder: Path, ledger: Path, about: dict[str, Any]) -> list[dict[str, Any]]:
    """The shards that an earlier call finished and that are still what they were; where it packed otherwise, none."""
    kept: list[dict[str, Any]] = []
    try:
        first, *lines = ledger.read_text(encoding="utf-8").splitlines()
        if json.loads(first) == about:
            for line in lines:
                shard = json.loads(line)
                if not _digest(folder, shard):
                    break
                kept.append(shard)
    except (OSError, ValueError, KeyError):  # never begun, or a line that was cut off by a kill
        pass
    (folder / f"{about['split']}.json").unlink(missing_ok=True)
    with disk_errors(ledger, HINT):
        write_beside(ledger, "".join(json.dumps(line) + "\n" for line in (about, *kept)), HINT)
    return kept


def _digest(folder: Path, about: dict[str, Any]) -> bool:
    """Whether a file is what is written of it."""
    try:
        with open(folder / about["file"], "rb") as stream:
            return bool(hashlib.file_digest(stream, "sha256").hexdigest() == about["sha256"])
    except OSError:
        return False


def read(
    location: str, dataset: Dataset, split: str, *, cache: Path, network: Network | None = None
) -> EncodedExamples:
    """A split from shards.

    Args:
        location: the folder of `write`, or its address: http(s)://..., or any that fsspec knows (s3://...).
        dataset: the catalog entry.
        split: its name.
        cache: where shards that lie elsewhere are kept.
        network: limits and tokens for http.

    Raises:
        UsageError: there are no shards of that split, or fsspec is needed and not installed.
        InvalidError: they are of another dataset, or their index cannot be read.
        VerificationError: a file is not what the index says.
        UnreachableError: they lie elsewhere, and cannot be reached.
    """
    home: Path | Elsewhere
    if "://" in location:
        from dlcat.readers.elsewhere import Elsewhere

        home = Elsewhere(location, cache, network)
        index_path = home.bring_index(f"{split}.json")
    else:
        home = Path(location).expanduser()
        index_path = home / f"{split}.json"
    index, digest = _read_index(index_path, location, dataset, split)
    members_path = home / index["members"]["file"] if isinstance(home, Path) else home.bring(index["members"])
    members = _read_members(members_path, index)
    if isinstance(home, Path):
        _require_whole(home, index["shards"])
    storage = Shards(index["shards"], members, home, {f"{split}.json": digest})
    targets = members["target"].astype(np.int64)
    return EncodedExamples(storage, targets, tuple(index["classes"]), channels(dataset.sample), members["shard"])


def _read_index(path: Path, location: str, dataset: Dataset, split: str) -> tuple[dict[str, Any], str]:
    """The index, held against the catalog, and its sha256."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{location}: no shards of split {split!r}: {path}: {error.strerror}",
            hint=f"dlcat pack {dataset.name} --out {location}",
        ) from error
    try:
        index: dict[str, Any] = json.loads(content)
        found = (index["format"], index["dataset"], index["split"], tuple(index["classes"]))
        for about in (index["members"], *index["shards"]):
            _require_plain(about)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidError(f"{location}/{split}.json: not as `dlcat pack` writes it: {error}") from error
    expected = (FORMAT, dataset.name, split, promised(dataset).classes or ())
    for word, right, is_there in zip(("format", "dataset", "split", "classes"), expected, found, strict=True):
        if right != is_there:
            raise InvalidError(f"{location}/{split}.json: {word}: expected {_short(right)}, found {_short(is_there)}")
    return index, hashlib.sha256(content).hexdigest()


def _require_plain(about: dict[str, Any]) -> None:
    """Stop where a name climbs out of its folder, or a number is none.

    Raises:
        ValueError: it does.
    """
    name = about["file"]
    if not isinstance(name, str) or Path(name).name != name or name.startswith("."):
        raise ValueError(f"a file named {name!r}")
    if not isinstance(about["bytes"], int) or not isinstance(about["sha256"], str):
        raise TypeError(f"{name}: expected bytes and sha256")


def _read_members(path: Path, index: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The table of members, which must fit its shards."""
    if not _digest(path.parent, index["members"]):
        raise VerificationError(f"{path}: not the file that the index names", hint="dlcat pack writes it anew")
    members: np.ndarray[Any, Any] = np.load(path, allow_pickle=False)
    shards = np.bincount(members["shard"], minlength=len(index["shards"])).tolist() if len(members) else []
    if shards != [shard["examples"] for shard in index["shards"]]:
        raise VerificationError(f"{path}: not as many examples in every shard as the index says")
    return members


def _require_whole(folder: Path, shards: list[dict[str, Any]]) -> None:
    """Stop before the training where a shard is gone or cut short."""
    for shard in shards:
        path = folder / shard["file"]
        found = path.stat().st_size if path.is_file() else None
        if found != shard["bytes"]:
            raise VerificationError(
                f"{path}: expected {shard['bytes']} bytes, found {'no file' if found is None else f'{found} bytes'}",
                hint="dlcat pack writes it anew",
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
