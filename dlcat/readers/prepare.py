"""Read once, mapped ever after: a split under cache/prepared/, keyed by what it was made from.

Beside them lies meta.json, which says what was written; what is no longer that is made anew.
"""

from __future__ import annotations

import errno
import hashlib
import inspect
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat.disk import disk_errors
from dlcat.errors import InvalidError, UsageError, nearest
from dlcat.readers.encoded import EncodedExamples, Tree
from dlcat.readers.examples import Examples, reader
from dlcat.readers.promised import promised
from dlcat.readers.ragged import Ragged
from dlcat.readers.streaming import Targets, Usable, write_paths, write_texts
from dlcat.readers.unread import SoundExamples, TextExamples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlcat.catalog import Dataset
    from dlcat.catalog.dataset import Sample
    from dlcat.readers.examples import Gives
    from dlcat.readers.promised import Promised

FILES: dict[Gives, tuple[str, ...]] = {
    "arrays": ("inputs.npy", "targets.npy"),
    "pictures": ("inputs.npy", "targets.npy", "groups.npy"),
    "sounds": ("inputs.npy", "targets.npy", "groups.npy"),
    "texts": ("inputs.bin", "lengths.npy", "targets.npy", "groups.npy"),
}
"""What is written of a split, by what its reader gives."""
HEADER_BYTES = 4096
"""Of a .npy file, its header (128 bytes for these) is among them."""

Prepared = Examples | EncodedExamples | SoundExamples | TextExamples


def prepare(
    dataset: Dataset,
    split: str,
    *,
    folder: Path,
    digests: Mapping[str, str],
    cache: Path,
    skip_bad: bool = False,
) -> Prepared:
    """The split's examples, memory-mapped from the cache; read first where they are not there, or damaged.

    Of pictures and sounds, which are decoded later, the list of files is kept; of texts, all of them.

    Args:
        dataset: the catalog entry.
        split: one of its splits.
        folder: where its files are unpacked.
        digests: artifact file to verified sha256; they are in the `key`, so that other bytes or another reader never
            meet what was read before.
        cache: the folder for what is prepared.
        skip_bad: leave out what cannot be used, and name it.

    Raises:
        UsageError: the dataset has no such split.
        InvalidError: no reader exists for it yet, it gives nothing to train on, or something else than the catalog says.
        VerificationError: a file is not what its format promises.
        DiskError: what was read cannot be written.
    """
    if split not in dataset.splits:
        raise UsageError(f"{dataset.name} has no split {split!r}", hint=nearest(split, dataset.splits))
    gives = _gives(dataset, folder)
    target = cache / dataset.name / f"{split}-{key(dataset, digests, skip_bad=skip_bad)}"
    if not _is_sound(target, FILES[gives]):
        _read(dataset, split, folder, target, gives, skip_bad)
    with disk_errors(target):
        return _opened(dataset, folder, target, gives)


def _gives(dataset: Dataset, folder: Path) -> Gives:
    """In which form the dataset's reader gives its examples.

    Raises:
        InvalidError: there is no reader, or what it gives is not trained on.
    """
    if dataset.reader is None or dataset.reader.name not in reader:
        named = f"its reader {dataset.reader.name!r}" if dataset.reader else "it"
        raise InvalidError(
            f"{dataset.name}: no reader decodes {named} yet", hint=f"the files are in {folder} as upstream packs them"
        )
    gives: Gives = reader.traits(dataset.reader.name).gives
    if gives == "records":
        raise InvalidError(
            f"{dataset.name}: its reader {dataset.reader.name!r} gives records, which are not trained on",
            hint=f"dlcat sample {dataset.name} shows some",
        )
    return gives


def _opened(dataset: Dataset, folder: Path, target: Path, gives: Gives) -> Prepared:
    """What lies prepared in a folder."""
    meta = json.loads((target / "meta.json").read_bytes())
    classes, left_out = tuple(meta["classes"]), tuple(meta["left_out"])
    names = [name for name in FILES[gives] if name.endswith(".npy")]
    arrays = {name: np.load(target / name, mmap_mode="r", allow_pickle=False) for name in names}
    targets, groups = arrays["targets.npy"], arrays.get("groups.npy")
    match gives:
        case "pictures":
            pictures = Tree(folder, arrays["inputs.npy"])
            return EncodedExamples(
                pictures, targets, classes, channels(dataset.sample), groups=groups, left_out=left_out
            )
        case "sounds":
            return SoundExamples(folder, arrays["inputs.npy"], targets, classes, groups, left_out, target)
        case "texts":
            length = os.path.getsize(target / "inputs.bin")
            values = np.memmap(target / "inputs.bin", np.uint8, "r") if length else np.empty(0, np.uint8)
            texts = Ragged.of(values, arrays["lengths.npy"])
            return TextExamples(texts, targets, classes, groups, left_out, target)
        case _:
            return Examples(arrays["inputs.npy"], targets, classes)


def key(dataset: Dataset, digests: Mapping[str, str], *, skip_bad: bool = False) -> str:
    """What a split is made from, in 16 hexadecimal digits: its folder is named `<split>-<key>`.

    The files' hashes, the reader's name, options and source text, and the catalog's classes and shape of an example are in it.

    Args:
        dataset: a catalog entry whose reader is known.
        digests: artifact file to verified sha256.
        skip_bad: whether what cannot be used is left out.
    """
    assert dataset.reader is not None
    told = promised(dataset)
    made_from: list[Any] = [
        sorted(digests.items()),
        dataset.reader.plain(),
        _source(dataset.reader.name),
        dataset.sample.shape,
    ]
    made_from += [told.kind, told.names, told.count, skip_bad]
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def _source(name: str) -> str:
    """The hash of the module that defines a reader, and of the modules beside it from which it takes something."""
    module = sys.modules[inspect.unwrap(reader[name]).__module__]
    beside = {getattr(value, "__module__", None) for value in vars(module).values()}
    own = {module.__name__, *(each for each in beside if each and each.startswith("dlcat.readers."))}
    files = [Path(inspect.getfile(sys.modules[each])).read_bytes() for each in sorted(own) if each in sys.modules]
    return hashlib.sha256(b"".join(files)).hexdigest()


