"""Indian actors' ages: two zips of a contest, each with a CSV file and a folder of JPEG faces of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.pictures import write_jpeg
from tests.upstream import Written

CLASSES = ("MIDDLE", "YOUNG", "OLD")
SPLITS = {"train": ("train_DETg9GD", 16), "test": ("test_Bh8pGW3", 12)}


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Both zips unpacked; copies with either line end are known."""
    draw = np.random.default_rng(seed)
    end = ("\n", "\r\n")[seed % 2]
    numbers = draw.permutation(1000)
    written = {}
    for split, (top, count) in SPLITS.items():
        inside = folder / top / split.capitalize()
        inside.mkdir(parents=True)
        names = [f"{number}.jpg" for number in numbers[:count]]
        numbers = numbers[count:]
        classes = [CLASSES[at % 3] if split == "train" else None for at in range(count)]
        for name in names:
            write_jpeg(inside / name, draw)
        lines = [f"{name},{known}" if known else name for name, known in zip(names, classes, strict=True)]
        header = "ID,Class" if split == "train" else "ID"
        (folder / top / f"{split}.csv").write_text("".join(line + end for line in [header, *lines]), newline="")
        shown = f"{top}/{split.capitalize()}"
        written[split] = [Written(f"{shown}/{name}", known) for name, known in zip(names, classes, strict=True)]
    return written
