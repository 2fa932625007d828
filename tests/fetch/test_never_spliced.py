"""Whatever happens on the way, in whatever order: the right file, or a clear failure; never one file made of two.

A history is a list of tries. In each the server does something else wrong with every request, the reader may go away,
and between two tries the file may be replaced.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlcat.catalog.dataset import Artifact
from dlcat.errors import UnreachableError, VerificationError
from dlcat.fetch.download import crew
from dlcat.fetch.fetch import fetch
from dlcat.fetch.store import Store
from dlcat.fetch.wire.network import Network
from dlcat.locations import Locations
from dlcat.testing import FaultServer, Impatient, faults

VERSIONS = [Random(number).randbytes(size) for number, size in enumerate((200_000, 200_000, 200_000, 150_001))]
"""Three of one length, so that a splice has the right length, too."""

offsets = st.integers(0, 220_000)
honest_faults = st.one_of(
    st.just(faults.ok),
    st.builds(faults.drop_after, offsets),
    st.builds(faults.reset_after, offsets),
    st.builds(faults.length_off_by, st.integers(0, 1000)),
    st.builds(faults.short_range, st.integers(1, 100_000)),
    st.builds(faults.shifted_range, st.integers(-100, 100)),
    st.builds(faults.wrong_total, st.integers(-100, 100)),
    st.builds(faults.status, st.sampled_from([404, 416, 429, 500, 503])),
    st.sampled_from(
        [
            faults.hang_up,
            faults.close_delimited,
            faults.chunked,
            faults.changing_etag,
            faults.weak_etag,
            faults.no_etag,
            faults.no_validators,
            faults.if_range_ignored,
            faults.ranges_ignored,
            faults.no_content_range,
            faults.multipart_range,
            faults.unsatisfiable,
            faults.login_page,
            faults.captive_portal,
        ]
    ),
)
"""What a server may do without lying about a byte."""
every_fault = st.one_of(
    honest_faults,
    st.builds(faults.flip_byte, st.integers(0, 149_999)),
    st.builds(faults.length_off_by, st.integers(-1000, -1)),
)
"""And lies that only a checksum can tell."""


@dataclass(frozen=True)
class Try:
    """One fetch: which version is served, what goes wrong with each request, after how many records the reader goes."""

    version: int
    schedule: list
    leaves_after: int | None


def histories(fault):
    tries = st.builds(
        Try,
        version=st.integers(0, len(VERSIONS) - 1),
        schedule=st.lists(st.one_of(fault, st.builds(lambda a, b: a & b, fault, fault)), min_size=1, max_size=4),
        leaves_after=st.none() | st.integers(1, 6),
    )
    return st.lists(tries, min_size=1, max_size=4)


@pytest.fixture(scope="module")
def server():
    with FaultServer({"a.bin": VERSIONS[0]}) as running:
        yield running


@pytest.fixture(autouse=True)
def _many_connections_for_little(monkeypatch):
    """Several connections take part although the file is small."""
    monkeypatch.setattr(crew, "SPLIT_BYTES", 10_000)
    monkeypatch.setattr(crew, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(crew, "TICK_SECONDS", 0.002)
    monkeypatch.setattr(crew, "CLAIM_BYTES", 5_000)


@pytest.fixture
def new_store(tmp_path):
    numbers = count()
    return lambda: Store(Locations(catalogs=(), recipes=(), cache=tmp_path / str(next(numbers)), runs=tmp_path))


def play(server, dataset, store, history):
    """Go through the tries; returns what is in the store after each."""
    seen = []
    for turn in history:
        server.replace("a.bin", VERSIONS[turn.version])
        server.schedule("a.bin", *turn.schedule)
        records = fetch(dataset, store, network=Network(random=Impatient(), retries=2))
        with suppress(UnreachableError, VerificationError):
            for number, _ in enumerate(records):
                if number == turn.leaves_after:
                    break
        records.close()
        path = store.artifact_path(dataset, dataset.artifacts[0])
        seen.append(path.read_bytes() if path.exists() else None)
    return seen


LAW = settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.slow
@LAW
@given(history=histories(every_fault))
def test_with_a_checksum_only_the_right_file_is_ever_published(server, make_dataset, new_store, history):
    digest = hashlib.sha256(VERSIONS[0]).hexdigest()
    artifact = Artifact(
        file="a.bin", urls=[server.url("a.bin")], size=None, checksums={"sha256": digest}, provenance="made here"
    )
    dataset, store = make_dataset(artifact), new_store()
    assert set(play(server, dataset, store, history)) <= {None, VERSIONS[0]}
    assert play(server, dataset, store, [Try(0, [faults.ok], None)]) == [VERSIONS[0]]
    assert store.is_installed(dataset)
    assert store.partials(dataset, artifact) == []


@pytest.mark.slow
@LAW
@given(history=histories(honest_faults))
def test_without_a_checksum_it_is_one_version_as_it_was_served(server, make_dataset, new_store, history):
    artifact = Artifact(file="a.bin", urls=[server.url("a.bin")], size=None, checksums={}, provenance="")
    dataset, store = make_dataset(artifact), new_store()
    assert set(play(server, dataset, store, history)) <= {None, *VERSIONS}
    last = play(server, dataset, store, [Try(3, [faults.ok], None)])[0]
    assert last in VERSIONS
    assert store.is_installed(dataset)
