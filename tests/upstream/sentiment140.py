"""Sentiment140: two CSV files in Latin-1 without a header, every field in quotes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.prose import sentence
from tests.upstream import Written

FILES = {
    "train": ("training.1600000.processed.noemoticon.csv", (0, 4), 24),
    "test": ("testdata.manual.2009.06.14.csv", (0, 2, 4), 15),
}
NAMES = {0: "negative", 2: "neutral", 4: "positive"}
ABOUT = {0: "sad", 2: "so-so", 4: "happy"}


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Tweets with entities, and some with quotes, which are doubled."""
    draw = np.random.default_rng(seed)
    written = {}
    for split, (file, polarities, count) in FILES.items():
        rows, lines = [], []
        for number in range(count):
            polarity = polarities[number * len(polarities) // count]  # upstream has them sorted
            user = f"user_{int(draw.integers(9))}"
            text = f'@{user} {sentence(draw, encoding="latin-1", about=ABOUT[polarity])} &amp; "{number}" '
            fields = (polarity, 1467810369 + number, "Mon Apr 06 22:19:45 PDT 2009", "NO_QUERY", user, text)
            lines.append(",".join('"' + str(each).replace('"', '""') + '"' for each in fields) + "\n")
            rows.append(Written(text, NAMES[polarity], user))
        (folder / file).write_bytes("".join(lines).encode("latin-1"))
        written[split] = rows
    return written
