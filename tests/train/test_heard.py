"""Stretches of sounds: in evaluation the middle, in training a place that seed and position decide."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlcat.inputs import Sounds
from dlcat.readers.ragged import Ragged
from dlcat.train.heard import Heard, cut, listening

CPU = torch.device("cpu")


def _heard(lengths: list[int], samples: int, crop: str = "random") -> Heard:
    values = np.concatenate([np.arange(1, length + 1) for length in lengths] or [np.zeros(0)]).astype(np.int16)
    return Heard(Ragged.of(values, np.array(lengths)), Sounds(8000, samples, crop, (1, samples)), CPU)  # type: ignore[arg-type]


@given(length=st.integers(0, 40), samples=st.integers(1, 40), share=st.floats(0, 1))
def test_a_stretch_is_a_part_of_the_sound_or_holds_all_of_it(length: int, samples: int, share: float) -> None:
    sound = np.arange(1, length + 1, dtype=np.int16)
    stretch = np.zeros(samples, np.int16)
    cut(sound, stretch, share)
    inside = stretch[stretch != 0]
    assert len(inside) == min(length, samples)
    assert np.array_equal(inside, sound[inside[0] - 1 :][: len(inside)] if len(inside) else inside)
    assert not np.any(np.diff(np.flatnonzero(stretch)) != 1)


def test_the_middle_is_heard_in_evaluation() -> None:
    heard = _heard([4, 8, 2], 4)
    assert heard[:].squeeze(1).tolist() == [[1, 2, 3, 4], [3, 4, 5, 6], [0, 1, 2, 0]]
    assert heard[torch.tensor([2, 0])].squeeze(1).tolist() == [[0, 1, 2, 0], [1, 2, 3, 4]]


def test_where_a_stretch_begins_follows_from_seed_and_position_alone() -> None:
    heard = _heard([100] * 50, 10)
    whole = next(heard.read([np.arange(50)], 7))
    parts = torch.cat(list(heard.read([np.arange(20), np.arange(20, 50)], 7)))
    assert torch.equal(whole, parts)
    assert not torch.equal(whole, next(heard.read([np.arange(50)], 8)))
    starts = whole[:, 0, 0]
    assert len(starts.unique()) > 20  # of 91 places, 50 sounds begin at about 38
    assert 20 < float(starts.float().mean()) < 72


def test_all_places_are_as_likely() -> None:
    heard = _heard([6], 4)
    first = [int(next(heard.read([np.array([0])], seed))[0, 0, 0]) for seed in range(600)]
    counts = np.bincount(first)[1:]
    assert len(counts) == 3
    assert counts.min() > 150


def test_the_middle_can_be_asked_for_in_training_too() -> None:
    heard = _heard([8], 4, crop="center")
    assert next(heard.read([np.array([0])], 3)).tolist() == [[[3, 4, 5, 6]]]


def test_what_is_heard_is_between_minus_one_and_one() -> None:
    form = Sounds(8000, 4, "random", (1, 4))
    stored = torch.tensor([[[-32768, 0, 16384, 32767]]], dtype=torch.int16)
    assert listening(form, CPU)(stored).tolist() == [[[-1, 0, 0.5, pytest.approx(1, abs=1e-4)]]]
