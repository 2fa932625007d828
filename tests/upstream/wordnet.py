"""WordNet's dictionary files as NLTK packs them: a licence, then a synset per line that begins with its own offset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.prose import sentence
from tests.upstream import Written

PARTS = {"noun": ("n", range(3, 29)), "verb": ("v", range(29, 44)), "adj": ("a", (0, 1, 44)), "adv": ("r", (2,))}
COUNTS = {"noun": 52, "verb": 30, "adj": 12, "adv": 12}
LICENCE = "".join(f"  {number} This software and database is provided as is.  \n" for number in range(1, 30))


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """data.* and index.*; relations lead back to synsets before."""
    draw = np.random.default_rng(seed)
    (folder / "wordnet").mkdir()
    return {split: _part(folder / "wordnet", split, draw) for split in PARTS}


def _part(folder: Path, split: str, draw: np.random.Generator) -> list[Written]:
    letter, files = PARTS[split]
    lines, index, written = [LICENCE], [LICENCE], []
    offset = len(LICENCE)
    for number in range(COUNTS[split]):
        file = tuple(files)[number % len(files)]
        gloss = f'{sentence(draw, words=5, about=f"topic{file}")}; "{sentence(draw, words=4)}"'
        words = [f"{split}_{number}_{each}" for each in range(1 + int(draw.integers(3)))]
        kind = "s" if split == "adj" and number % 2 else letter
        related = [
            f"@ {int(each.partition(' ')[0]):08d} {letter} 0000"
            for each in lines[1:][-int(draw.integers(3)) or 99 :][:2]
        ]
        line = (
            f"{offset:08d} {file:02d} {kind} {len(words):02x} {' '.join(f'{word} 0' for word in words)} "
            f"{len(related):03d} {''.join(f'{each} ' for each in related)}"
            f"{'01 + 08 00 ' if split == 'verb' else ''}| {gloss}  \n"
        )
        lines.append(line)
        symbols = "1 @ " if related else "0 "
        index += [f"{word} {letter} 1 {symbols}1 0 {offset:08d}  \n" for word in words]
        written.append(Written(gloss, file, f"{letter}{offset:08d}"))
        offset += len(line)
    (folder / f"data.{split}").write_text("".join(lines), encoding="ascii")
    (folder / f"index.{split}").write_text("".join(index), encoding="ascii")
    return written
