"""What a recipe learns from, looks at and is tested on: splits of its dataset, put together and kept apart honestly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat.errors import InvalidError
from dlcat.inputs import Sounds, Tokens
from dlcat.inputs import inputs as forms
from dlcat.readers import EncodedExamples, Examples, SoundExamples, TextExamples
from dlcat.readers.hearing import HeardExamples, heard
from dlcat.readers.joining import joined, relabelled, taken
from dlcat.readers.streaming import NONE
from dlcat.train.division import hold_out
from dlcat.train.fitting import fitting

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlcat.catalog.dataset import Sample
    from dlcat.inputs import Encoder, Form
    from dlcat.readers.prepare import Prepared
    from dlcat.recipe import Recipe
    from dlcat.train.trained import Known

Ready = Examples | EncodedExamples | HeardExamples
"""Examples of which batches can be made."""
TEST_SEED = 0
"""Decides which examples are kept for the test, where a share is asked for: whatever seed a recipe has, the same."""


@dataclass(frozen=True, slots=True)
class Material:
    """The examples of a recipe."""

    train: Ready
    validation: Ready | None = None
    """None where it is held out of the training split."""
    test: Ready | None = None
    """None where nobody publishes the test's labels."""
    form: Form | None = None
    """How they become numbers; None: as they are."""
    encoder: Encoder | None = None
    """What made tokens of texts."""
    remarks: tuple[str, ...] = ()
    """What must be known of how they were divided."""
    by_example: bool = False
    """Whether validation is held out example by example although the examples have groups."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input, as the network is built for it."""
        if self.form is not None:
            return self.form.shape
        assert isinstance(self.train, Examples), "the workspace asks for a form before anything is read"
        return tuple(self.train.inputs.shape[1:])

    @property
    def left_out(self) -> tuple[str, ...]:
        """What could not be used, by name."""
        parts = (self.train, self.validation, self.test)
        return tuple(text for part in parts if part is not None for text in part.left_out)

    @property
    def digests(self) -> dict[str, str]:
        """File to sha256 of what the catalog does not know."""
        parts = (self.train, self.validation, self.test)
        return {file: sha for part in parts if part is not None for file, sha in part.digests.items()}


def form_of(recipe: Recipe, sample: Sample) -> Form | None:
    """How the recipe lets inputs become numbers; None: as they are prepared.

    Raises:
        InvalidError: its options do not fit the dataset.
    """
    if recipe.inputs is None:
        return None
    bound = forms.bind(recipe.inputs)
    made: Form = fitting(recipe, ("inputs",), lambda: bound(sample))
    return made


def material(recipe: Recipe, form: Form | None, read: Callable[[str], Prepared]) -> Material:
    """The recipe's examples.

    Args:
        recipe: names the splits.
        form: how they become numbers.
        read: gives a split of the dataset by its name.

    Raises:
        InvalidError: the division would let the test or the validation split leak, and nobody allows it.
        DlcatError: a split cannot be read.
    """
    chosen = recipe.split
    _require_apart(recipe)
    train: Any = joined([_heard(recipe, form, read(name)) for name in chosen.train])
    test = validation = None
    if isinstance(chosen.test, float):
        kept, held = hold_out(len(train), chosen.test, TEST_SEED, _groups(recipe, train))
        train, test = taken(train, kept), taken(train, held)
    elif chosen.test:
        test = joined([_heard(recipe, form, read(name)) for name in chosen.test])
    if chosen.validation is not None:
        validation = joined([_heard(recipe, form, read(name)) for name in chosen.validation])
    test, validation = (each and relabelled(each, train.classes) for each in (test, validation))
    for key, each in (("train", train), ("validation", validation), ("test", test)):
        _require_labels(recipe, key, each)
    shared = _share_groups(train, test)
    by_example = shared or chosen.by == "example"
    if chosen.by == "example" and not shared and chosen.validation is None and train.groups is not None:
        _refuse(recipe, "by", "validation is drawn example by example, of groups that the test keeps apart")
    remarks = _remarks(recipe, shared)
    encoder = form.learn(train.texts) if isinstance(form, Tokens) else None
    train, validation, test = (_encoded(each, encoder) for each in (train, validation, test))
    return Material(train, validation, test, form, encoder, tuple(remarks), by_example)


