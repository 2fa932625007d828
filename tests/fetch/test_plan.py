"""A plan says what a fetch would do, reads the disk only, and becomes empty once the fetch is done."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from zlib import crc32

import pytest

from dlcat import locations
from dlcat.catalog.dataset import Member, Part, Size, Terms
from dlcat.fetch import terms
from dlcat.fetch.download.partial import Origin, adopt
from dlcat.fetch.fetch import fetch
from dlcat.fetch.plan import Estimate, estimate, plan
from dlcat.fetch.wire.health import Health

BODY = bytes(range(256)) * 5000
PACKED = gzip.compress(BODY)


@pytest.fixture
def dataset(make_artifact, make_dataset):
    total = Size(download=None, unpacked=len(BODY) + 5)
    return make_dataset(make_artifact("a.gz", PACKED, unpack="gz"), make_artifact("b.txt", b"plain"), size=total)


def test_a_plan_adds_up_and_touches_neither_network_nor_disk(dataset, store, server):
    made = plan(dataset, store)
    assert (made.dataset, made.access, made.license) == ("toy", "open", "CC0-1.0")
    assert [(each.file, each.state, each.unpacked) for each in made.artifacts] == [
        ("a.gz", "missing", False),
        ("b.txt", "missing", False),
    ]
    assert made.download_bytes == len(PACKED) + 5
    assert made.unpacked_bytes == len(BODY)  # the plain file is linked
    assert made.peak_bytes == made.download_bytes + made.unpacked_bytes
    assert made.sizes_known
    assert made.fits
    assert made.folder == store.data_path(dataset)
    assert not server.requests
    assert not store.locations.cache.exists()


def test_after_the_fetch_nothing_is_left_to_do(dataset, store):
    list(fetch(dataset, store))
    made = plan(dataset, store)
    assert (made.download_bytes, made.unpacked_bytes, made.peak_bytes) == (0, 0, 0)
    assert [(each.state, each.unpacked) for each in made.artifacts] == [("ok", True), ("ok", True)]


def test_force_plans_everything_again(dataset, store):
    list(fetch(dataset, store))
    assert plan(dataset, store, force=True).download_bytes == len(PACKED) + 5


def test_sources_are_the_mirrors_then_upstream(dataset, store):
    made = plan(dataset, store, mirror=("http://mirror/base/",))
    assert made.artifacts[0].sources == ("http://mirror/base/toy/a.gz", *dataset.artifacts[0].urls)


def test_data_by_hand_have_no_source_but_a_mirror(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("a b.bin", BODY), access="by-hand")
    assert plan(dataset, store).artifacts[0].sources == ()
    assert plan(dataset, store, mirror=("http://mirror",)).artifacts[0].sources == ("http://mirror/toy/a%20b.bin",)


def test_a_part_that_is_there_takes_no_new_room(dataset, store):
    artifact = dataset.artifacts[0]
    with adopt(store.notes_path(dataset), artifact.file, ("sha256",)) as partial:
        partial.begin(Origin("http://host", None, len(PACKED)))
        partial.path.write_bytes(PACKED[:100])
        partial.claim(partial.version, 0, 100, crc32(PACKED[:100]))
    made = plan(dataset, store)
    assert made.artifacts[0].state == "partial"
    assert made.artifacts[0].remaining_bytes == len(PACKED) - 100


def test_unknown_sizes_are_said_to_be_unknown(make_artifact, make_dataset, store):
    made = plan(make_dataset(make_artifact("a.tgz", BODY, size=None, unpack="tar")), store)
    assert (made.download_bytes, made.unpacked_bytes, made.sizes_known) == (0, None, False)


def test_what_is_listed_inside_tells_the_size(make_artifact, make_dataset, store):
    listed = [Member(path="a", size=len(BODY))]
    made = plan(make_dataset(make_artifact("a.gz", PACKED, unpack="gz", contents=listed)), store)
    assert (made.unpacked_bytes, made.sizes_known) == (len(BODY), True)


def test_parts_are_planned_alone(make_artifact, make_dataset, store):
    artifacts = [make_artifact("s", b"1", part="small"), make_artifact("l", b"22", part="large")]
    dataset = make_dataset(*artifacts, parts={"small": Part(note="s", default=True), "large": Part(note="l")})
    assert [each.file for each in plan(dataset, store).artifacts] == ["s"]
    assert [each.file for each in plan(dataset, store, parts=("large",)).artifacts] == ["l"]
    assert plan(dataset, store, parts=("all",)).download_bytes == 3


# --- time, at the ledger's speeds

EARLY, LATE = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
SLOW, FAST, UNKNOWN = (f"https://{name}.example.org/a.zip" for name in ("slow", "fast", "unknown"))


@pytest.fixture
def ledger(store):
    """Two hosts whose speeds are known."""
    Health(store.health_path, lambda: EARLY).ok(SLOW, 10**8, 100.0)
    Health(store.health_path, lambda: LATE).ok(FAST, 10**8, 10.0)


def test_the_time_is_that_of_the_first_sources_one_file_after_the_other(store, ledger):
    found = estimate([(3 * 10**6, (SLOW, FAST)), (10**7, (FAST,)), (0, (UNKNOWN,))], store)
    assert found == Estimate(
        seconds=4.0,
        bytes_per_second=13e6 / 4,
        hosts=("slow.example.org", "fast.example.org"),
        seen="2026-03-01T00:00:00.000+00:00",
        complete=True,
    )


@pytest.mark.parametrize("left_out", [(10**6, (UNKNOWN,)), (None, (FAST,)), (10**6, ())])
def test_what_is_left_out_of_the_time_is_said_to_be(store, ledger, left_out):
    found = estimate([(10**7, (FAST,)), left_out], store)
    assert (found.seconds, found.hosts, found.complete) == (1.0, ("fast.example.org",), False)


@pytest.mark.parametrize("downloads", [[], [(0, (FAST,))], [(1, (UNKNOWN,))], [(1, ("package:numpy/a.npy",))]])
def test_no_time_is_told_where_nothing_is_known(store, ledger, downloads):
    assert estimate(downloads, store) is None


def test_a_file_inside_a_package_takes_no_time(store, ledger):
    assert estimate([(10**7, (FAST,)), (5, ("package:numpy/a.npy",))], store).complete


def test_a_fetch_teaches_the_plan_of_the_next(make_artifact, make_dataset, store, server):
    dataset = make_dataset(make_artifact("a.bin", bytes(200_000)))
    assert plan(dataset, store).estimate is None
    list(fetch(dataset, store))
    assert plan(dataset, store).estimate is None  # nothing is left to travel
    store.artifact_path(dataset, dataset.artifacts[0]).unlink()
    found = plan(dataset, store).estimate
    assert found.hosts == (server.url.removeprefix("http://"),)
    assert found.seconds * found.bytes_per_second == pytest.approx(200_000)


def test_a_source_that_gave_wrong_bytes_is_planned_last(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("a.bin", BODY, urls=[SLOW, FAST]))
    Health(store.health_path).failed(SLOW, "a login page", "wrong bytes")
    assert plan(dataset, store).artifacts[0].sources == (FAST, SLOW)


# --- terms


def test_a_plan_says_what_must_be_agreed_to_and_whether_it_was(dataset, make_dataset, store, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    asking = make_dataset(
        *dataset.artifacts, terms=Terms(text="Research only.", required=True, provenance="made up here")
    )
    found = plan(asking, store).terms
    assert (found.text, found.url, found.required, found.accepted, found.changed) == (
        "Research only.", None, True, None, False,
    )  # fmt: skip
    consent = terms.accept(asking, locations.consents_file(), who="Jane")
    assert plan(asking, store).terms.accepted == consent
    assert plan(dataset, store).terms is None
