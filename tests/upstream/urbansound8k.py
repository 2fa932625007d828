"""UrbanSound8K: a table of all clips, and ten folders of wav files at mixed rates, widths and channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlcat.readers.urbansound8k import CLASSES
from tests import sounds
from tests.upstream import Written

TOP = "UrbanSound8K"
HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"
RATES = (8_000, 22_050, 44_100, 48_000)
SUBTYPES = ("PCM_16", "PCM_24", "PCM_U8")


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Two clips of one recording for every class in every fold; the table has the folds mixed."""
    draw = np.random.default_rng(seed)
    rows, written = [], {f"fold{fold}": [] for fold in range(1, 11)}
    for recording in draw.permutation(100):
        fold, label = recording % 10 + 1, recording // 10
        for slice_number in range(2 if fold == 1 else 1):
            name = f"{100_032 + recording}-{label}-0-{slice_number}.wav"
            path = folder / TOP / "audio" / f"fold{fold}" / name
            rate, subtype = int(draw.choice(RATES)), str(draw.choice(SUBTYPES))
            sounds.write(path, draw, tone=label, rate_hertz=rate, channels=int(draw.integers(1, 3)), subtype=subtype)
            start = round(draw.uniform(0, 60), 6)
            rows.append(f"{name},{100_032 + recording},{start},{start + 4},1,{fold},{label},{CLASSES[label]}")
            found = Written(path.relative_to(folder).as_posix(), CLASSES[label], str(100_032 + recording))
            written[f"fold{fold}"].append(found)
    table = folder / TOP / "metadata" / "UrbanSound8K.csv"
    table.parent.mkdir()
    table.write_text("\n".join([HEADER, *rows]) + "\n", encoding="ascii")
    return written
