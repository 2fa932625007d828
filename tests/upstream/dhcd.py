"""DHCD: a folder per class in Train and Test, of grey PNG files with a dark border of two pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from dlcat.readers.dhcd import CLASSES
from tests.upstream import Written

COUNTS = {"Train": 2, "Test": 1}
"""Pictures of each of the 46 classes."""
TOP = "DevanagariHandwrittenCharacterDataset"


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """The tree as the zip of UCI unpacks."""
    draw = np.random.default_rng(seed)
    written = {}
    for split, count in COUNTS.items():
        written[split.lower()] = found = []
        for label, name in enumerate(CLASSES):
            inside = folder / TOP / split / name
            inside.mkdir(parents=True)
            numbers = sorted(f"{number}.png" for number in draw.choice(100_000, count, replace=False))
            for file in numbers:
                pixels = np.zeros((32, 32), np.uint8)
                pixels[2:-2, 2:-2] = draw.integers(0, 256, (28, 28))
                Image.fromarray(pixels).save(inside / file)
                found.append(Written(pixels[None], label))
    return written
