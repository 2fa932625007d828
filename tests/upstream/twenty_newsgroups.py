"""20 Newsgroups by date: a folder per group, in it messages in Latin-1, headers first; names are numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.prose import sentence
from tests.upstream import Written

GROUPS = [
    "alt.atheism",
    "comp.graphics",
    "comp.os.ms-windows.misc",
    "comp.sys.ibm.pc.hardware",
    "comp.sys.mac.hardware",
    "comp.windows.x",
    "misc.forsale",
    "rec.autos",
    "rec.motorcycles",
    "rec.sport.baseball",
    "rec.sport.hockey",
    "sci.crypt",
    "sci.electronics",
    "sci.med",
    "sci.space",
    "soc.religion.christian",
    "talk.politics.guns",
    "talk.politics.mideast",
    "talk.politics.misc",
    "talk.religion.misc",
]
COUNTS = {"train": 2, "test": 1}


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Messages with a quote and a signature."""
    draw = np.random.default_rng(seed)
    written = {}
    for split, count in COUNTS.items():
        written[split] = [
            _message(folder / f"20news-bydate-{split}" / group, number, draw)
            for group in GROUPS
            for number in sorted(draw.choice(np.arange(8, 200_000), count, replace=False).tolist())
        ]
    return written


def _message(group: Path, number: int, draw: np.random.Generator) -> Written:
    group.mkdir(parents=True, exist_ok=True)
    text = (
        f"From: someone@{group.name}.edu (J. Ångström)\nSubject: Re: {sentence(draw, words=3)}\n"
        f"Organization: University of {group.name}\nLines: {int(draw.integers(9))}\n\n"
        f"In article <{number}@host> another@host wrote:\n> {sentence(draw)}\n\n"
        f"{sentence(draw, encoding='latin-1', about=group.name.rpartition('.')[2])}\n\t{sentence(draw)}\x85\n\n--\nJ.\n"
    )
    (group / str(number)).write_bytes(text.encode("latin-1"))
    return Written(text, group.name)
