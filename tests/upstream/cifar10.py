"""CIFAR-10, binary version: five training files and one for the test, a label byte before every picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.upstream import Written

FILES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
COUNTS = {"train": 8, "test": 12}
"""Records in each file."""


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """The folder as its archive unpacks, with what lies beside the pictures."""
    draw = np.random.default_rng(seed)
    top = folder / "cifar-10-batches-bin"
    top.mkdir()
    (top / "batches.meta.txt").write_text("airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n")
    (top / "readme.html").write_text(
        '<meta HTTP-EQUIV="REFRESH" content="0; url=http://www.cs.toronto.edu/~kriz/cifar.html">'
    )
    written: dict[str, list[Written]] = {"train": [], "test": []}
    for split, names in FILES.items():
        for name in names:
            pixels = draw.integers(0, 256, (COUNTS[split], 3, 32, 32), dtype=np.uint8)
            labels = (np.arange(COUNTS[split]) + len(written[split])) % 10
            records = [bytes([label]) + image.tobytes() for label, image in zip(labels, pixels, strict=True)]
            (top / name).write_bytes(b"".join(records))
            written[split] += [Written(image, int(label)) for label, image in zip(labels, pixels, strict=True)]
    return written
