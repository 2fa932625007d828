"""Offline: no connection is opened, what is here is used, and what is not is named."""

from __future__ import annotations

import pytest

from dlcat import locations
from dlcat.errors import AccessError, UnreachableError
from dlcat.fetch.by_hand import import_files
from dlcat.fetch.fetch import fetch
from dlcat.fetch.offline import reachable, require_reachable

SOURCES = ("http://toys.example/a.bin", "package:toys/a.bin", "https://toys.example/a.bin")


@pytest.mark.parametrize("value", ["", "0", "false", "No", " "])
def test_without_the_variable_every_source_may_be_tried(value, monkeypatch, make_artifact, make_dataset):
    monkeypatch.setenv("DLCAT_OFFLINE", value)
    assert not locations.is_offline()
    assert reachable(SOURCES) == SOURCES
    toy = make_artifact("a.bin", b"toys")
    require_reachable(make_dataset(toy), [toy])


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_offline_only_installed_packages_may_be_tried(value, monkeypatch):
    monkeypatch.setenv("DLCAT_OFFLINE", value)
    assert reachable(SOURCES) == ("package:toys/a.bin",)


def test_offline_everything_that_is_missing_is_named_at_once(monkeypatch, make_artifact, make_dataset):
    monkeypatch.setenv("DLCAT_OFFLINE", "1")
    inside = make_artifact("c.bin", b"toys", urls=["http://toys.example/c.bin", "package:toys/c.bin"])
    dataset = make_dataset(make_artifact("a.bin", b"toys"), make_artifact("b.bin", b"toys"), inside)
    with pytest.raises(UnreachableError, match=r"offline: .*: toy/a\.bin, toy/b\.bin\n") as caught:
        require_reachable(dataset, dataset.artifacts, mirror=("http://mirror.example",))
    assert caught.value.exit_code == 4
    assert "dlcat import toy" in caught.value.hint
    require_reachable(dataset, [inside])
    require_reachable(dataset, [])


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("DLCAT_OFFLINE", "1")


@pytest.mark.usefixtures("offline")
def test_offline_what_is_missing_is_refused_without_a_request(server, store, make_artifact, make_dataset):
    dataset = make_dataset(make_artifact("a.bin", b"toys"))
    with pytest.raises(UnreachableError, match="offline"):
        list(fetch(dataset, store, mirror=(server.url,)))
    assert not server.requests
    assert store.states(dataset) == {"a.bin": "missing"}


def test_offline_what_is_installed_is_there_and_force_does_not_lose_it(
    server, store, make_artifact, make_dataset, monkeypatch
):
    dataset = make_dataset(make_artifact("a.bin", b"toys"))
    list(fetch(dataset, store))
    monkeypatch.setenv("DLCAT_OFFLINE", "1")
    list(fetch(dataset, store))
    with pytest.raises(UnreachableError):
        list(fetch(dataset, store, force=True))
    assert store.is_installed(dataset)
    assert server.requests == {"/a.bin": 1}


@pytest.mark.usefixtures("offline")
def test_offline_a_file_that_is_here_is_looked_at_again_and_unpacked(server, store, make_artifact, make_dataset):
    dataset = make_dataset(make_artifact("a.bin", b"toys"))
    path = store.artifact_path(dataset, dataset.artifacts[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"toys")
    list(fetch(dataset, store))
    assert store.is_installed(dataset)
    assert not server.requests


@pytest.mark.usefixtures("offline")
def test_offline_files_are_taken_from_packages_and_from_hands(server, store, make_artifact, make_dataset, tmp_path):
    body = (locations.PACKAGE / "errors.py").read_bytes()
    inside = make_artifact("e.py", body, urls=[f"{server.url}/e.py", "package:dlcat/errors.py"])
    list(fetch(make_dataset(inside), store))
    (tmp_path / "mine").write_bytes(b"toys")
    list(import_files(make_dataset(make_artifact("a.bin", b"toys"), name="other"), store, [tmp_path / "mine"]))
    assert not server.requests


@pytest.mark.usefixtures("offline")
def test_offline_what_a_person_must_ask_for_is_still_asked_of_a_person(store, make_artifact, make_dataset):
    dataset = make_dataset(make_artifact("a.bin", b"toys"), access="by-hand", instructions="Ask.")
    with pytest.raises(AccessError):
        list(fetch(dataset, store))
