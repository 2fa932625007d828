"""accept, lock and cache gc: what they say, what they write, and that nothing is agreed to or removed unasked."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

import dlcat.cli.care  # noqa: F401
from dlcat import locations
from dlcat.fetch import lockfile, terms
from dlcat.fetch.download.owner import give_up, new_owner


class Terminal(io.StringIO):
    """What a person types."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())


@pytest.fixture
def typed(monkeypatch):
    return lambda text: monkeypatch.setattr(sys, "stdin", Terminal(text))


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A cache with a download of mnist that broke off."""
    monkeypatch.setenv("DLCAT_CACHE", str(tmp_path / "cache"))
    owner = new_owner()
    path = tmp_path / "cache" / "artifacts" / "mnist" / ".dlcat" / f"a.gz.{owner}.part"
    path.mkdir(parents=True)
    (path / "bytes").write_bytes(bytes(5000))
    give_up(owner)
    return path


# --- accept


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_the_terms_are_shown_and_accepted_by_who_says_yes(answer, command, typed):
    typed(answer)
    said = command("accept", "imagenet", "--as", "Jane Doe")
    assert said.code == 0
    assert "non-commercial" in said.err
    assert "https://image-net.org/accessagreement" in said.err
    assert "[y/N]" in said.err
    assert said.out.startswith("imagenet: accepted by Jane Doe on 2")
    (consent,) = terms.read(locations.consents_file())
    assert (consent.dataset, consent.who) == ("imagenet", "Jane Doe")


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yellow\n"])
def test_any_other_answer_accepts_nothing(answer, command, typed):
    typed(answer)
    said = command("accept", "imagenet")
    assert (said.code, said.out) == (6, "")
    assert terms.read(locations.consents_file()) == []


def test_nothing_is_accepted_where_nobody_can_be_asked(command, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    said = command("accept", "imagenet")
    assert said.code == 6
    assert "non-commercial" in said.err
    assert "--yes" in said.err
    assert terms.read(locations.consents_file()) == []


def test_a_script_may_accept(command):
    said = command("accept", "imagenet", "--yes", "--as", "CI", "--json")
    (consent,) = terms.read(locations.consents_file())
    assert json.loads(said.out)["accepted"] == {
        "dataset": "imagenet",
        "who": "CI",
        "when": consent.when,
        "terms_sha256": consent.terms_sha256,
    }


def test_the_user_is_who_accepts_where_nobody_else_is_named(command, monkeypatch):
    monkeypatch.setenv("LOGNAME", "jane")
    assert command("accept", "imagenet", "--yes").code == 0
    assert terms.read(locations.consents_file())[0].who == "jane"
    assert command("accept", "imagenet", "--yes", "--as", " ").code == 0  # it is accepted already


def test_who_has_accepted_is_not_asked_again(command):
    command("accept", "imagenet", "--yes", "--as", "Jane")
    said = command("accept", "imagenet")
    assert (said.code, said.err) == (0, "")
    assert "accepted by Jane" in said.out
    assert len(terms.read(locations.consents_file())) == 1


def test_a_dataset_without_terms_says_so(command):
    said = command("accept", "mnist")
    assert (said.code, said.out) == (0, "mnist: upstream asks for no agreement\n")
    assert json.loads(command("accept", "mnist", "--json").out)["accepted"] is None
    assert command("accept", "mnits").code == 2


# --- lock


def test_a_lock_is_written_into_the_workspace_and_says_what_it_holds(command, place):
    said = command("lock", "digits")
    found = lockfile.read(Path("dlcat.lock"))
    assert said.code == 0
    assert "1 files of digits" in said.out
    assert {each.sha256 for each in found.datasets["digits"].artifacts.values()} == set(
        place.digests(place.catalog["digits"]).values()
    )
    before = Path("dlcat.lock").stat().st_mtime_ns
    again = json.loads(command("lock", "--json").out)
    assert again["changed"] is False
    assert {"name": "digits", "files": 1} in again["datasets"]
    assert Path("dlcat.lock").stat().st_mtime_ns == before


def test_nothing_in_the_cache_is_nothing_to_lock(command, tmp_path):
    for names in ((), ("mnist",)):
        assert command("lock", *names, "--cache", tmp_path / "empty").code == 2
    assert not Path("dlcat.lock").exists()


def test_a_garbled_lock_is_not_written_over(command, place):
    Path("dlcat.lock").write_text("version: 1\nnonsense: 1\n")
    said = command("lock", "digits")
    assert said.code == 3
    assert "dlcat.lock:2:" in said.err
    assert "nonsense" in Path("dlcat.lock").read_text()


# --- cache gc


def test_a_dry_run_says_what_would_go_and_removes_nothing(command, broken):
    said = command("cache", "gc", "--dry-run")
    assert (said.code, said.err) == (0, "")
    assert "mnist" in said.out
    assert "download that broke off" in said.out
    assert "5.0 kB" in said.out
    assert broken.exists()


def test_nothing_is_removed_where_nobody_can_be_asked(command, broken):
    said = command("cache", "gc")
    assert said.code == 2
    assert "--yes" in said.err
    assert broken.exists()


@pytest.mark.parametrize(("answer", "is_left"), [("n\n", True), ("", True), ("y\n", False)])
def test_a_person_is_asked(answer, is_left, command, typed, broken):
    typed(answer)
    said = command("cache", "gc")
    assert said.code == 0
    assert "Remove 5.0 kB? [y/N]" in said.err
    assert broken.exists() == is_left
    assert ("freed" in said.out) != is_left


def test_a_script_is_told_what_went(command, broken):
    said = json.loads(command("cache", "gc", "--yes", "--json").out)
    assert said["found"] == said["removed"]
    (removed,) = said["removed"]
    assert (removed["dataset"], removed["kind"], removed["bytes"]) == ("mnist", "partial", 5000)
    assert removed["paths"] == [str(broken)]
    assert not broken.exists()
    assert command("cache", "gc").out == "nothing to remove\n"


@pytest.mark.parametrize(
    "options", [["--older-than", "1h"], ["--older-than", "30d"], ["--larger-than", "1MB"], ["--older-than", "2w"]]
)
def test_filters_spare_what_is_young_or_small(options, command, broken):
    assert command("cache", "gc", "--yes", *options).out == "nothing to remove\n"
    assert broken.exists()


@pytest.mark.parametrize("options", [["--older-than", "30"], ["--older-than", "-1d"], ["--larger-than", "much"]])
def test_a_filter_that_says_nothing_is_refused(options, command, broken):
    assert command("cache", "gc", "--yes", *options).code == 2
    assert broken.exists()


def test_arrays_of_the_bytes_that_are_there_stay_and_others_go(command, place):
    place.examples(place.catalog["digits"], "train")
    folder = place.locations.prepared / "digits"
    kept = set(folder.iterdir())
    stale = folder / "train-0000000000000000"
    stale.mkdir()
    (stale / "meta.json").write_text("{}")
    command("cache", "gc", "--yes")
    assert set(folder.iterdir()) == kept


def test_datasets_of_other_catalogs_go_only_where_that_is_asked_for(command, tmp_path):
    notes = tmp_path / "cache" / "artifacts" / "mine" / ".dlcat"
    notes.mkdir(parents=True)
    (notes / "a.bin.json").write_text("{}")
    assert command("cache", "gc", "--yes", "--cache", tmp_path / "cache").out == "nothing to remove\n"
    assert "not in the catalog" in command("cache", "gc", "--yes", "--unknown", "--cache", tmp_path / "cache").out
    assert not notes.exists()
