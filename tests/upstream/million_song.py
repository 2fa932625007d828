"""YearPredictionMSD: lines of a year and 90 numbers, without a header; the first nine tenths are the training split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.upstream import Written

SONGS = 40
TRAIN = SONGS * 463_715 // 515_345


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Numbers with five decimals, as upstream rounds them; the year follows the first."""
    draw = np.random.default_rng(seed)
    years = draw.integers(1922, 2012, SONGS)
    numbers = np.round(draw.normal(0, 50, (SONGS, 90)), 5)
    numbers[:, 0] += years - 1967
    texts = [[f"{number:.5f}" for number in row] for row in numbers]
    lines = [",".join([str(year), *row]) for year, row in zip(years, texts, strict=True)]
    (folder / "YearPredictionMSD.txt").write_text("\n".join(lines) + "\n", encoding="ascii")
    read = np.array([[float(text) for text in row] for row in texts]).astype(np.float32)
    songs = [Written(row, float(year)) for row, year in zip(read, years, strict=True)]
    return {"train": songs[:TRAIN], "test": songs[TRAIN:]}
