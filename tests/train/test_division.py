"""The training split divided: nothing lost, nothing twice, each class with its share, and all of it by the seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import InvalidError
from dlcat.readers import Examples
from dlcat.recipe import Recipe, Train
from dlcat.train import device as devices
from dlcat.train.contradictions import contradictions
from dlcat.train.division import divide, fold, hold_out, sample, told
from dlcat.train.material import Material
from dlcat.train.splits import splits_of
from dlcat.workspace import Workspace

targets = st.lists(st.integers(0, 4), min_size=2, max_size=200).map(np.array)
seeds = st.integers(0, 2**63 - 1)


@given(count=st.integers(1, 300), share=st.floats(0, 0.99), seed=st.integers(0, 2**63 - 1))
@settings(max_examples=100)
def test_holding_out_is_a_partition(count: int, share: float, seed: int) -> None:
    kept, held = hold_out(count, share, seed)
    assert sorted([*kept, *held]) == list(range(count))
    assert abs(len(held) - count * share) <= 0.5
    assert list(kept) == sorted(kept)
    assert list(held) == sorted(held)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_the_seed_decides_what_is_held_out(seed: int) -> None:
    assert np.array_equal(hold_out(200, 0.5, seed)[1], hold_out(200, 0.5, seed)[1])
    assert not np.array_equal(hold_out(200, 0.5, seed)[1], hold_out(200, 0.5, seed + 1)[1])


def test_nothing_is_held_out_for_a_share_of_nothing() -> None:
    kept, held = hold_out(9, 0.0, 3)
    assert (kept.tolist(), held.tolist()) == (list(range(9)), [])


@given(targets, st.integers(2, 12), seeds)
@settings(max_examples=100)
def test_folds_are_a_partition_and_each_has_every_classs_share(classes: np.ndarray, folds: int, seed: int) -> None:
    parts = [fold(classes, folds, number, seed) for number in range(folds)]
    assert sorted(position for _, held in parts for position in held) == list(range(len(classes)))
    sizes = [len(held) for _, held in parts]
    assert max(sizes) - min(sizes) <= 1
    for kept, held in parts:
        assert sorted([*kept, *held]) == list(range(len(classes)))
        assert list(kept) == sorted(kept)
        assert list(held) == sorted(held)
    for label in set(classes.tolist()):
        counts = [int((classes[held] == label).sum()) for _, held in parts]
        assert max(counts) - min(counts) <= 1


@given(targets, seeds, st.data())
@settings(max_examples=100)
def test_a_sample_has_every_classs_share(classes: np.ndarray, seed: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, len(classes)))
    positions = sample(classes, number, seed)
    assert len(set(positions.tolist())) == number
    assert list(positions) == sorted(positions)
    drawn = Counter(classes[positions].tolist())
    for label, count in Counter(classes.tolist()).items():
        assert abs(drawn[label] - count * number / len(classes)) < 1


def test_the_seed_decides_folds_and_sample() -> None:
    classes = np.arange(200) % 7
    assert np.array_equal(fold(classes, 5, 2, 9)[1], fold(classes, 5, 2, 9)[1])
    assert not np.array_equal(fold(classes, 5, 2, 9)[1], fold(classes, 5, 2, 10)[1])
    assert not np.array_equal(sample(classes, 50, 9), sample(classes, 50, 10))


@pytest.mark.parametrize(
    ("chosen", "counts", "words"),
    [
        ({}, (90, 10), "10 of 100 training examples, drawn by seed 3"),
        ({"folds": 4, "fold": 1}, (75, 25), "fold 1 of 0 to 3, 25 of 100 training examples, drawn by seed 3"),
        (
            {"examples": 40},
            (36, 4),
            "4 of 40 training examples (themselves out of 100, each class with its share), drawn",
        ),
        ({"examples": 40, "folds": 2}, (20, 20), "fold 0 of 0 to 1, 20 of 40 training examples (themselves out of 100"),
    ],
)
def test_validation_is_held_out_of_the_examples_that_are_used(
    chosen: dict[str, int], counts: tuple[int, int], words: str
) -> None:
    settled = Train(epochs=1, batch_size=4, seed=3, **chosen)  # type: ignore[arg-type]
    kept, held = divide(settled, np.arange(100) % 5)
    assert (len(kept), len(held)) == counts
    assert not set(kept) & set(held)
    assert told(settled, 100, kept, held).startswith(words)


@pytest.fixture
def load(place: Workspace) -> Callable[..., Recipe]:
    """load(override, ...): the quickstart with them."""
    return lambda *overrides: place.recipe("digits_quickstart", overrides)


def test_with_folds_no_share_is_held_out_unless_both_are_asked_for(load: Callable[..., Recipe]) -> None:
    recipe = load("train.folds=5", "train.fold=4")
    assert recipe.train.validation == 0
    assert list(contradictions(recipe)) == []
    assert list(contradictions(load("train.folds=5", "schedule=plateau"))) == []
    faults = dict(contradictions(load("train.folds=5", "train.validation=0.2", "train.fold=5")))
    assert faults == {
        ("train", "validation"): "the validation split is one of 5 folds; expected 0, found 0.2",
        ("train", "fold"): "expected a number below 5, found 5",
    }
    (fault,) = contradictions(load("train.fold=1"))
    assert fault == (("train", "fold"), "expected 0, because there are no folds, found 1")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("train.examples=11",),
            "--set train.examples: train.examples: expected at most 10, the examples of the training",
        ),
        (
            ("train.examples=4", "train.folds=5"),
            "--set train.folds: train.folds: expected at most 4, one for each example",
        ),
        (("train.examples=6", "train.batch_size=6"), "train.batch_size: expected at most 5"),
    ],
)
def test_more_than_there_is_cannot_be_had(
    load: Callable[..., Recipe], overrides: tuple[str, ...], message: str
) -> None:
    examples = Examples(np.zeros((10, 1, 8, 8), np.uint8), np.arange(10) % 2, ("a", "b"))
    recipe = load("train.batch_size=2", *overrides)
    device = devices.choose("cpu", "fp32", "contiguous", "batch")
    with pytest.raises(InvalidError) as caught:
        splits_of(recipe, Material(examples, test=examples), device)
    assert message in caught.value.message
