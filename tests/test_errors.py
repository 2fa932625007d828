"""Exit codes are a promise, and hints name what was meant."""

from __future__ import annotations

import re

import pytest

from dlcat import errors

CODES = {
    "DlcatError": 1,
    "UsageError": 2,
    "InvalidError": 3,
    "UnreachableError": 4,
    "VerificationError": 5,
    "AccessError": 6,
    "DiskError": 7,
    "DivergedError": 8,
    "LostError": 9,
    "StoppedError": 130,
}


def test_the_codes_are_the_documented_ones() -> None:
    kinds = {errors.DlcatError, *errors.DlcatError.__subclasses__()}
    assert {kind.__name__: kind.exit_code for kind in kinds} == CODES
    assert errors.INTERRUPTED_EXIT_CODE == 130


@pytest.mark.parametrize("name", CODES)
def test_the_tree_at_the_top_of_the_module_shows_every_kind_with_its_code(name: str) -> None:
    assert re.search(rf"\b{name} +{CODES[name]}  ", errors.__doc__ or "")


def test_an_error_says_what_happened_and_what_to_do() -> None:
    assert str(errors.UsageError("no such thing", hint="try another")) == "no such thing\nhint: try another"
    assert str(errors.UsageError("no such thing")) == "no such thing"


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("mnst", ["mnist", "coco"], "did you mean 'mnist'?"),
        ("zzz", ["mnist", "coco"], "known: coco, mnist"),
        ("zzz", [], "none is known"),
    ],
)
def test_a_hint_names_the_nearest_word_or_all(word: str, known: list[str], hint: str) -> None:
    assert errors.nearest(word, known) == hint
