"""Laws of every form that makes tokens of texts, and each against a plain way of doing the same."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.catalog.dataset import Sample
from dlcat.inputs import Encoder, Tokens, inputs
from dlcat.inputs.words import FIRST, LONGEST, UNKNOWN
from dlcat.readers.ragged import Ragged
from dlcat.registry import Choice

KINDS = [name for name in inputs if inputs.traits(name).takes == "texts"]
SMALL: dict[str, dict[str, Any]] = {"words": {"size": 20}, "characters": {"size": 20}, "subwords": {"size": 300}}
SAMPLE = Sample(dtype="text")
TEXTS = ["the cat sat.", "The dog, the CAT and the emu!", "", "  \n", "naïve café 東京", "it's 3 o'clock"]


def ragged(texts: Sequence[str]) -> Ragged:
    raw = [text.encode() for text in texts]
    return Ragged.of(np.frombuffer(b"".join(raw), np.uint8), np.array([len(each) for each in raw], np.int64))


def form(name: str, **options: Any) -> Tokens:
    made: Tokens = inputs.bind(Choice(name=name, options={"length": 8, **SMALL.get(name, {}), **options}))(SAMPLE)
    return made


@pytest.mark.parametrize("name", KINDS)
def test_tokens_have_the_shape_that_was_told_before_there_were_data(name: str) -> None:
    made = form(name)
    tokens = made.learn(ragged(TEXTS)).encode(ragged(TEXTS))
    assert made.shape == (made.vocabulary, 8)
    assert tokens.shape == (len(TEXTS), 8)
    assert tokens.min() >= 0
    assert tokens.max() < made.vocabulary


@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_filled_up_and_everything_else_is_not(name: str) -> None:
    encoder = form(name, length=64).learn(ragged(TEXTS))
    tokens = encoder.encode(ragged(["", "cat"]))
    assert not tokens[0].any()
    filled = np.flatnonzero(tokens[1])
    assert filled.tolist() == list(range(len(filled)))  # filling comes last
    assert len(filled) > 0


@pytest.mark.parametrize("name", KINDS)
def test_an_encoder_written_as_json_encodes_alike(name: str) -> None:
    made = form(name)
    encoder = made.learn(ragged(TEXTS))
    again = made.restore(json.loads(json.dumps(encoder.plain())))
    others = ragged([*TEXTS, "never seen: zebra!"])
    assert np.array_equal(encoder.encode(others), again.encode(others))


@pytest.mark.parametrize("name", KINDS)
def test_the_same_texts_give_the_same_vocabulary_and_a_text_its_tokens_whatever_stands_beside_it(name: str) -> None:
    made = form(name)
    encoders: list[Encoder] = [made.learn(ragged(TEXTS)) for _ in range(2)]
    assert encoders[0].plain() == encoders[1].plain()
    whole = encoders[0].encode(ragged(TEXTS))
    alone = np.concatenate([encoders[0].encode(ragged([text])) for text in TEXTS])
    assert np.array_equal(whole, alone)


@pytest.mark.parametrize("name", KINDS)
def test_a_longer_form_begins_as_a_shorter_one(name: str) -> None:
    short, long = (form(name, length=length).learn(ragged(TEXTS)).encode(ragged(TEXTS)) for length in (3, 12))
    assert np.array_equal(short, long[:, :3])


def _by_hand(text: str, lowercase: bool, punctuation: bool) -> list[str]:
    """Words of ASCII, apostrophes and what lies beyond; signs on their own."""
    lowered = "".join(chr(ord(sign) + 32) if "A" <= sign <= "Z" else sign for sign in text) if lowercase else text
    pattern = r"[0-9A-Za-z'\u0080-\U0010ffff]+" + (r"|[\x21-\x7e]" if punctuation else "")
    return re.findall(pattern, lowered)


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), min_size=1, max_size=8),
    lowercase=st.booleans(),
    punctuation=st.booleans(),
    size=st.integers(3, 12),
)
@settings(max_examples=150, deadline=None)
def test_words_are_those_that_a_regular_expression_finds(
    texts: list[str], lowercase: bool, punctuation: bool, size: int
) -> None:
    cut = [_by_hand(text, lowercase, punctuation) for text in texts]
    if any(len(word.encode()) > LONGEST for words in cut for word in words):
        return
    counts = Counter(word for words in cut for word in words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word.encode()))[: size - FIRST]
    encoder = form("words", size=size, length=10, lowercase=lowercase, punctuation=punctuation).learn(ragged(texts))
    assert encoder.plain() == {"words": ranked}
    expected = np.zeros((len(texts), 10), int)
    for row, words in enumerate(cut):
        for column, word in enumerate(words[:10]):
            expected[row, column] = ranked.index(word) + FIRST if word in ranked else UNKNOWN
    assert np.array_equal(encoder.encode(ragged(texts)), expected)


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_characters_are_code_points_and_bytes_are_bytes(texts: list[str]) -> None:
    encoder = form("characters", size=6, length=9, lowercase=False).learn(ragged(texts))
    known = encoder.plain()["characters"]
    for row, text in zip(encoder.encode(ragged(texts)), texts, strict=True):
        assert row[: len(text)].tolist() == [known.index(each) + 2 if each in known else 1 for each in text[:9]]
        assert not row[len(text) :].any()
    for row, text in zip(form("bytes").learn(ragged(texts)).encode(ragged(texts)), texts, strict=True):
        raw = text.encode()[:8]
        assert row.tolist() == [byte + 1 for byte in raw] + [0] * (8 - len(raw))


def test_subwords_know_every_byte() -> None:
    encoder = form("subwords", length=40).learn(ragged(["only letters"]))
    tokens = encoder.encode(ragged(["東京!"]))[0]
    assert np.count_nonzero(tokens) == len("東京!".encode())


def test_a_word_longer_than_what_is_looked_at_is_found_again() -> None:
    long = "x" * (LONGEST + 5)
    encoder = form("words", length=2).learn(ragged([long, long]))
    assert encoder.plain() == {"words": ["x" * LONGEST]}
    assert encoder.encode(ragged([long])).tolist() == [[FIRST, 0]]


def test_blocks_do_not_change_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from dlcat.inputs import characters, words

    whole = {name: form(name).learn(ragged(TEXTS)).plain() for name in ("words", "characters")}
    for module in (words, characters):
        monkeypatch.setattr(module, "BLOCK", 7)
    assert {name: form(name).learn(ragged(TEXTS)).plain() for name in whole} == whole
