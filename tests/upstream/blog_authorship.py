"""The Blog corpus: a file per author that looks like XML and is none, in whatever encoding a blog had."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.prose import sentence
from tests.upstream import Written

AGES = (13, 17, 23, 27, 33, 48)
AUTHORS = 54
ENCODINGS = ("utf-8", "cp1252", "latin-1")
DIFFICULT = {"utf-8": "日本 “so”", "cp1252": "“so” – €5", "latin-1": "\x81 é"}


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """As many women as men, and some more than recipes tell apart, with markup that no parser of XML takes."""
    draw = np.random.default_rng(seed)
    (folder / "blogs").mkdir()
    written = []
    for number in range(AUTHORS):
        gender = ("female", "male")[number % 2]
        name = f"{5000 + 199 * number}.{gender}.{AGES[number // 2 % len(AGES)]}.indUnk.Aries.xml"
        encoding = ENCODINGS[int(draw.integers(3))]
        texts = [_text(draw, gender, encoding) for _ in range(2 + int(draw.integers(2)))]
        content = "<Blog>\n\n" + "".join(_post(text) for text in texts) + "</Blog>\n"
        (folder / "blogs" / name).write_bytes(content.replace("\n", "\r\n").encode(encoding))
        written += [Written(text.replace("\n", "\r\n"), gender, name.partition(".")[0]) for text in texts]
    return {"all": written}


def _text(draw: np.random.Generator, gender: str, encoding: str) -> str:
    signs = DIFFICULT[encoding]
    return f"{sentence(draw, about=f'{gender}s')} <3 & urlLink {signs}\n\n\t{sentence(draw)} &nbsp; a < b ]]>"


def _post(text: str) -> str:
    return f"<date>31,May,2004</date>\n<post>\n\n\t \n      {text}\n \n\t\n</post>\n\n\n"
