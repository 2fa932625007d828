"""Few labels: as many of each class, by the seed, in every batch their share, and the others unknown to all that learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import InvalidError
from dlcat.readers import Examples
from dlcat.train import experiment
from dlcat.train.batches import Batches, steps_per_epoch
from dlcat.train.beside import beside
from dlcat.train.distributed import ALONE
from dlcat.train.division import balanced
from dlcat.train.labelled import UNLABELLED, PartlyLabelled
from dlcat.train.material import Material
from dlcat.train.placing import told
from dlcat.train.splits import splits_of
from dlcat.workspace import Workspace


@given(
    targets=st.lists(st.integers(0, 4), min_size=1, max_size=120).map(np.array),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=100)
def test_a_balanced_draw_has_as_many_of_each_class_as_there_are(
    targets: np.ndarray[tuple[int], np.dtype[np.int64]], share: float, seed: int
) -> None:
    number = round(share * len(targets))
    drawn = balanced(targets, number, seed)
    assert len(set(drawn.tolist())) == number
    assert list(drawn) == sorted(drawn)
    counts, all_counts = (np.bincount(each, minlength=5) for each in (targets[drawn], targets))
    for own, there in zip(counts, all_counts, strict=True):
        assert own == there or own >= counts.max() - 1  # all of them, or as many as of any other class
    assert np.array_equal(balanced(targets, number, seed), drawn)


def _split(place: Workspace, *overrides: str) -> tuple[Batches, Examples]:
    recipe = place.recipe("digits_quickstart", overrides)
    examples = place.examples(place.catalog["digits"], "train")
    assert isinstance(examples, Examples)
    return splits_of(recipe, Material(examples, test=examples), experiment.device_for(recipe, "cpu")).train, examples


def test_only_so_many_labels_are_left_and_they_are_true(place: Workspace) -> None:
    whole, _ = _split(place)
    train, _ = _split(place, "train.labelled={examples: 100}")
    known = train.targets != UNLABELLED
    assert known.sum() == 100
    assert torch.equal(train.targets[known], whole.targets[known])
    assert torch.equal(torch.as_tensor(train.inputs[:]), torch.as_tensor(whole.inputs[:]))
    assert told(train.targets, 10) == {"class_counts": [10] * 10}
    other, _ = _split(place, "train.labelled={examples: 100}", "train.seed=1", "train.validation=0")
    assert told(other.targets, 10) == {"class_counts": [10] * 10}


@pytest.mark.parametrize(("batch_size", "count"), [(64, 16), (10, 2), (2, 1), (1, 1)])
def test_every_batch_has_its_share_of_labels_and_all_examples_come(
    place: Workspace, batch_size: int, count: int
) -> None:
    train, _ = _split(place, "train.labelled={examples: 100, share: 0.25}")
    batches = list(train.shuffled(batch_size, torch.Generator().manual_seed(0), lambda inputs, _: inputs))
    assert len(batches) == steps_per_epoch(len(train), batch_size)
    assert train.labelled_of(batch_size) == count
    for batch in batches:
        assert len(batch) == batch_size
        assert int((train.targets[batch.positions] != UNLABELLED).sum()) == count
    met = torch.bincount(torch.cat([batch.positions for batch in batches]), minlength=len(train))
    for kind in (train.targets != UNLABELLED, train.targets == UNLABELLED):
        assert met[kind].max() - met[kind].min() <= 1


def test_what_is_left_of_an_epoch_is_its_end(place: Workspace) -> None:
    train, _ = _split(place, "train.labelled={examples: 100}")
    whole, rest = (
        list(train.shuffled(64, torch.Generator().manual_seed(5), lambda inputs, _: inputs, first=first))
        for first in (0, 3)
    )
    assert all(torch.equal(one.positions, other.positions) for one, other in zip(whole[3:], rest, strict=True))


def test_labels_are_spread_over_the_pieces_and_the_processes(place: Workspace) -> None:
    train, _ = _split(place, "train.labelled={examples: 100, share: 0.25}")
    two = replace(ALONE, size=2)
    batch = next(iter(train.shuffled(64, torch.Generator(), lambda inputs, _: inputs, world=two)))
    for _, targets in batch.pieces(8):
        assert int((targets != UNLABELLED).sum()) == 2


def test_the_baseline_learns_from_the_same_labels(place: Workspace) -> None:
    _, examples = _split(place)
    recipe = place.recipe("digits_quickstart", ("train.labelled={examples: 100}",))
    found = beside(recipe, Material(examples, test=examples))
    assert found is not None
    assert found["examples"] == 100


def test_all_labels_are_the_split_itself(place: Workspace) -> None:
    whole, _ = _split(place)
    train, _ = _split(place, f"train.labelled={{examples: {len(whole)}}}")
    assert not isinstance(train, PartlyLabelled)


def test_more_labels_than_examples_are_refused(place: Workspace) -> None:
    with pytest.raises(InvalidError, match=r"train\.labelled: expected at most \d+ examples, .* found 5000"):
        _split(place, "train.labelled={examples: 5000}")


def test_mixed_targets_need_labels(place: Workspace) -> None:
    recipe = place.recipe("digits_quickstart", ("train.labelled={examples: 50}", "mix=[mixup]"))
    with pytest.raises(InvalidError, match="mix: mixes targets, which not all examples have"):
        experiment.build_model(recipe, (1, 8, 8), 10)
