"""The contest's tweets: CSV with a header, quotes only where they are needed, signs encoded twice, some tweets repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.prose import sentence
from tests.upstream import Written

COUNTS = {"train": 24, "test": 12}


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """The two files under the provider's names."""
    draw = np.random.default_rng(seed)
    texts = [_text(draw, number) for number in range(COUNTS["train"])]
    train = [Written(text, number % 4 // 3, text) for number, text in enumerate(texts)]
    train[5] = train[1]
    test = [Written(text, None, text) for text in (_text(draw, number) for number in range(COUNTS["test"]))]
    lines = [f"{number},{each.target},{_field(each.input)}\n" for number, each in enumerate(train, 1)]
    (folder / "train_E6oV3lV.csv").write_text("id,label,tweet\n" + "".join(lines), encoding="utf-8", newline="")
    lines = [f"{number},{_field(each.input)}\n" for number, each in enumerate(test, 1 + len(train))]
    (folder / "test_tweets_anuFYb8.csv").write_text("id,tweet\n" + "".join(lines), encoding="utf-8", newline="")
    return {"train": train, "test": test}


def _text(draw: np.random.Generator, number: int) -> str:
    """With an emoji as upstream has it: its four bytes, each taken for a character."""
    twice = "😡".encode().decode("latin-1")
    return f' @user {sentence(draw)} "{number}" {twice} #hate, &amp;  ' if number % 3 else f"{sentence(draw)} #love"


def _field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text
