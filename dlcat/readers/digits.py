"""digits: the table of 8×8 digits that scikit-learn ships (UCI optical recognition of handwritten digits, 1998)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge

from dlcat.readers.examples import expect, for_split, read_bytes, reader

if TYPE_CHECKING:
    from pathlib import Path

PIXELS = 64
HIGHEST_PIXEL = 16


@reader
def digits(
    folder: Path, split: str, *, test_every: Annotated[int, Ge(2)] = 5
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Lines of 64 pixels (0 to 16) and a label, comma-separated; every fifth line is the test split."""
    path = folder / "digits.csv"
    table = _table(path)
    expect(bool((table == np.floor(table)).all()), path, "whole numbers", "others")
    expect(table.shape[1] == PIXELS + 1, path, f"{PIXELS} pixels and a label per line", f"{table.shape[1]} columns")
    pixels, labels = table[:, :PIXELS], table[:, PIXELS]
    expect(bool(((pixels >= 0) & (pixels <= HIGHEST_PIXEL)).all()), path, f"pixels 0 to {HIGHEST_PIXEL}", pixels.max())
    expect(bool(((labels >= 0) & (labels <= 9)).all()), path, "labels 0 to 9", labels.max())
    is_test = np.arange(len(table)) % test_every == test_every - 1
    chosen = for_split(split, {"train": ~is_test, "test": is_test})
    return pixels[chosen].astype(np.uint8).reshape(-1, 1, 8, 8), labels[chosen].astype(np.int64)


def _table(path: Path) -> np.ndarray[Any, Any]:
    """The numbers of the file, (N, columns)."""
    lines = read_bytes(path).decode("ascii", errors="replace").split()
    expect(len(lines) > 0, path, "lines of numbers", "an empty file")
    try:
        return np.array([[float(number) for number in line.split(",")] for line in lines])
    except ValueError as error:  # a word, or lines of different lengths
        expect(False, path, "the same number of numbers on every line", str(error).splitlines()[0])
        raise
