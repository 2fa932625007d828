"""SVHN: MATLAB files of cropped digits, where 10 is the digit 0; and of whole numbers, with boxes in an HDF5 of references."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.upstream import Written

COUNTS = {"train": 20, "test": 12, "extra": 12}
FIELDS = ("height", "label", "left", "top", "width")
USER_BLOCK = 512
"""Bytes before the HDF5, in which MATLAB says what the file is."""


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """train_32x32.mat and so on."""
    from scipy.io import savemat

    draw = np.random.default_rng(seed)
    written = {}
    for split, count in COUNTS.items():
        pixels = draw.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)[:, None]
        savemat(folder / f"{split}_32x32.mat", {"X": pixels, "y": labels}, do_compression=True)
        written[split] = [Written(np.moveaxis(pixels[..., at], 2, 0), int(labels[at, 0]) % 10) for at in range(count)]
    return written


def write_full(folder: Path, seed: int) -> dict[str, list[Written]]:
    """The photographs of whole numbers, with train/digitStruct.mat and so on."""
    draw = np.random.default_rng(seed)
    written = {}
    for split in COUNTS:
        (folder / split).mkdir()
        numbers = [[int(label) for label in draw.integers(1, 11, draw.integers(1, 5))] for _ in range(12)]
        found = []
        for at, labels in enumerate(numbers, 1):
            size = (int(draw.integers(8, 40)), int(draw.integers(8, 40)))
            Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / split / f"{at}.png")
            boxes = [{"label": float(label), **_box(draw)} for label in labels]
            found.append((f"{at}.png", boxes))
        write_digit_struct(folder / split / "digitStruct.mat", found)
        (folder / split / "see_bboxes.m").write_text("load digitStruct.mat\n")
        written[split] = [_written(split, name, boxes) for name, boxes in found]
    return written


def _box(draw: np.random.Generator) -> dict[str, float]:
    return {field: float(draw.integers(-1, 30)) for field in FIELDS if field != "label"}


def _written(split: str, name: str, boxes: list[dict[str, float]]) -> Written:
    digits = [
        {"class": str(int(box["label"]) % 10), "box": [box["left"], box["top"], box["width"], box["height"]]}
        for box in boxes
    ]
    number = "".join(str(digit["class"]) for digit in digits)
    record = {"picture": f"{split}/{name}", "number": number, "boxes": digits}
    return Written(record, tuple(sorted(set(number))))


def write_digit_struct(path: Path, found: list[tuple[str, list[dict[str, Any]]]]) -> None:
    """MATLAB 7.3's way with a list of structures: what is in a column is a reference to where it lies."""
    import h5py

    with h5py.File(path, "w", userblock_size=USER_BLOCK) as file:
        top, references = file.create_group("digitStruct"), file.create_group("#refs#")

        def put(value: Any) -> Any:
            return references.create_dataset(f"r{len(references)}", data=value).ref

        def structure(boxes: list[dict[str, Any]]) -> Any:
            group = references.create_group(f"r{len(references)}")
            for field in FIELDS:
                values = [np.array([[box[field]]], np.float64) for box in boxes]
                several = np.array([[put(value)] for value in values], h5py.ref_dtype)
                group.create_dataset(
                    field,
                    data=values[0] if len(boxes) == 1 else several,
                    dtype=None if len(boxes) == 1 else h5py.ref_dtype,
                )
            return group.ref

        names = [[put(np.array([[ord(letter)] for letter in name], np.uint16))] for name, _ in found]
        top.create_dataset("name", data=np.array(names, h5py.ref_dtype), dtype=h5py.ref_dtype)
        boxes = [[structure(boxes)] for _, boxes in found]
        top.create_dataset("bbox", data=np.array(boxes, h5py.ref_dtype), dtype=h5py.ref_dtype)
    with open(path, "r+b") as stream:
        stream.write(
            b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Dec 05 21:09:26 2011 HDF5 schema 1.00 .".ljust(
                124
            )
        )
        stream.seek(0, os.SEEK_END)