def one(recipe: Recipe, split: str, known: Known, read: Callable[[str], Prepared]) -> Ready:
    """One split as a run of the recipe takes it: by its name in the catalog, or `test` for what the recipe means by it.

    Raises:
        InvalidError: the recipe has no test split.
        DlcatError: the split cannot be read.
    """
    if split == "test" and recipe.split.test != ["test"]:
        found = material(recipe, known.form, read).test
        if found is None:
            raise InvalidError(f"{recipe.at(('split', 'test'))}: the recipe has no test split")
        return found
    encoder = known.form.restore(known.encoder) if isinstance(known.form, Tokens) and known.encoder else None
    examples: Ready = _encoded(_heard(recipe, known.form, read(split)), encoder)
    return relabelled(examples, known.classes)


def _heard(recipe: Recipe, form: Form | None, found: Prepared) -> Any:
    """Sounds at the form's rate; everything else as it is."""
    if isinstance(found, SoundExamples):
        assert isinstance(form, Sounds), "the workspace asks for a form that fits before anything is read"
        return heard(found, form.rate_hertz, skip_bad=recipe.skip_bad)
    return found


def _encoded(examples: Any, encoder: Encoder | None) -> Any:
    """Texts as tokens; everything else as it is."""
    if not isinstance(examples, TextExamples):
        return examples
    assert encoder is not None
    tokens = encoder.encode(examples.texts)
    return Examples(
        tokens, examples.targets, examples.classes, examples.groups, examples.left_out, texts=examples.texts
    )


def _groups(recipe: Recipe, train: Any) -> np.ndarray[Any, Any] | None:
    """What a share keeps together.

    Raises:
        InvalidError: the recipe tears groups apart, and nobody allows it.
    """
    if train.groups is None or not np.any(train.groups):
        return None
    if recipe.split.by == "group":
        return np.asarray(train.groups)
    _refuse(recipe, "by", "the test would be drawn example by example, of which some belong together")
    return None


def _require_apart(recipe: Recipe) -> None:
    """Stop where one split is meant for two things.

    Raises:
        InvalidError: nobody allows it.
    """
    chosen = recipe.split
    test = set(chosen.test) if isinstance(chosen.test, list) else set()
    validation = set(chosen.validation or ())
    for key, shared in (("test", test & set(chosen.train)), ("validation", validation & (test | set(chosen.train)))):
        if shared:
            _refuse(recipe, key, f"{', '.join(sorted(shared))} serves another purpose, too")


def _require_labels(recipe: Recipe, key: str, examples: Any) -> None:
    """Stop where upstream does not tell what is to be predicted.

    Raises:
        InvalidError: of some examples it does not.
    """
    if examples is None:
        return
    targets = np.asarray(examples.targets)
    lacking = int(np.isnan(targets).sum() if targets.dtype.kind == "f" else (targets == NONE).sum())
    if lacking:
        hint = "split: {test: []} trains without a test" if key == "test" else ""
        raise InvalidError(
            f"{recipe.at(('split', key))}: upstream publishes no targets of {lacking} examples of these splits",
            hint=hint,
        )


def _refuse(recipe: Recipe, key: str, reason: str) -> None:
    if not recipe.split.allow_leak:
        raise InvalidError(
            f"{recipe.at(('split', key))}: {reason}: the result would be better than the network",
            hint="--allow-leak trains all the same, and the report says so",
        )


def _share_groups(train: Any, test: Any) -> bool:
    """Whether examples of one group are in both."""
    if test is None or train.groups is None or test.groups is None:
        return False
    return bool(np.intersect1d(train.groups[train.groups != 0], test.groups[test.groups != 0]).size)


def _remarks(recipe: Recipe, shared: bool) -> list[str]:
    remarks = ["the official test shares groups (speakers, recordings, authors) with training"] if shared else []
    if recipe.split.allow_leak:
        remarks.append("a leak was allowed: the result may be better than the network")
    return remarks
