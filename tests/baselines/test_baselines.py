"""Laws of every baseline, and each against what can be said of it by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from dlcat.baselines import Known, baseline
from dlcat.baselines.choices import auto, none
from dlcat.baselines.images import _pixels, knn, logistic
from dlcat.readers import Examples
from dlcat.readers.hearing import HeardExamples
from dlcat.readers.joining import taken
from dlcat.readers.ragged import Ragged

CLASSIFIERS = [name for name in baseline if baseline.traits(name).takes is not None]
IMAGES = ["knn", "logistic"]
WORDS = ("dog", "cat", "emu", "fox")


def _blobs(count: int = 60, classes: int = 3, side: int = 4, seed: int = 0) -> Examples:
    """Images whose class is the column that is bright."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, count)
    inputs = random.integers(0, 40, (count, 1, side, side)).astype(np.uint8)
    inputs[np.arange(count), 0, :, targets] += 120
    return Examples(inputs, targets, tuple("abcdefghij"[:classes]))


def _texts(count: int = 60, classes: int = 3, seed: int = 0) -> Examples:
    """Texts whose class is the one animal among words that say nothing."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, count)
    said = [[*(f"word{number}" for number in random.integers(0, 20, 8)), WORDS[target]] for target in targets]
    raw = [" ".join(random.permutation(words)).encode() for words in said]
    texts = Ragged.of(np.frombuffer(b"".join(raw), np.uint8), np.array([len(text) for text in raw]))
    return Examples(np.zeros((count, 4), np.int16), targets, WORDS[:classes], texts=texts)


def _sounds(count: int = 60, classes: int = 3, seed: int = 0) -> HeardExamples:
    """Tones in noise whose class is their pitch; every one of another length."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, count)
    lengths = random.integers(400, 1600, count)
    tones = [
        np.sin(2 * np.pi * 400 * (1 + target) / 8000 * np.arange(length)) + random.normal(0, 0.1, length)
        for target, length in zip(targets, lengths, strict=True)
    ]
    values = (np.concatenate(tones) * 8000).astype(np.int16)
    return HeardExamples(Ragged.of(values, lengths), targets, WORDS[:classes], None, (), 8000)


def _examples(name: str, count: int = 60, classes: int = 3, seed: int = 0) -> Known:
    """What the baseline takes."""
    if name in IMAGES:
        return _blobs(count, classes, seed=seed)
    return _texts(count, classes, seed) if name == "tfidf" else _sounds(count, classes, seed)


def _digits() -> tuple[Examples, Examples]:
    table = load_digits()
    inputs, names = table.images[:, None].astype(np.uint8), tuple("0123456789")
    return (
        Examples(inputs[:1000], table.target[:1000].astype(np.int64), names),
        Examples(inputs[1000:], table.target[1000:].astype(np.int64), names),
    )


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_what_can_be_told_apart_is_learned(name: str) -> None:
    train = _examples(name)
    assert baseline.traits(name).takes(train)
    fitted = baseline[name](train)
    assert fitted.name == name
    assert fitted.accuracy(_examples(name, seed=1)) == 1


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_same_examples_give_the_same_predictions(name: str) -> None:
    train, test = _examples(name), _examples(name, seed=2)
    first, second = (baseline[name](train).predict(test) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_an_example_is_judged_whatever_stands_beside_it(name: str) -> None:
    train, test = _examples(name), _examples(name, seed=3)
    fitted = baseline[name](train)
    alone = np.concatenate([fitted.predict(taken(test, np.array([at]))) for at in range(40)])
    assert np.array_equal(alone, fitted.predict(taken(test, np.arange(40))))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_where_all_are_of_one_class_that_is_the_answer(name: str) -> None:
    train = replace(_examples(name, 12), targets=np.full(12, 2))
    assert (baseline[name](train).predict(_examples(name, 5)) == 2).all()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_it_is_not_for_several_classes_or_numbers(name: str) -> None:
    train = _examples(name, 12)
    assert not baseline.traits(name).takes(replace(train, targets=np.zeros((12, 3), np.uint8)))
    assert not baseline.traits(name).takes(replace(train, targets=np.zeros(12, np.float32)))


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("shape", [(3, 64, 96), (1, 1, 40), (3, 33, 33), (4, 2, 2)])
def test_images_of_any_size_are_taken(name: str, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    train = Examples(random.integers(0, 255, (8, *shape), dtype=np.uint8), np.arange(8) % 2, ("a", "b"))
    assert set(baseline[name](train).predict(train)) <= {0, 1}


def test_the_shortest_sound_and_the_emptiest_text_are_judged() -> None:
    silent = replace(_sounds(1), waveforms=Ragged.of(np.zeros(1, np.int16), np.array([1])))
    assert baseline["cepstrum"](_sounds()).predict(silent)[0] in range(3)
    empty = replace(_texts(1), texts=Ragged.of(np.zeros(0, np.uint8), np.array([0])))
    assert baseline["tfidf"](_texts()).predict(empty)[0] in range(3)


@pytest.mark.parametrize("neighbours", [1, 5])
def test_the_nearest_are_those_that_scikit_learn_finds(neighbours: int) -> None:
    train, test = _digits()
    rows, others = (each.inputs.reshape(len(each), -1).astype(float) for each in (train, test))
    known = KNeighborsClassifier(neighbours, algorithm="brute").fit(rows, train.targets)
    assert np.array_equal(knn(train, neighbours=neighbours).predict(test), known.predict(others))


def test_more_neighbours_than_examples_are_all_of_them() -> None:
    train = Examples(_blobs(3).inputs, np.array([1, 1, 0]), ("a", "b"))
    assert (knn(train, neighbours=9).predict(_blobs(4)) == 1).all()


def test_digits_are_told_apart_about_as_well_as_is_known() -> None:
    train, test = _digits()
    assert 0.88 < logistic(train).accuracy(test) < 0.97
    assert 0.95 < knn(train).accuracy(test) < 0.99


def test_the_best_is_chosen_without_a_look_at_the_test_split() -> None:
    train, test = _digits()
    chosen = auto(train)
    assert chosen is not None
    assert chosen.name == "knn"
    assert chosen.accuracy(test) == knn(train).accuracy(test)
    # One pixel says the class, all others are loud: a line finds it, the nearest example does not.
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, 400)
    inputs = random.integers(0, 255, (400, 1, 20, 20)).astype(np.uint8)
    inputs[:, 0, 0, 0] = targets * 255
    chosen = auto(Examples(inputs, targets, ("a", "b")))
    assert chosen is not None
    assert chosen.name == "logistic"


@pytest.mark.parametrize("shape", [(20, 50), (20, 2, 100)])
def test_what_is_no_image_has_no_baseline_yet(shape: tuple[int, ...]) -> None:
    assert auto(Examples(np.zeros(shape, np.int16), np.arange(20) % 2, ("a", "b"))) is None


def test_none_is_none() -> None:
    assert none(_blobs()) is None


def test_large_images_are_averaged_and_small_ones_are_as_they_are() -> None:
    small = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    assert np.array_equal(_pixels(small), small.reshape(2, -1))
    large = np.random.default_rng(0).integers(0, 255, (2, 1, 64, 64), dtype=np.uint8)
    by_hand = [large[0, 0, 2 * row : 2 * row + 2, :2].mean() for row in range(32)]
    assert _pixels(large).shape == (2, 1024)
    assert np.allclose(_pixels(large)[0].reshape(32, 32)[:, 0], by_hand)
