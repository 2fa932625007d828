"""Ballroom: a list of excerpts in ten folders, a tempo and a file of beats for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlcat.readers.ballroom import BEATS, TEMPI
from tests import sounds
from tests.upstream import Written

FOLDERS = (
    "ChaChaCha",
    "Jive",
    "Quickstep",
    "Rumba-American",
    "Rumba-International",
    "Rumba-Misc",
    "Samba",
    "Tango",
    "VienneseWaltz",
    "Waltz",
)
PAIR = ("Albums-Fire-08", "Albums-Fire-09")
"""Upstream has the same music twice."""


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Three excerpts of every dance; upstream's list is not sorted."""
    draw = np.random.default_rng(seed)
    names = [f"Media-1{number:05}" for number in draw.choice(99_999, len(FOLDERS) * 3 - 2, replace=False)]
    listed, written = [], []
    for number, name in enumerate([*PAIR, *names]):
        label = number * len(FOLDERS) // (len(names) + 2)
        path = folder / "BallroomData" / FOLDERS[label] / f"{name}.wav"
        dance = FOLDERS[label].partition("-")[0]
        sounds.write(path, draw, tone=label, rate_hertz=11_025)
        listed.append(f"./{FOLDERS[label]}/{name}.wav")
        found = Written(path.relative_to(folder).as_posix(), dance, PAIR[0] if name in PAIR else "")
        written.append(found)
        _write_annotations(folder, name, tempo=int(draw.integers(80, 200)), waltz=dance.endswith("Waltz"))
    order = draw.permutation(len(listed))
    text = "\n".join(listed[place] for place in order) + "\n"
    (folder / "BallroomData" / "allBallroomFiles").write_text(text, encoding="ascii")
    return {"all": [written[place] for place in order]}


def _write_annotations(folder: Path, name: str, *, tempo: int, waltz: bool) -> None:
    """Beats begin somewhere in a bar, which has three of them in a waltz and four in others."""
    (folder / TEMPI).mkdir(parents=True, exist_ok=True)
    (folder / BEATS).mkdir(exist_ok=True)
    (folder / TEMPI / f"{name}.bpm").write_text(f"{tempo}\n", encoding="ascii")
    beats = [f"{0.84 + 60 / tempo * beat:.10f} {(beat + 1) % (3 if waltz else 4) + 1}" for beat in range(6)]
    (folder / BEATS / f"{name}.beats").write_text("\n".join(beats) + "\n", encoding="ascii")
