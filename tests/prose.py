"""Sentences for tiny datasets: a few words in any order, and some that an encoding makes difficult."""

from __future__ import annotations

import numpy as np

WORDS = [
    "river",
    "stone",
    "light",
    "market",
    "paper",
    "winter",
    "garden",
    "engine",
    "letter",
    "coffee",
    "silver",
    "island",
    "window",
    "music",
    "doctor",
    "bridge",
]
RARE = {
    "ascii": ("it's", "50%", "(sic)", "a,b", "C++", "x=1"),
    "latin-1": ("café", "naïve", "Zürich", "£50", "it's", "a,b"),
    "utf-8": ("café", "日本", "Ελλάδα", "🙂", "“quoted”", "a,b"),
}


def sentence(draw: np.random.Generator, *, words: int = 8, encoding: str = "ascii", about: str = "") -> str:
    """So many words, a word of the topic among them, and one in four times a rare one."""
    chosen = [str(word) for word in draw.choice(WORDS, words)]
    if about:
        chosen[int(draw.integers(words))] = about
    if draw.random() < 0.25:
        chosen[int(draw.integers(words))] = str(draw.choice(RARE[encoding]))
    return " ".join(chosen)
