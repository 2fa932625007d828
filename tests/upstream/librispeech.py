"""LibriSpeech: FLAC by speaker and chapter, a file of transcripts in each chapter, and a table of all speakers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests import sounds
from tests.upstream import Written

TOP = "LibriSpeech"
SPEAKERS = {
    "train-clean-100": ("19", "26", "103"),
    "dev-clean": ("84", "1272"),
    "test-clean": ("61", "1089"),
}
"""In the order of their numbers, which is not that of their names."""
CHAPTERS = ("198", "1240")
WORDS = ("HE HOPED THERE WOULD BE STEW", "STUFF IT INTO YOU", "IT'S OFF A LEFT HAND CORNER", "A")


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Two chapters by each speaker, with three utterances or two."""
    draw = np.random.default_rng(seed)
    table = _write_table(folder / TOP / "SPEAKERS.TXT")
    written: dict[str, list[Written]] = {}
    for subset, speakers in SPEAKERS.items():
        written[subset] = []
        for speaker in speakers:
            for chapter, count in zip(CHAPTERS, (3, 2), strict=True):
                inside = folder / TOP / subset / speaker / chapter
                said = []
                for number in range(count):
                    name = f"{speaker}-{chapter}-{number:04}"
                    sounds.write(inside / f"{name}.flac", draw, tone=table.index(speaker), rate_hertz=16_000)
                    said.append(f"{name} {draw.choice(WORDS)}")
                    place = (inside / f"{name}.flac").relative_to(folder).as_posix()
                    written[subset].append(Written(place, table.index(speaker), f"{speaker}-{chapter}"))
                (inside / f"{speaker}-{chapter}.trans.txt").write_text("\n".join(said) + "\n", encoding="utf-8")
    return written


def _write_table(path: Path) -> list[str]:
    """The speakers of all subsets by number, with comments above, and a reader whose name has the separator in it."""
    subset_of = {speaker: subset for subset, speakers in SPEAKERS.items() for speaker in speakers}
    ordered = sorted(subset_of, key=int)
    rows = [
        f"{speaker:<5}| {'FM'[place % 2]} | {subset_of[speaker]:<17}| 25.03 | Jürgen | the {place}."
        for place, speaker in enumerate(ordered)
    ]
    path.parent.mkdir(parents=True)
    path.write_text(
        "; Some pipe(|) separated metadata\n;\n;ID  |SEX| SUBSET\n" + "\n".join(rows) + "\n", encoding="utf-8"
    )
    return ordered
