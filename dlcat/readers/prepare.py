"""Decoded once, mapped ever after: a split's arrays under cache/prepared/, keyed by what they were made from."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlcat.errors import DiskError, InvalidError, UsageError, nearest
from dlcat.readers.examples import Examples, reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlcat.catalog import Dataset


def prepare(dataset: Dataset, split: str, *, folder: Path, digests: Mapping[str, str], cache: Path) -> Examples:
    """The split's Examples, memory-mapped from the cache; decoded first where that was not done before.

    Args:
        dataset: the catalog entry.
        split: one of its splits.
        folder: where its files are unpacked.
        digests: artifact file to verified sha256; with the reader's name, options and source text they are the key, so
            that other bytes or another decoder never meet old arrays.
        cache: the folder for prepared arrays.

    Raises:
        UsageError: the dataset has no such split.
        InvalidError: no reader exists for it yet.
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
    target = cache / dataset.name / f"{split}-{_key(dataset, digests)}"
    if not (target / "meta.json").is_file():
        _decode(dataset, split, folder, target)
    return Examples(
        np.load(target / "inputs.npy", mmap_mode="r", allow_pickle=False),
        np.load(target / "targets.npy", mmap_mode="r", allow_pickle=False),
        _class_names(dataset),
    )


def _key(dataset: Dataset, digests: Mapping[str, str]) -> str:
    assert dataset.reader is not None
    source = Path(inspect.getfile(reader[dataset.reader.name])).read_bytes()
    made_from = [sorted(digests.items()), dataset.reader.plain(), hashlib.sha256(source).hexdigest()]
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def _decode(dataset: Dataset, split: str, folder: Path, target: Path) -> None:
    """Write the arrays beside, then rename the whole folder: another process sees all of it or nothing."""
    assert dataset.reader is not None
    inputs, targets = reader.bind(dataset.reader)(folder, split)
    expected = dataset.splits[split]
    if expected is not None and len(inputs) != expected:
        raise InvalidError(
            f"{dataset.name}, split {split}: expected {expected} examples, found {len(inputs)} in {folder}"
        )
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        staging.mkdir(parents=True, exist_ok=True)
        np.save(staging / "inputs.npy", inputs, allow_pickle=False)
        np.save(staging / "targets.npy", targets, allow_pickle=False)
        meta = {"dataset": dataset.name, "split": split, "examples": len(inputs), "reader": dataset.reader.plain()}
        (staging / "meta.json").write_text(json.dumps(meta, indent=2))
        staging.rename(target)
    except OSError as error:
        if not (target / "meta.json").is_file():  # else another process was faster
            raise DiskError(
                f"{target}: cannot be written: {error.strerror}", hint="--cache names another folder"
            ) from error
    finally:  # Ctrl-C included
        shutil.rmtree(staging, ignore_errors=True)


def _class_names(dataset: Dataset) -> tuple[str, ...]:
    match dataset.classes:
        case list(names):
            return tuple(names)
        case int(count):
            return tuple(str(number) for number in range(count))
        case _:
            return ()
