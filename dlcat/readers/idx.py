"""idx: the format of MNIST and its relatives (big-endian header, then unsigned bytes; LeCun 1998)."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat.readers.examples import expect, for_split, read_bytes, reader

if TYPE_CHECKING:
    from pathlib import Path

_UNSIGNED_BYTE = 0x08


@reader
def idx(
    folder: Path, split: str, *, train: str = "train", test: str = "t10k"
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images and labels in idx files named <prefix>-images-idx3-ubyte and <prefix>-labels-idx1-ubyte."""
    prefix = for_split(split, {"train": train, "test": test})
    images_path, labels_path = folder / f"{prefix}-images-idx3-ubyte", folder / f"{prefix}-labels-idx1-ubyte"
    images, labels = array(images_path, dimensions=3), array(labels_path, dimensions=1)
    expect(len(images) == len(labels), labels_path, f"{len(images)} labels, one per image", len(labels))
    return images[:, None], labels.astype(np.int64)  # (N, 1, H, W), (N,)


def array(path: Path, *, dimensions: int) -> np.ndarray[Any, Any]:
    """The unsigned bytes of an idx file, in the shape its header gives; the header is held against the file's length.

    Raises:
        VerificationError: the magic number, the dimensions or the length are not what they must be.
    """
    raw = read_bytes(path)
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    expect(raw[:4] == magic, path, f"idx magic {magic.hex()}", raw[:4].hex() or "an empty file")
    header = 4 + 4 * dimensions
    expect(len(raw) >= header, path, f"a header of {header} bytes", f"{len(raw)} bytes")
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", dimensions, 4))
    expect(
        len(raw) == header + prod(shape), path, f"{header + prod(shape)} bytes for shape {shape}", f"{len(raw)} bytes"
    )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)
