"""Yelp Review Full: CSV without a header, both fields in quotes, line breaks and inner quotes behind a backslash."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.prose import sentence
from tests.upstream import Written

COUNTS = {"train": 20, "test": 15}
OPEN = 15


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """train.csv, test.csv, and the review file of Yelp's own dataset."""
    draw = np.random.default_rng(seed)
    (folder / "yelp_review_full_csv").mkdir()
    written = {}
    for split, count in COUNTS.items():
        rows = [Written(_text(draw, number % 5), number % 5) for number in range(count)]
        lines = [f'"{each.target + 1}","{_escaped(each.input)}"\n' for each in rows]
        (folder / "yelp_review_full_csv" / f"{split}.csv").write_bytes("".join(lines).encode())
        written[split] = rows
    written["open"] = [Written(_text(draw, number % 5), number % 5, f"b{number % 4}") for number in range(OPEN)]
    lines = [_object(number, each) for number, each in enumerate(written["open"])]
    (folder / "yelp_academic_dataset_review.json").write_bytes("".join(lines).encode())
    return written


def _text(draw: np.random.Generator, stars: int) -> str:
    return f'{sentence(draw, encoding="utf-8", about=f"star{stars}")}\n\nThe "{sentence(draw, words=2)}" there.'


def _escaped(text: str) -> str:
    return text.replace('"', '\\""').replace("\n", "\\n")


def _object(number: int, review: Written) -> str:
    about = {"review_id": f"r{number}", "user_id": "u", "business_id": review.group, "stars": review.target + 1.0}
    about |= {"useful": 0, "funny": 0, "cool": 0, "text": review.input, "date": "2018-07-07 22:09:11"}
    return json.dumps(about, ensure_ascii=number % 2 == 0) + "\n"
