"""MNIST: big-endian idx files, images and labels apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.upstream import Written

COUNTS = {"train": 20, "test": 10}
PREFIXES = {"train": "train", "test": "t10k"}


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Two files per split."""
    draw = np.random.default_rng(seed)
    written = {}
    for split, count in COUNTS.items():
        images = draw.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)):
            header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
            (folder / f"{PREFIXES[split]}-{kind}").write_bytes(header + array.tobytes())
        written[split] = [Written(image[None], int(label)) for image, label in zip(images, labels, strict=True)]
    return written
