"""Collecting garbage: what nobody will use again goes, and nothing else; what a live process works on stays."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.catalog.dataset import Artifact
from dlcat.errors import DiskError
from dlcat.fetch.care.collect import Garbage, chosen, collect, garbage, holdings
from dlcat.fetch.care.verify import verify
from dlcat.fetch.download.owner import ABANDONED_SECONDS, give_up, new_owner
from dlcat.fetch.download.partial import adopt
from dlcat.fetch.fetch import fetch
from dlcat.fetch.store import Store
from dlcat.locations import Locations
from dlcat.testing import FaultServer, faults

BODY = bytes(range(256)) * 40
PROJECT = Path(__file__).resolve().parents[3]
ELSEWHERE = "1-1-00000000@another-machine"
LATER = datetime.now(UTC) + timedelta(seconds=2 * ABANDONED_SECONDS)


def found_in(store, *, known=("toy",), current=lambda name: None, **options):
    return list(garbage(store, known, current, **options))


def tree(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def fill(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def partial_of(store, owner, name="toy", file="a.bin"):
    return fill(store.locations.artifacts / name / ".dlcat" / f"{file}.{owner}.part", bytes=BODY, claims=b"\n")


def staging_of(store, owner, name="toy"):
    return fill(store.locations.data / name / ".dlcat" / f"staging.{owner}", files=BODY)


def arrays(store, folder, name="toy"):
    return fill(store.locations.prepared / name / folder, **{"inputs.npy": BODY, "meta.json": b"{}"})


MAKERS = {"partial": partial_of, "staging": staging_of}
each_maker = pytest.mark.parametrize("kind", MAKERS)


@pytest.fixture
def live():
    """The owner's name of another process that lives as long as the test, or until `end` is called."""
    code = (
        "import sys; from dlcat.fetch.download.owner import new_owner; print(new_owner(), flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )
    owner = process.stdout.readline().strip()

    def end():
        process.kill()
        process.communicate()

    yield owner, end
    if process.poll() is None:
        end()


@pytest.fixture
def dead():
    """The owner's name of work that this process has given up."""
    owner = new_owner()
    give_up(owner)
    return owner


@each_maker
def test_what_another_process_works_on_is_no_garbage_until_it_has_ended(kind, store, live):
    owner, end = live
    path = MAKERS[kind](store, owner)
    assert found_in(store) == []
    end()
    (found,) = found_in(store)
    assert (found.dataset, found.kind, found.paths) == ("toy", kind, (path,))
    assert found.size_bytes == len(BODY) + (1 if kind == "partial" else 0)
    assert abs(datetime.now(UTC) - found.changed) < timedelta(minutes=10)


@each_maker
def test_what_this_process_works_on_is_no_garbage_until_it_is_given_up(kind, store):
    owner = new_owner()
    path = MAKERS[kind](store, owner)
    assert found_in(store) == []
    give_up(owner)
    found = found_in(store)
    assert [each.paths for each in found] == [(path,)]
    assert list(collect(found, store)) == found
    assert not list(path.parent.iterdir())


@each_maker
def test_what_another_machine_works_on_is_no_garbage_until_it_was_left_alone(kind, store):
    path = MAKERS[kind](store, ELSEWHERE)
    assert found_in(store) == []
    for each in (path, *path.iterdir()):
        os.utime(each, (0, 0))
    assert [each.paths for each in found_in(store)] == [(path,)]


@each_maker
def test_what_is_no_owners_name_is_not_touched(kind, store):
    MAKERS[kind](store, "nobody")
    fill(store.locations.artifacts / "toy" / ".dlcat", **{"b.part": BODY, "a.bin.json": b"{}"})
    assert found_in(store, now=LATER) == []


def test_a_download_that_somebody_goes_on_with_meanwhile_is_left_to_them(store, dead):
    partial_of(store, dead)
    found = found_in(store)
    notes = store.locations.artifacts / "toy" / ".dlcat"
    with adopt(notes, "a.bin", ("sha256",)) as partial:
        assert list(collect(found, store)) == []
        assert partial.path.read_bytes() == BODY


@each_maker
def test_of_many_who_collect_the_same_one_does(kind, store, dead):
    MAKERS[kind](store, dead)
    found = found_in(store)
    removed: list[Garbage] = []
    threads = [Thread(target=lambda: removed.extend(collect(found, store))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert removed == found
    assert found_in(store) == []


def test_a_killed_download_is_collected_and_fetched_anew(make_dataset, store, tmp_path):
    body = BODY * 400
    with FaultServer({"a.bin": body}, {"a.bin": [faults.stall_after(2_000_000), faults.ok]}) as server:
        digest = hashlib.sha256(body).hexdigest()
        toy = Artifact(
            file="a.bin", urls=[server.url("a.bin")], size=len(body), checksums={"sha256": digest}, provenance="here"
        )
        dataset = make_dataset(toy)
        script = tmp_path / "script.py"
        script.write_text(
            "import pickle, sys\nfrom dlcat.fetch.fetch import fetch\nfrom dlcat.fetch.wire.network import Network\n"
            "dataset, store = pickle.loads(sys.stdin.buffer.read())\n"
            "list(fetch(dataset, store, network=Network(connections=1)))\n"
        )
        import pickle

        process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(PROJECT)}
        )
        process.stdin.write(pickle.dumps((dataset, store)))
        process.stdin.close()
        server.wait_stalled(1)
        assert found_in(store) == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = found_in(store)
        assert [each.kind for each in found] == ["partial"]
        assert store.state(dataset, toy) == "partial"
        assert list(collect(found, store)) == found
        assert store.state(dataset, toy) == "missing"
        list(fetch(dataset, store))
        assert store.is_installed(dataset)


# --- leftovers, prepared arrays


@pytest.mark.parametrize(
    "place",
    [
        "artifacts/toy/.dlcat/a.bin.77.import",
        "artifacts/toy/.dlcat/a.bin.json.77.new",
        "data/toy/.dlcat/a.bin.jsonl.77.new",
    ],
)
def test_a_file_that_was_never_finished_is_garbage_after_an_hour(place, store):
    path = store.locations.cache / place
    fill(path.parent, **{path.name: BODY})
    assert found_in(store) == []
    (found,) = found_in(store, now=LATER)
    assert (found.kind, found.paths, found.size_bytes) == ("leftover", (path,), len(BODY))
    assert list(collect([found], store)) == [found]
    assert not path.exists()
    assert list(collect([found], store)) == []


def test_decoding_that_broke_off_is_garbage_after_an_hour(store):
    path = arrays(store, ".train-abc.77")
    assert found_in(store) == []
    (found,) = found_in(store, now=LATER)
    assert found.paths == (path,)
    list(collect([found], store))
    assert list(path.parent.iterdir()) == []


def test_files_of_the_data_are_never_taken_for_leftovers(store):
    fill(store.locations.data / "toy", **{"a.77.new": BODY, "b.77.import": BODY, "c.part": BODY})
    fill(store.locations.artifacts / "toy", **{"a.77.new": BODY})
    assert found_in(store, now=LATER) == []


def test_arrays_made_from_other_bytes_are_garbage(store):
    stale, kept = arrays(store, "train-old"), arrays(store, "train-new")
    found = found_in(store, current={"toy": {"train-new", "test-new"}}.get)
    assert [(each.kind, each.paths) for each in found] == [("prepared", (stale,))]
    list(collect(found, store))
    assert list(stale.parent.iterdir()) == [kept]


def test_arrays_stay_where_it_cannot_be_told_what_they_are_from(store):
    arrays(store, "train-old")
    assert found_in(store, now=LATER) == []


def test_a_folder_that_dlcat_did_not_make_is_no_array(store):
    fill(store.locations.prepared / "toy" / "mine", notes=BODY)
    assert found_in(store, current=lambda name: set(), now=LATER) == []


def test_what_is_of_use_is_asked_only_where_there_are_arrays(store):
    partial_of(store, ELSEWHERE)
    found_in(store, current=lambda name: pytest.fail("asked"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_arrays_of_another_user_are_theirs(store):
    path = arrays(store, "train-old")
    os.chown(path, 12345, 12345)
    assert found_in(store, current=lambda name: set()) == []


# --- datasets that the catalog does not know


def test_datasets_that_are_not_in_the_catalog_are_garbage_where_that_is_asked_for(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("a.bin", BODY))
    list(fetch(dataset, store))
    arrays(store, "train-abc")
    assert found_in(store, known=()) == []
    assert found_in(store, known=("toy",), unknown=True) == []
    (found,) = found_in(store, known=(), unknown=True)
    places = store.locations
    assert found.paths == (places.artifacts / "toy", places.data / "toy", places.prepared / "toy")
    assert found.kind == "unknown"
    assert list(collect([found], store)) == [found]
    assert store.names() == []
    assert found_in(store, known=(), unknown=True) == []


def test_folders_that_dlcat_did_not_make_are_never_garbage(store):
    for top in ("artifacts", "data", "prepared"):
        fill(store.locations.cache / top / "thesis" / "chapters", one=BODY)
    assert store.names() == ["thesis"]
    assert found_in(store, known=(), unknown=True, now=LATER) == []


def test_of_an_unknown_dataset_only_what_dlcat_made_goes(store, dead):
    partial_of(store, dead, name="other")
    mine = fill(store.locations.data / "other", thesis=BODY)
    (found,) = found_in(store, unknown=True)
    list(collect([found], store))
    assert tree(mine) == {"thesis"}
    assert not (store.locations.artifacts / "other").exists()


@each_maker
def test_an_unknown_dataset_that_is_worked_on_stays(kind, store, live):
    owner, _ = live
    MAKERS[kind](store, owner, name="other")
    assert found_in(store, unknown=True) == []


def test_an_unknown_dataset_whose_lock_is_held_stays(store, dead):
    path = partial_of(store, dead, name="other")
    found = found_in(store, unknown=True)
    lock = store.claim("other", wait=False)
    try:
        assert list(collect(found, store)) == []
        assert path.exists()
    finally:
        lock.release()
    assert list(collect(found, store)) == found


def test_work_that_began_after_an_unknown_dataset_was_found_saves_it(store, dead):
    partial_of(store, dead, name="other")
    found = found_in(store, unknown=True)
    owner = new_owner()
    path = partial_of(store, owner, name="other")
    assert list(collect(found, store)) == []
    assert path.exists()
    give_up(owner)


# --- laws


def test_an_installed_dataset_has_no_garbage_and_collecting_harms_nothing(make_artifact, make_dataset, store, dead):
    dataset = make_dataset(make_artifact("a.bin", BODY))
    list(fetch(dataset, store))
    before = tree(store.locations.cache)
    assert found_in(store, now=LATER) == []
    partial_of(store, dead)
    staging_of(store, dead)
    list(collect(found_in(store), store))
    assert tree(store.locations.cache) == before
    assert store.is_installed(dataset)
    assert "Failed" not in {type(record).__name__ for record in verify(dataset, store)}


def test_links_are_not_followed(store, dead, tmp_path):
    mine = fill(tmp_path / "mine", claims=BODY)
    notes = fill(store.locations.artifacts / "toy" / ".dlcat")
    (notes / f"a.bin.{dead}.part").symlink_to(mine)
    inside = partial_of(store, dead, file="b.bin")
    (inside / "link").symlink_to(mine)
    list(collect(found_in(store), store))
    assert tree(mine) == {"claims"}
    assert not inside.exists()


def test_an_empty_cache_has_no_garbage_and_asking_makes_none(store):
    assert found_in(store, unknown=True) == []
    assert holdings(store) == []
    assert not store.locations.cache.exists()


def test_what_cannot_be_removed_is_a_disk_error_after_the_rest_is_gone(store, dead, small_disk, tmp_path):
    disk = small_disk(64)
    held = Store(replace(store.locations, cache=disk))
    partial_of(held, dead)
    stuck = found_in(held)
    path = partial_of(store, dead)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    removed = []
    with pytest.raises(DiskError, match="read-only") as caught:
        removed.extend(collect([*stuck, *found_in(store)], store))
    assert caught.value.exit_code == 7
    assert [each.paths for each in removed] == [(path,)]
    assert found_in(held) == stuck
    assert not path.exists()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), max_size=8),
    st.none() | st.integers(0, 10),
    st.none() | st.integers(0, 10),
)
def test_filters_keep_what_is_older_and_larger_and_the_largest_come_first(items, days, size):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    everything = [
        Garbage("toy", "partial", (Path(f"/{number}"),), size_bytes, now - timedelta(days=age))
        for number, (age, size_bytes) in enumerate(items)
    ]
    older = None if days is None else timedelta(days=days)
    kept = chosen(everything, older_than=older, larger_than_bytes=size, now=now)
    assert sorted(kept, key=lambda each: -each.size_bytes) == kept
    for each in everything:
        expected = (days is None or (now - each.changed).days > days) and (size is None or each.size_bytes > size)
        assert (each in kept) == expected


