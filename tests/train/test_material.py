"""What a recipe learns from and is tested on: official by default, groups together, and no leak unless it is allowed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dlcat.errors import InvalidError
from dlcat.inputs import inputs
from dlcat.readers import Examples, TextExamples
from dlcat.readers.ragged import Ragged
from dlcat.recipe import Recipe
from dlcat.registry import Choice
from dlcat.train import device as devices
from dlcat.train.material import Material, material
from dlcat.train.splits import splits_of
from dlcat.workspace import Workspace

CPU = devices.choose("cpu", "fp32", "contiguous", "batch")
GROUPS = {"train": 12, "test": 4, "valid": 3}
EACH = 5
"""Examples of a group."""


def _split(name: str, *, shared: bool = False, grouped: bool = True) -> Examples:
    """Examples in groups; those of two splits have none in common, unless `shared`."""
    groups = np.repeat(np.arange(GROUPS[name]), EACH) + 1 + (0 if shared else 100 * list(GROUPS).index(name))
    random = np.random.default_rng(len(name))
    inputs_ = random.integers(0, 16, (len(groups), 1, 8, 8)).astype(np.uint8)
    targets = np.arange(len(groups)) % 10
    return Examples(inputs_, targets, tuple("0123456789"), groups if grouped else None)


@pytest.fixture
def made(place: Workspace) -> Callable[..., tuple[Recipe, Material]]:
    """made(*overrides, shared=..., grouped=...): a recipe and its material."""

    def call(*overrides: str, shared: bool = False, grouped: bool = True) -> tuple[Recipe, Material]:
        recipe = place.recipe("digits_quickstart", ("train.batch_size=4", *overrides))
        return recipe, material(recipe, None, lambda name: _split(name, shared=shared, grouped=grouped))

    return call


def test_official_splits_are_taken_as_they_are(made: Callable[..., tuple[Recipe, Material]]) -> None:
    _, found = made()
    assert (len(found.train), len(found.test or ()), found.validation) == (60, 20, None)
    _, found = made("split.validation=[valid]")
    assert len(found.validation or ()) == 15


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_a_share_for_the_test_keeps_groups_together_and_is_the_same_for_every_seed(
    made: Callable[..., tuple[Recipe, Material]], share: float
) -> None:
    founds = [made("split.train=[train, valid]", f"split.test={share}", f"train.seed={seed}")[1] for seed in (0, 1)]
    for found in founds:
        assert isinstance(found.test, Examples)
        assert isinstance(found.train, Examples)
        assert found.train.groups is not None
        assert found.test.groups is not None
        assert len(found.train) + len(found.test) == 75
        assert abs(len(found.test) - 75 * share) <= EACH / 2
        assert not set(found.train.groups) & set(found.test.groups)
    assert np.array_equal(founds[0].test.inputs, founds[1].test.inputs)  # type: ignore[union-attr]


def test_validation_is_of_whole_groups_as_the_test_is(made: Callable[..., tuple[Recipe, Material]]) -> None:
    recipe, found = made("train.validation=0.25")
    splits = splits_of(recipe, found, CPU)
    assert splits.validation is not None
    assert (len(splits.train), len(splits.validation)) == (45, 15)
    assert isinstance(found.train, Examples)
    rows = {image.tobytes(): group for image, group in zip(found.train.inputs, found.train.groups, strict=True)}  # type: ignore[arg-type]
    held = {rows[image.numpy().tobytes()] for image in splits.validation.inputs[:]}
    kept = {rows[image.numpy().tobytes()] for image in splits.train.inputs[:]}
    assert not held & kept


def test_where_the_official_test_shares_groups_validation_does_too_and_it_is_said(
    made: Callable[..., tuple[Recipe, Material]],
) -> None:
    recipe, found = made("train.validation=0.25", shared=True)
    splits = splits_of(recipe, found, CPU)
    assert splits.validation is not None
    assert len(splits.validation) == 15
    assert found.by_example
    assert "shares groups" in splits.how


def test_folds_keep_groups_together(made: Callable[..., tuple[Recipe, Material]]) -> None:
    seen: list[bytes] = []
    for fold in range(4):
        recipe, found = made("train.folds=4", f"train.fold={fold}")
        splits = splits_of(recipe, found, CPU)
        assert splits.validation is not None
        assert len(splits.validation) == 15
        seen += [image.numpy().tobytes() for image in splits.validation.inputs[:]]
    assert len(set(seen)) == 60
    recipe, found = made("train.folds=13")
    with pytest.raises(InvalidError, match=r"train\.folds: expected at most 12, the groups"):
        splits_of(recipe, found, CPU)


LEAKS = {
    "the test is trained on": (("split.test=[train]",), r"split\.test: train serves another purpose"),
    "validation is the test": (("split.validation=[test]",), r"split\.validation: test serves another purpose"),
    "the test is drawn by example": (("split.test=0.2", "split.by=example"), r"split\.by: the test would be drawn"),
    "validation is drawn by example": (("split.by=example",), r"split\.by: validation is drawn example by example"),
}


@pytest.mark.parametrize(("overrides", "message"), LEAKS.values(), ids=LEAKS)
def test_a_leak_is_refused_unless_it_is_allowed_and_then_it_is_said(
    made: Callable[..., tuple[Recipe, Material]], overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidError, match=message) as caught:
        made(*overrides)
    assert "--allow-leak" in caught.value.hint
    recipe, found = made(*overrides, "split.allow_leak=true")
    assert "a leak was allowed" in splits_of(recipe, found, CPU).how


def test_examples_on_their_own_may_be_drawn_one_by_one(made: Callable[..., tuple[Recipe, Material]]) -> None:
    _, found = made("split.test=0.2", "split.by=example", grouped=False)
    assert len(found.test or ()) == 12


def test_targets_that_nobody_publishes_cannot_be_tested_on(place: Workspace) -> None:
    recipe = place.recipe("digits_quickstart")

    def read(name: str) -> Examples:
        found = _split(name)
        return found if name == "train" else Examples(found.inputs, np.full(len(found), -1), found.classes)

    with pytest.raises(InvalidError, match=r"split\.test: upstream publishes no targets of 20 examples") as caught:
        material(recipe, None, read)
    assert "test: []" in caught.value.hint
    assert material(place.recipe("digits_quickstart", ("split.test=[]",)), None, read).test is None


def test_a_vocabulary_is_learned_from_training_texts_alone(place: Workspace, tmp_path: object) -> None:
    form = inputs.bind(Choice(name="words", options={"size": 50, "length": 4}))(place.catalog["imdb"].sample)
    said = {"train": ["seen early", "seen late"], "test": ["unseen words"]}

    def read(name: str) -> TextExamples:
        raw = [text.encode() for text in said[name]]
        texts = Ragged.of(np.frombuffer(b"".join(raw), np.uint8), np.array([len(each) for each in raw]))
        return TextExamples(texts, np.zeros(len(raw), np.int64), ("a",), None, (), tmp_path)  # type: ignore[arg-type]

    found = material(place.recipe("digits_quickstart"), form, read)
    assert found.encoder is not None
    assert set(found.encoder.plain()["words"]) == {"seen", "early", "late"}
    assert isinstance(found.test, Examples)
    assert found.test.inputs.tolist() == [[1, 1, 0, 0]]
