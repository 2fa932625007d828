"""A plan says what a fetch would do, reads the disk only, and becomes empty once the fetch is done."""

from __future__ import annotations

import gzip
from zlib import crc32

import pytest

from dlcat.catalog.dataset import Member, Part, Size
from dlcat.fetch.fetch import fetch
from dlcat.fetch.partial import Origin, adopt
from dlcat.fetch.plan import plan

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