# --- holdings


def test_holdings_say_where_the_room_goes_and_count_a_linked_file_once(make_artifact, make_dataset, store, dead):
    began = datetime.now(UTC) - timedelta(seconds=5)
    dataset = make_dataset(make_artifact("a.bin", BODY))
    list(fetch(dataset, store))
    arrays(store, "train-abc")
    (before,) = holdings(store)
    partial_of(store, dead)
    staging_of(store, dead)
    (found,) = holdings(store)
    assert found.dataset == "toy"
    assert found.artifacts_bytes >= len(BODY)
    assert found.data_bytes < len(BODY)  # the one file is a link; notices and manifest are there
    assert found.prepared_bytes == len(BODY) + 2
    assert (before.unfinished_bytes, found.unfinished_bytes) == (0, 2 * len(BODY) + 1)
    assert found.size_bytes == before.size_bytes + found.unfinished_bytes == store.used_bytes("toy")
    assert found.used > began


def test_what_was_not_read_for_long_says_so(store):
    path = fill(store.locations.artifacts / "toy", **{"a.bin": BODY}) / "a.bin"
    os.utime(path, (86400.0, 86400.0))
    (found,) = holdings(store)
    assert found.used == datetime(1970, 1, 2, tzinfo=UTC)
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    assert holdings(store)[0].used is None


def test_every_dataset_in_the_cache_is_held(tmp_path):
    store = Store(Locations(catalogs=(), recipes=(), cache=tmp_path, runs=tmp_path))
    for top, name in (("artifacts", "one"), ("data", "two"), ("prepared", "three"), ("artifacts", ".locks")):
        fill(tmp_path / top / name, file=BODY)
    assert [(each.dataset, each.size_bytes) for each in holdings(store)] == [
        (name, len(BODY)) for name in ("one", "three", "two")
    ]


def test_a_cache_that_may_not_be_read_is_refused_in_words(store, open_folder, unprivileged):
    places = replace(store.locations, cache=open_folder / "cache")
    places.artifacts.mkdir(parents=True)
    places.artifacts.chmod(0)
    with unprivileged(), pytest.raises(DiskError, match="artifacts"):
        holdings(Store(places))
