"""A partial survives a kill at any byte: what is claimed is there, what is not is asked for again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import pairwise
from multiprocessing.pool import ThreadPool
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat import catalog
from dlcat.fetch.download.owner import give_up, is_orphan, is_owner, new_owner
from dlcat.fetch.download.partial import Origin, adopt, claimed_bytes, partials

BODY = bytes(range(256)) * 8
ORIGIN = Origin("http://host/a.bin", '"v1"', len(BODY))


def put(partial, start, end, content=BODY):
    with open(partial.path, "rb+") as stream:
        stream.seek(start)
        stream.write(content[start:end])
    partial.claim(partial.version, start, end, crc32(BODY[start:end]))


def opened(folder):
    return adopt(folder, "a.bin", ("sha256", "md5"))


@settings(deadline=None, max_examples=60)
@given(
    cuts=st.lists(st.integers(1, len(BODY) - 1), max_size=8), order=st.randoms(use_true_random=False), data=st.data()
)
def test_whatever_is_claimed_in_whatever_order_the_rest_is_the_gaps(tmp_path_factory, cuts, order, data):
    folder = tmp_path_factory.mktemp("partial")
    edges = sorted({0, *cuts, len(BODY)})
    spans = list(pairwise(edges))
    order.shuffle(spans)
    there = data.draw(st.integers(0, len(spans)))
    with opened(folder) as partial:
        partial.begin(ORIGIN)
        for start, end in spans[:there]:
            put(partial, start, end)
    with opened(folder) as partial:
        assert partial.received_bytes == sum(end - start for start, end in spans[:there])
        if there:
            assert partial.origin == ORIGIN
        else:
            partial.begin(ORIGIN)
        missing = {position for start, end in partial.gaps() for position in range(start, end)}
        assert missing == {position for start, end in spans[there:] for position in range(start, end)}
        for start, end in partial.gaps():
            put(partial, start, end)
        assert partial.wait_until_read(10)
        assert partial.gaps() == []
        assert partial.digests() == {name: hashlib.new(name, BODY).hexdigest() for name in ("sha256", "md5")}


@pytest.mark.parametrize("lost", range(0, 120, 7))
def test_claims_cut_short_anywhere_claim_less_and_nothing_else(tmp_path, lost):
    with opened(tmp_path) as partial:
        partial.begin(ORIGIN)
        for start in range(0, len(BODY), 256):
            put(partial, start, start + 256)
        claims = partial.path.with_name("claims")
    with open(claims, "rb+") as stream:
        stream.truncate(max(0, claims.stat().st_size - lost))
    with opened(tmp_path) as partial:
        assert partial.received_bytes <= len(BODY)
        if partial.origin is None:
            partial.begin(ORIGIN)
        for start, end in partial.gaps():
            put(partial, start, end)
        assert partial.wait_until_read(10)
        assert partial.digests()["sha256"] == hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"[]",
        b"[1]",
        b"[5, 2, 1]",
        b"[-5, 2, 1]",
        b"[0, 99999999, 1]",
        b'{"source": 1}',
        b"[1e5, 2, 3]",
        b"\xff",
    ],
)
def test_strange_claims_are_no_claims(tmp_path, line):
    with opened(tmp_path) as partial:
        partial.begin(ORIGIN)
        put(partial, 0, 256)
        claims = partial.path.with_name("claims")
    with open(claims, "ab") as stream:
        stream.write(line + b"\n")
    with opened(tmp_path) as partial:
        assert partial.received_bytes in (0, 256)


def test_bytes_without_the_crc_of_their_claim_are_a_gap_again(tmp_path):
    with opened(tmp_path) as partial:
        partial.begin(ORIGIN)
        put(partial, 0, 256)
        put(partial, 256, 512, bytes(len(BODY)))
        put(partial, 512, len(BODY))
        assert partial.wait_until_read(10)
        assert partial.gaps() == [(256, 512)]
    with opened(tmp_path) as partial:
        assert partial.gaps() == [(256, 512)] or partial.gaps()[0] == (0, 256)
        assert 256 <= partial.received_bytes <= len(BODY) - 256


def test_what_was_meant_for_an_older_version_is_not_taken(tmp_path):
    with opened(tmp_path) as partial:
        partial.begin(ORIGIN)
        old_version, old_file = partial.version, open(partial.path, "rb+")  # noqa: SIM115
        partial.begin(Origin("http://host/a.bin", '"v2"', len(BODY)))
        old_file.write(b"old")
        old_file.close()
        partial.claim(old_version, 0, 3, crc32(b"old"))
        assert partial.gaps() == [(0, len(BODY))]
        assert partial.path.read_bytes() == b""


def test_nobody_takes_what_another_one_works_on(tmp_path):
    with opened(tmp_path) as first:
        first.begin(ORIGIN)
        put(first, 0, 256)
        with opened(tmp_path) as second:
            assert second.received_bytes == 0
            assert len(partials(tmp_path, "a.bin")) == 2
    with opened(tmp_path) as third:
        assert third.received_bytes == 256


def test_of_what_the_dead_left_the_fullest_is_taken_and_the_rest_removed(tmp_path):
    one, two = opened(tmp_path), opened(tmp_path)
    for partial, end in ((one, 256), (two, 512)):
        with partial:
            partial.begin(ORIGIN)
            put(partial, 0, end)
    with opened(tmp_path) as partial:
        assert partial.received_bytes == 512
        assert partials(tmp_path, "a.bin") == [partial.path.parent]
        assert claimed_bytes(partial.path.parent) == 512


def test_many_at_once_share_nothing(tmp_path):
    with opened(tmp_path) as partial:
        partial.begin(ORIGIN)
        put(partial, 0, 256)
    with ThreadPool(8) as pool:
        found = pool.map(lambda _: opened(tmp_path), range(16))
    assert len({partial.path for partial in found}) == 16
    assert sum(partial.received_bytes for partial in found) == 256
    for partial in found:
        with partial:
            pass


def test_an_empty_partial_leaves_nothing(tmp_path):
    with opened(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_files_whose_names_begin_alike_are_kept_apart(tmp_path):
    with adopt(tmp_path, "a.bin.part", ("sha256",)) as partial:
        partial.begin(ORIGIN)
        put(partial, 0, 256)
        assert partials(tmp_path, "a.bin") == []
        assert len(partials(tmp_path, "a.bin.part")) == 1


def test_the_owner_of_a_process_that_ended_is_an_orphan(tmp_path):
    script = "from dlcat.fetch.download.owner import new_owner; print(new_owner())"
    environment = os.environ | {"PYTHONPATH": str(Path(catalog.__file__).parents[2])}
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()
    assert is_owner(found)
    assert is_orphan(found, tmp_path)


def test_an_owner_is_alive_until_it_is_given_up(tmp_path):
    owner = new_owner()
    assert not is_orphan(owner, tmp_path)
    give_up(owner)
    assert is_orphan(owner, tmp_path)


def test_a_process_number_that_is_used_again_does_not_mislead(tmp_path):
    owner = new_owner()
    pid, _, rest = owner.partition("-")
    assert is_orphan(f"{pid}-1-{rest.split('-')[1]}", tmp_path) is os.path.exists("/proc/self/stat")


def test_what_another_machine_left_is_taken_only_after_a_while(tmp_path):
    owner = new_owner().partition("@")[0] + "@elsewhere"
    claims = tmp_path / "claims"
    claims.touch()
    assert not is_orphan(owner, claims)
    os.utime(claims, (1, 1))
    assert is_orphan(owner, claims)
