"""Patterns say which members a slice takes, and a sample is the same everywhere."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import UsageError
from dlcat.fetch.slices.chosen import Selection, matcher, near

PATHS = [
    "README",
    "checksums",
    "small/000/000002.mp3",
    "small/000/deep/000003.mp3",
    "small/001/001486.mp3",
    "small/001/notes[1].txt",
    "meta/tracks.csv",
]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("small/000/*", PATHS[2:4]),
        ("small/000", PATHS[2:4]),
        ("./small/000/", PATHS[2:4]),
        ("small/*/*.mp3", [PATHS[2], PATHS[4]]),
        ("small/**/*.mp3", PATHS[2:5]),
        ("**/*.mp3", PATHS[2:5]),
        ("*.mp3", PATHS[2:5]),
        ("tracks.csv", [PATHS[6]]),
        ("/README", ["README"]),
        ("/tracks.csv", []),
        ("small/00[1-9]/*", PATHS[4:6]),
        ("small/00[!1]/*", PATHS[2:4]),
        ("small/001/notes[[]1].txt", [PATHS[5]]),
        ("small/00?", PATHS[2:6]),
        ("small?000", []),
        ("small[/]000", []),
        ("SMALL", []),
        ("mall/000/*", []),
        ("[", []),
        ("[z-a]", []),
        ("a.c", []),
    ],
)
def test_a_pattern_takes_what_it_matches_and_all_below(pattern, expected):
    assert Selection((pattern,)).taken(PATHS) == expected


def test_one_of_several_patterns_is_enough_and_none_takes_all():
    assert Selection(("README", "*.csv")).taken(PATHS) == ["README", "meta/tracks.csv"]
    assert Selection().taken(PATHS) == PATHS


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30), st.text(alphabet="ab/*?[]!-.^\\", max_size=20))
def test_no_pattern_and_no_path_is_too_strange_to_compare(path, pattern):
    assert matcher((pattern,))(path) in (True, False)


@given(st.lists(st.sampled_from("abc.-"), min_size=1, max_size=8).map("".join))
@settings(max_examples=30, deadline=None)
def test_a_path_without_special_signs_matches_itself(path):
    assert matcher((path,))(path)
    assert matcher((path,))(f"folder/{path}/below")


def test_a_sample_is_the_same_in_every_order_and_part_of_every_larger_one():
    paths = [f"class{number % 10}/{number}.png" for number in range(1000)]
    shuffled = Random(1).sample(paths, len(paths))
    small, large = Selection((), 20).taken(paths), Selection((), 200).taken(paths)
    assert small == Selection((), 20).taken(shuffled)
    assert set(small) < set(large)
    assert len(large) == 200
    assert len({path.partition("/")[0] for path in large}) == 10
    assert Selection((), 3).taken(paths) == ["class0/10.png", "class4/414.png", "class7/57.png"]  # by sha256sum


def test_a_sample_larger_than_all_is_all():
    assert sorted(Selection((), 100).taken(PATHS)) == sorted(PATHS)


@pytest.mark.parametrize("selection", [Selection(("/",)), Selection(("",)), Selection(("../a",)), Selection((), 0)])
def test_what_can_mean_nothing_is_refused(selection):
    with pytest.raises(UsageError):
        selection.require_sense()


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("smal/000/*", "did you mean 'small'?"),
        ("small/002/*", "did you mean '001'? (in small/)"),
        ("small/xyz/*", "small/ holds 000, 001"),
        ("track.csv", "holds README, checksums, meta, small"),
    ],
)
def test_the_hint_names_what_is_there_where_the_pattern_leads_away(pattern, hint):
    assert hint in near(pattern, PATHS)