def _is_sound(target: Path, names: tuple[str, ...]) -> bool:
    """Whether the files in a folder are there, and what its meta.json says."""
    try:
        files = json.loads((target / "meta.json").read_bytes())["files"]
        return bool(files == {name: _about(target / name) for name in names})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # gone, or garbled in any way
        return False


def _about(path: Path) -> dict[str, Any]:
    """What can be told of a file without reading it through."""
    with open(path, "rb") as stream:
        start, found = stream.read(HEADER_BYTES), os.fstat(stream.fileno())
    start_sha256 = hashlib.sha256(start).hexdigest()
    return {"size_bytes": found.st_size, "mtime_ns": found.st_mtime_ns, "start_sha256": start_sha256}


def _read(dataset: Dataset, split: str, folder: Path, target: Path, gives: Gives, skip_bad: bool) -> None:
    """Write the files beside, then rename the whole folder: another process sees all of it or nothing."""
    assert dataset.reader is not None
    read = reader.bind(dataset.reader)(folder, split)
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    with disk_errors(target):
        try:
            if gives != "arrays":  # of arrays nothing is written before they are known to be what was promised
                staging.mkdir(parents=True, exist_ok=True)
            about = _written(dataset, split, read, staging, gives, skip_bad, folder)
            files = {name: _about(staging / name) for name in FILES[gives]}
            meta = {"dataset": dataset.name, "split": split, "reader": dataset.reader.plain(), **about, "files": files}
            (staging / "meta.json").write_text(json.dumps(meta, indent=2))
            _publish(staging, target, FILES[gives])
        except OSError as error:
            # numpy says how much was written, and not why it is too little.
            error.errno = error.errno or errno.ENOSPC
            error.filename = str(target)
            raise
        finally:  # Ctrl-C included
            shutil.rmtree(staging, ignore_errors=True)


def _written(
    dataset: Dataset, split: str, read: Any, staging: Path, gives: Gives, skip_bad: bool, folder: Path
) -> dict[str, Any]:
    """Write what a reader gives; its classes and what had to be left out."""
    told = _told(dataset, folder)
    what = f"{dataset.name}, split {split}"
    if gives == "arrays":
        inputs, targets = read
        _require_promised(dataset, told, what, inputs, targets, folder)
        staging.mkdir(parents=True, exist_ok=True)
        for name, array in zip(FILES["arrays"], (inputs, targets), strict=True):
            np.save(staging / name, array, allow_pickle=False)
        return {"classes": told.classes or (), "left_out": [], "left_out_count": 0}
    found = Targets(told)
    usable = Usable(read, found, skip_bad)
    (write_texts if gives == "texts" else write_paths)(usable, staging)
    _require_count(len(found.values) + usable.left_out_count, dataset.splits[split], what, folder)
    for name, array in found.arrays().items():
        np.save(staging / f"{name}.npy", array, allow_pickle=False)
    classes = found.names or told.classes or ()
    return {"classes": classes, "left_out": usable.left_out, "left_out_count": usable.left_out_count}


def _told(dataset: Dataset, folder: Path) -> Promised:
    """What the catalog promises, and the names of the classes, where only the files have them."""
    told = promised(dataset)
    assert dataset.reader is not None
    names_in = reader.traits(dataset.reader.name).names
    if told.kind != "classes" or told.names is not None or names_in is None:
        return told
    names = tuple(names_in(folder))
    return replace(told, names=names, count=len(names))


def _publish(staging: Path, target: Path, names: tuple[str, ...]) -> None:
    try:
        staging.rename(target)
    except OSError:
        if not _is_sound(target, names):  # what was damaged is in the way; else another process was faster
            shutil.rmtree(target, ignore_errors=True)
            staging.rename(target)


def _require_count(found: int, expected: int | None, what: str, folder: Path) -> None:
    if expected is not None and found != expected:
        raise InvalidError(f"{what}: expected {expected} examples, found {found} in {folder}")


def _require_promised(
    dataset: Dataset,
    told: Promised,
    what: str,
    inputs: np.ndarray[Any, np.dtype[Any]],
    targets: np.ndarray[Any, np.dtype[Any]],
    folder: Path,
) -> None:
    """Hold what was decoded against the catalog, by which networks are chosen and their cost is told."""
    _require_count(len(inputs), dataset.splits[what.rpartition(" ")[2]], what, folder)
    shape = dataset.sample.shape
    highest = int(targets.max(initial=-1)) if told.kind == "classes" else -1
    if told.count and highest >= told.count:
        raise InvalidError(f"{what}: expected {told.count} classes, found {highest + 1} or more in {folder}")
    if shape and all(isinstance(size, int) for size in shape) and list(inputs.shape[1:]) != shape:
        raise InvalidError(f"{what}: expected examples of shape {shape}, found {list(inputs.shape[1:])} in {folder}")


def channels(sample: Sample) -> int:
    """Of a dataset's pictures, by the catalog; 3 where it does not say."""
    shape = sample.shape
    return 1 if shape and shape[0] == 1 else 3
