"""Facets: what each lets through, alone and together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcat.catalog.search import Facets, matching, parse_size
from dlcat.errors import UsageError
from dlcat.workspace import Workspace

UNITS = {"k": 10**3, "M": 10**6, "gb": 10**9, "TB": 10**12, "Ki": 2**10, "MiB": 2**20, "gib": 2**30, "TiB": 2**40}

FACETS: dict[str, tuple[dict[str, Any], Callable[[Any], bool]]] = {
    "domain": ({"domain": "audio"}, lambda dataset: dataset.domain == "audio"),
    "task": ({"task": "Speech"}, lambda dataset: any("speech" in task for task in dataset.tasks)),
    "access": ({"access": "by-hand"}, lambda dataset: dataset.access == "by-hand"),
    "license": ({"license": "cc-by"}, lambda dataset: "CC-BY" in (dataset.license.id or "")),
    "size": ({"max_size": "50MB"}, lambda dataset: (dataset.size.download or 10**18) <= 50_000_000),
    "two": (
        {"domain": "image", "max_size": "50MB"},
        lambda dataset: dataset.domain == "image" and (dataset.size.download or 10**18) <= 50_000_000,
    ),
    "nothing": ({}, lambda dataset: True),
}


@pytest.mark.parametrize(("asked", "answers"), FACETS.values(), ids=FACETS)
def test_a_facet_lets_through_what_answers_to_it_in_order(
    place: Workspace, asked: dict[str, Any], answers: Callable[[Any], bool]
) -> None:
    found = matching(place.catalog, Facets(**asked))
    assert found == [dataset for dataset in place.catalog if answers(dataset)]
    assert found


@pytest.mark.parametrize(
    ("words", "name"),
    [("handwritten mnist", "mnist"), ("手写", "mnist"), ("MNIST", "fashion-mnist"), ("airplane truck", "cifar10")],
)
def test_words_are_looked_for_in_every_language_and_in_classes(place: Workspace, words: str, name: str) -> None:
    assert name in [dataset.name for dataset in matching(place.catalog, Facets(search=words))]


def test_all_words_must_occur(place: Workspace) -> None:
    assert matching(place.catalog, Facets(search="mnist xyzzy")) == []


@pytest.mark.parametrize(
    ("asked", "option", "hint"),
    [
        ({"domain": "images"}, "--domain images", "did you mean 'image'?"),
        ({"access": "byhand"}, "--access byhand", "did you mean 'by-hand'?"),
        ({"domain": ""}, "--domain ", "known: audio, image, nlp"),
    ],
)
def test_an_unknown_word_is_a_usage_error(place: Workspace, asked: dict[str, str], option: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        matching(place.catalog, Facets(**asked))
    assert caught.value.message.startswith(option)
    assert caught.value.hint == hint


@given(number=st.integers(0, 10**15), unit=st.sampled_from(["", "b", *UNITS]), space=st.sampled_from(["", " "]))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str, space: str) -> None:
    assert parse_size(f"{number}{space}{unit}") == number * UNITS.get(unit, 1)


@given(hundredths=st.integers(0, 10**9), unit=st.sampled_from(sorted(UNITS)))
def test_fractions_are_exact_to_the_byte(hundredths: int, unit: str) -> None:
    assert parse_size(f"{hundredths // 100}.{hundredths % 100:02}{unit}") == hundredths * UNITS[unit] // 100


@given(text=st.text(max_size=8) | st.text("0123456789.kmgtibKİſ -e", max_size=12))
def test_any_text_is_a_size_or_a_usage_error(text: str) -> None:
    try:
        assert parse_size(text) >= 0
    except UsageError as error:
        assert repr(text) in error.message  # noqa: PT017 - or it was read


@pytest.mark.parametrize(
    "text", ["", "MB", "-1", "1e3", "1.", ".5", "5 PB", "1 M i B", "９MB", "1kİ", "9" * 400 + "TB"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no size"):
        parse_size(text)
