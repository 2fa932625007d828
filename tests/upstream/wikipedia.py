"""WikiText-2: tokens with spaces between them, headings in =, and a space on every line, also on the empty ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.prose import sentence
from tests.upstream import Written

COUNTS = {"train": 14, "valid": 12, "test": 12}


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Articles with sections of three levels, and formulas that begin and end like headings within paragraphs."""
    draw = np.random.default_rng(seed)
    (folder / "wikitext-2").mkdir()
    written = {}
    for split, count in COUNTS.items():
        articles = [_article(draw, number) for number in range(count)]
        text = "".join(_lines(article) for article in articles) + " \n"
        (folder / "wikitext-2" / f"wiki.{split}.tokens").write_bytes(text.encode())
        written[split] = [Written(article, None) for article in articles]
    return written


def _article(draw: np.random.Generator, number: int) -> dict[str, Any]:
    title = f"The <unk> {number} ( album )"
    sections: list[dict[str, Any]] = [{"level": 1, "heading": title, "paragraphs": _paragraphs(draw)}]
    for level in draw.integers(2, 4, int(draw.integers(4))).tolist():
        sections.append({"level": level, "heading": sentence(draw, words=2), "paragraphs": _paragraphs(draw)})
    return {"title": title, "sections": sections}


def _paragraphs(draw: np.random.Generator) -> list[str]:
    texts = [f"{sentence(draw, encoding='utf-8')} 1 @,@ 000 <unk> ." for _ in range(int(draw.integers(4)))]
    return [*texts, "= 1 <unk> / s and a nominal <unk> k =", "1 <unk> ."] if len(texts) > 1 else texts


def _lines(article: dict[str, Any]) -> str:
    parts = []
    for section in article["sections"]:
        marks = " ".join("=" * section["level"])
        paragraphs = "".join(f" {paragraph} \n" for paragraph in section["paragraphs"])
        parts.append(f" \n {marks} {section['heading']} {marks} \n \n{paragraphs}")
    return "".join(parts)
