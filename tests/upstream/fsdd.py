"""FSDD: one folder of wav files, whose names say everything."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests import sounds
from tests.upstream import Written

TOP = "free-spoken-digit-dataset-1.0.10"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TAKES = (0, 4, 5, 49)
"""The first two are the test split's."""


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Four takes of every digit; the speakers take turns."""
    draw = np.random.default_rng(seed)
    names = {"train": [], "test": []}
    for digit in range(10):
        for turn, take in enumerate(TAKES):
            speaker = SPEAKERS[(digit + turn + seed) % len(SPEAKERS)]
            name = f"{digit}_{speaker}_{take}.wav"
            sounds.write(folder / TOP / "recordings" / name, draw, tone=digit, rate_hertz=8000)
            names["test" if take < 5 else "train"].append(name)
    (folder / TOP / "README.md").write_text("# Free Spoken Digit Dataset (FSDD)\n", encoding="utf-8")
    return {split: [_written(name) for name in sorted(found)] for split, found in names.items()}


def _written(name: str) -> Written:
    digit, speaker, _ = name.split("_")
    return Written(f"{TOP}/recordings/{name}", digit, speaker)
