"""Which bytes of a zip must travel: those of the members, once, in long stretches, shared among connections."""

from __future__ import annotations

import zipfile
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import VerificationError
from dlcat.fetch.slices.zip import GAP_BYTES, SHARE_BYTES, Member, list_members, local_version, shares, spans
from dlcat.fetch.unpack import Budget

LIMIT = Budget(10**9)
SIZE = 40 * GAP_BYTES
places = st.integers(0, SIZE // 1000).map(lambda number: number * 1000)
stretches = st.lists(st.tuples(places, places).map(lambda pair: (min(pair), max(pair))), max_size=8)


def disjoint(found):
    """Sorted, merged: what the gaps of a partial look like."""
    merged = []
    for start, end in sorted(found):
        if start == end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def covers(found, place):
    return any(start <= place < end for start, end in found)


@settings(max_examples=60, deadline=None)
@given(stretches, stretches)
def test_what_travels_is_what_the_members_need_and_is_not_here(wanted, gaps):
    gaps = disjoint(gaps)
    found = spans([Member(str(number), 0, span) for number, span in enumerate(wanted)], gaps, SIZE)
    assert all(one[1] <= two[0] for one, two in pairwise(found))
    for start, end in wanted:
        for place in range(start, end, 1000):
            assert covers(found, place) == covers(gaps, place)
    needed = sum(end - start for start, end in disjoint(wanted))
    assert sum(end - start for start, end in found) <= needed + GAP_BYTES * len(wanted)


def test_the_last_gap_may_have_no_end():
    assert spans([Member("a", 0, (10, 90))], [(50, None)], 100) == [(50, 90)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 3 * SHARE_BYTES), max_size=5), st.integers(1, 8))
def test_shares_are_the_same_bytes_in_no_smaller_pieces_than_are_worth_it(lengths, connections):
    wanted = [(number * 10**9, number * 10**9 + length) for number, length in enumerate(lengths)]
    found = shares(wanted, connections)
    assert disjoint(found) == disjoint(wanted)
    assert sum(end - start for start, end in found) == sum(lengths)
    assert len(found) <= len(wanted) + connections
    assert all(end - start >= SHARE_BYTES // 2 for start, end in found if (start, end) not in wanted)


def test_members_are_listed_from_the_directory_alone(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("folder")
        archive.writestr("folder/b.txt", b"b" * 5000)
        archive.writestr("folder/a.txt", b"a" * 7000)
        archive.writestr("__MACOSX/._a.txt", b"x")
    before = local_version(path)
    found = list_members(path, LIMIT)
    assert [(member.path, member.size_bytes) for member in found] == [("folder/b.txt", 5000), ("folder/a.txt", 7000)]
    assert found[0].span[1] == found[1].span[0]
    with open(path, "rb+") as stream:  # what a far archive looks like here
        stream.write(bytes(found[1].span[1]))
    assert list_members(path, LIMIT) == found
    assert local_version(path) == before


def test_an_empty_zip_has_no_members(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    assert list_members(tmp_path / "a.zip", LIMIT) == []


def test_a_member_is_not_believed_to_reach_far_beyond_its_length(tmp_path):
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as archive:
        archive.writestr("a", b"a")
        archive.fp.write(bytes(1_000_000))
        archive.start_dir = archive.fp.tell()
        archive.writestr("b", b"b")
    first, _ = list_members(tmp_path / "inner.zip", LIMIT)
    assert first.span[1] < 200_000


@pytest.mark.parametrize("content", [b"", b"PK\5\6" + b"\xff" * 18, b"no zip at all"])
def test_what_is_no_zip_is_damaged(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    for look in (local_version, lambda path: list_members(path, LIMIT)):
        with pytest.raises(VerificationError, match="damaged"):
            look(tmp_path / "a.zip")
