"""CIFAR binary: records of one label byte and 3,072 pixel bytes, red, green, blue, row by row (Krizhevsky 2009)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat.readers.examples import expect, for_split, read_bytes, reader

if TYPE_CHECKING:
    from pathlib import Path

RECORD_BYTES = 1 + 3 * 32 * 32
LABELS = 10


@reader
def cifar_binary(
    folder: Path, split: str, *, inside: str = "cifar-10-batches-bin", train_batches: int = 5
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """CIFAR-10's binary version: data_batch_1.bin ... and test_batch.bin. The pickled version is never read."""
    train = [f"data_batch_{number + 1}.bin" for number in range(train_batches)]
    names = for_split(split, {"train": train, "test": ["test_batch.bin"]})
    records = np.concatenate([batch(folder / inside / name) for name in names])  # (N, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)


def batch(path: Path) -> np.ndarray[Any, Any]:
    """The records of one file, (N, 3073) uint8.

    Raises:
        VerificationError: the length is no multiple of a record, or a label is out of range.
    """
    raw = read_bytes(path)
    whole = len(raw) > 0 and len(raw) % RECORD_BYTES == 0
    expect(whole, path, f"a multiple of {RECORD_BYTES} bytes, one record per image", f"{len(raw)} bytes")
    records = np.frombuffer(raw, np.uint8).reshape(-1, RECORD_BYTES)
    highest = int(records[:, 0].max())
    expect(highest < LABELS, path, f"labels 0 to {LABELS - 1}", f"label {highest}")
    return records
