"""WMT18, German to English: pairs of files with a sentence per line, and SGML for development and test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.prose import sentence
from tests.upstream import Written

CORPORA = (
    "training/europarl-v7.de-en",
    "paracrawl-release1.en-de.zipporah0-dedup-clean",
    "commoncrawl.de-en",
    "training-parallel-nc-v13/news-commentary-v13.de-en",
    "rapid2016.de-en",
)
SETS = {"validation": "newstest2017", "test": "newstest2018"}


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Five corpora with a pair of which one side is empty, and two sets."""
    draw = np.random.default_rng(seed)
    written = {"train": [pair for name in CORPORA for pair in _corpus(folder / name, draw)]}
    return written | {split: _set(folder / "dev", name, draw) for split, name in SETS.items()}


def _pair(draw: np.random.Generator) -> dict[str, str]:
    return {"source": f"Der {sentence(draw, encoding='utf-8')} & <b>", "target": f"The {sentence(draw)} \u2028 & \x85."}


def _corpus(path: Path, draw: np.random.Generator) -> list[Written]:
    path.parent.mkdir(exist_ok=True)
    pairs = [_pair(draw) for _ in range(4)]
    for side, ending in (("source", "de"), ("target", "en")):
        lines = [pair[side] for pair in pairs]
        lines.insert(2, "" if side == "target" else "Ohne Gegenstück")
        path.with_name(f"{path.name}.{ending}").write_bytes("".join(f"{line}\n" for line in lines).encode())
    return [Written(pair, None) for pair in pairs]


def _set(folder: Path, name: str, draw: np.random.Generator) -> list[Written]:
    folder.mkdir(exist_ok=True)
    documents = {f"paper.{number}": [_pair(draw) for _ in range(4)] for number in range(3)}
    for kind, language, side in (("src", "de", "source"), ("ref", "en", "target")):
        lines = [f'<{kind}set setid="{name}" srclang="any" trglang="{language}">']
        for document, pairs in documents.items():
            lines += [f'<doc sysid="ref" docid="{document}" genre="news" origlang="de">', "<p>"]
            lines += [f'<seg id="{number}">{_escaped(pair[side])}</seg>' for number, pair in enumerate(pairs, 1)]
            lines += ["</p>", "</doc>"]
        lines.append(f"</{kind}set>")
        (folder / f"{name}-deen-{kind}.{language}.sgm").write_bytes("".join(f"{line}\n" for line in lines).encode())
    return [Written(pair, None, document) for document, pairs in documents.items() for pair in pairs]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
