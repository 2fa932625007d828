"""Decoded once, mapped ever after: a split's arrays under cache/prepared/, keyed by what they were made from.

Beside them lies meta.json, which says what was written; arrays that are no longer that are made anew.
"""

from __future__ import annotations

import errno
import hashlib
import inspect
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat.disk import disk_errors
from dlcat.errors import InvalidError, UsageError, VerificationError, nearest
from dlcat.readers.encoded import EncodedExamples, Tree
from dlcat.readers.examples import Bad, Examples, reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dlcat.catalog import Dataset
    from dlcat.readers.examples import Example

ARRAYS = ("inputs.npy", "targets.npy")
HEADER_BYTES = 4096
"""Of a .npy file, its header (128 bytes for these) is among them."""


def prepare(
    dataset: Dataset, split: str, *, folder: Path, digests: Mapping[str, str], cache: Path
) -> Examples | EncodedExamples:
    """The split's Examples, memory-mapped from the cache; decoded first where they are not there, or damaged.

    Of a reader whose pictures are decoded when they are asked for, the list of them is kept in the same way.

    Args:
        dataset: the catalog entry.
        split: one of its splits.
        folder: where its files are unpacked.
        digests: artifact file to verified sha256; they are in the `key`, so that other bytes or another decoder never
            meet old arrays.
        cache: the folder for prepared arrays.

    Raises:
        UsageError: the dataset has no such split.
        InvalidError: no reader exists for it yet, or it decodes to something else than the catalog says.
        VerificationError: a file is not what its format promises.
        DiskError: the arrays cannot be written.
    """
    if split not in dataset.splits:
        raise UsageError(f"{dataset.name} has no split {split!r}", hint=nearest(split, dataset.splits))
    if dataset.reader is None or dataset.reader.name not in reader:
        named = f"its reader {dataset.reader.name!r}" if dataset.reader else "it"
        raise InvalidError(
            f"{dataset.name}: no reader decodes {named} yet", hint=f"the files are in {folder} as upstream packs them"
        )
    target = cache / dataset.name / f"{split}-{key(dataset, digests)}"
    if not _is_sound(target):
        _decode(dataset, split, folder, target)
    with disk_errors(target):
        inputs, targets = (np.load(target / name, mmap_mode="r", allow_pickle=False) for name in ARRAYS)
    if reader.traits(dataset.reader.name).gives == "pictures":
        return EncodedExamples(Tree(folder, inputs), targets, class_names(dataset), channels(dataset))
    return Examples(inputs, targets, class_names(dataset))


def key(dataset: Dataset, digests: Mapping[str, str]) -> str:
    """What a split's arrays are made from, in 16 hexadecimal digits: their folder is named `<split>-<key>`.

    The files' hashes, the reader's name, options and source text, and the catalog's shape of an example are in it.

    Args:
        dataset: a catalog entry whose reader is known.
        digests: artifact file to verified sha256.
    """
    assert dataset.reader is not None
    source = hashlib.sha256(Path(inspect.getfile(reader[dataset.reader.name])).read_bytes()).hexdigest()
    made_from = [sorted(digests.items()), dataset.reader.plain(), source, dataset.sample.shape]
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def _is_sound(target: Path) -> bool:
    """Whether the arrays in a folder are there, and their files what its meta.json says."""
    try:
        files = json.loads((target / "meta.json").read_bytes())["files"]
        return bool(files == {name: _about(target / name) for name in ARRAYS})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # gone, or garbled in any way
        return False


def _about(path: Path) -> dict[str, Any]:
    """What can be told of an array's file without reading it through."""
    with open(path, "rb") as stream:
        start, found = stream.read(HEADER_BYTES), os.fstat(stream.fileno())
    start_sha256 = hashlib.sha256(start).hexdigest()
    return {"size_bytes": found.st_size, "mtime_ns": found.st_mtime_ns, "start_sha256": start_sha256}


def _decode(dataset: Dataset, split: str, folder: Path, target: Path) -> None:
    """Write the arrays beside, then rename the whole folder: another process sees all of it or nothing."""
    assert dataset.reader is not None
    read = reader.bind(dataset.reader)(folder, split)
    inputs, targets = read if reader.traits(dataset.reader.name).gives == "arrays" else _listed(read)
    _require_promised(dataset, split, inputs, targets, folder)
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    with disk_errors(target):
        try:
            staging.mkdir(parents=True, exist_ok=True)
            for name, array in zip(ARRAYS, (inputs, targets), strict=True):
                np.save(staging / name, array, allow_pickle=False)
            files = {name: _about(staging / name) for name in ARRAYS}
            meta = {"dataset": dataset.name, "split": split, "reader": dataset.reader.plain(), "files": files}
            (staging / "meta.json").write_text(json.dumps(meta, indent=2))
            _publish(staging, target)
        except OSError as error:
            # numpy says how much was written, and not why it is too little.
            error.errno = error.errno or errno.ENOSPC
            error.filename = str(target)
            raise
        finally:  # Ctrl-C included
            shutil.rmtree(staging, ignore_errors=True)


def _listed(read: Iterator[Example | Bad]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Paths (N,) bytes and class numbers (N,)."""
    paths, labels = [], []
    for each in read:
        if isinstance(each, Bad):
            raise VerificationError(str(each))
        paths.append(os.fsencode(each.input))
        labels.append(each.target)
    return np.array(paths), np.array(labels, np.int64)


def _publish(staging: Path, target: Path) -> None:
    try:
        staging.rename(target)
    except OSError:
        if not _is_sound(target):  # what was damaged is in the way; else another process was faster
            shutil.rmtree(target, ignore_errors=True)
            staging.rename(target)


def _require_promised(
    dataset: Dataset,
    split: str,
    inputs: np.ndarray[Any, np.dtype[Any]],
    targets: np.ndarray[Any, np.dtype[Any]],
    folder: Path,
) -> None:
    """Hold what was decoded against the catalog, by which networks are chosen and their cost is told."""
    expected, shape = dataset.splits[split], dataset.sample.shape
    if expected is not None and len(inputs) != expected:
        raise InvalidError(
            f"{dataset.name}, split {split}: expected {expected} examples, found {len(inputs)} in {folder}"
        )
    classes, highest = len(class_names(dataset)), int(targets.max(initial=-1))
    if classes and highest >= classes:
        raise InvalidError(
            f"{dataset.name}, split {split}: expected {classes} classes, found {highest + 1} or more in {folder}"
        )
    assert dataset.reader is not None
    if reader.traits(dataset.reader.name).gives == "pictures":  # their shapes are known when they are decoded
        return
    if shape and all(isinstance(size, int) for size in shape) and list(inputs.shape[1:]) != shape:
        raise InvalidError(
            f"{dataset.name}, split {split}: expected examples of shape {shape}, found {list(inputs.shape[1:])} in {folder}"
        )


def channels(dataset: Dataset) -> int:
    """Of its pictures, by the catalog; 3 where it does not say."""
    shape = dataset.sample.shape
    return 1 if shape and shape[0] == 1 else 3


def class_names(dataset: Dataset) -> tuple[str, ...]:
    """In label order; none where the catalog lists none."""
    match dataset.classes:
        case list(names):
            return tuple(names)
        case int(count):
            return tuple(str(number) for number in range(count))
        case _:
            return ()
