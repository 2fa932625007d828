"""svhn_mat: SVHN's cropped digits, one MATLAB file per split (format 2; Netzer et al. 2011)."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat.readers.examples import expect, for_split, reader
from dlcat.readers.fetched import require_file
from dlcat.readers.matlab import Variable, headers, values

if TYPE_CHECKING:
    from pathlib import Path

PARTS = {"train": "cropped", "test": "cropped", "extra": "cropped-extra"}
"""The part of the catalog entry that brings each split."""
CROP = (32, 32, 3)
ZERO = 10
"""What the files call the digit 0, as MATLAB counts from 1."""


@reader
def svhn_mat(folder: Path, split: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """train_32x32.mat, test_32x32.mat and extra_32x32.mat: X (32, 32, 3, N) and y (N, 1), where 10 is the digit 0."""
    path = require_file(folder / f"{split}_32x32.mat", for_split(split, PARTS))
    count = _count(path)
    found = values(path, ["X", "y"], most_bytes=count * prod(CROP))
    pixels, labels = found["X"], found["y"].reshape(-1)
    known = np.isin(labels, np.arange(1, ZERO + 1))
    expect(bool(known.all()), path, f"labels 1 to {ZERO}", f"label {labels[~known][:1]}")
    # Stored by columns, so this turns (32, 32, 3, N) into (N, 3, 32, 32) digit by digit.
    return np.ascontiguousarray(pixels.transpose(3, 2, 0, 1)), labels.astype(np.int64) % ZERO


def _count(path: Path) -> int:
    """How many digits the file says it has.

    Raises:
        VerificationError: X or y is missing, or of another shape or class.
    """
    found = headers(path)
    pixels, labels = (found.get(name, Variable("nothing", ())) for name in ("X", "y"))
    is_expected = len(pixels.shape) == 4 and pixels.shape[:3] == CROP and pixels.kind == "uint8"
    expect(is_expected, path, "X of shape (32, 32, 3, N), uint8", f"{pixels.kind} of shape {pixels.shape}")
    count = pixels.shape[3]
    is_expected = labels.shape == (count, 1) and labels.kind in ("uint8", "double")
    expect(is_expected, path, f"y of shape ({count}, 1), uint8 or double", f"{labels.kind} of shape {labels.shape}")
    return count
