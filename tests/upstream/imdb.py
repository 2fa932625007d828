"""aclImdb: a file per review, named by its number and rating; the film of number n on line n + 1 of a list."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.prose import sentence
from tests.upstream import Written

RATINGS = {"neg": (1, 2, 3, 4), "pos": (7, 8, 9, 10), "unsup": (0,)}
COUNT = 12
FOLDERS = {"train": ("train", ("neg", "pos")), "test": ("test", ("neg", "pos")), "unsupervised": ("train", ("unsup",))}


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Reviews, the lists of films, and the bags of words and the vocabulary that lie between them."""
    draw = np.random.default_rng(seed)
    top = folder / "aclImdb"
    written = {}
    for split, (part, kinds) in FOLDERS.items():
        written[split] = [each for kind in kinds for each in _reviews(top / part, kind, draw)]
        (top / part / "labeledBow.feat").write_text("9 0:9 1:1\n")
    (top / "imdb.vocab").write_text("the\nand\n")
    (top / "README").write_text("Large Movie Review Dataset v1.0\n")
    return written


def _reviews(part: Path, kind: str, draw: np.random.Generator) -> list[Written]:
    films = [f"tt{int(draw.integers(5)) + (1 if part.name == 'train' else 9):07d}" for _ in range(COUNT)]
    (part / kind).mkdir(parents=True)
    found = []
    for number, film in enumerate(films):
        about = {"neg": "dull", "pos": "superb", "unsup": ""}[kind]
        text = f'{sentence(draw, encoding="utf-8", about=about)}.<br /><br />{sentence(draw)} "it".'
        rating = int(draw.choice(RATINGS[kind]))
        (part / kind / f"{number}_{rating}.txt").write_bytes(text.encode())
        found.append(Written(text, None if kind == "unsup" else kind, film))
    lines = [f"http://www.imdb.com/title/{film}/usercomments\n" for film in films]
    (part / f"urls_{kind}.txt").write_text("".join(lines))
    return found
