"""Terms: nobody gets past those that must be accepted, an acceptance is of one text by one person, and is never lost."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat import document, locations
from dlcat.catalog import validate
from dlcat.catalog.catalog import revive
from dlcat.catalog.dataset import Dataset, Terms
from dlcat.errors import AccessError, DiskError, InvalidError, UsageError
from dlcat.fetch import terms
from dlcat.fetch.by_hand import import_files
from dlcat.fetch.fetch import fetch

TERMS = Terms(
    text="You do research only.\nYou tell nobody.",
    url="http://toys.example/agreement",
    required=True,
    provenance="made up here",
)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SHIPPED = validate.datasets(document.load(locations.shipped("catalog.yaml")))
WITH_TERMS = {name: dataset for name, dataset in SHIPPED.items() if dataset.terms}


@pytest.fixture
def consents(tmp_path: Path) -> Path:
    return tmp_path / "user" / "dlcat" / "consents.jsonl"


@pytest.fixture
def dataset(make_dataset):
    return make_dataset(terms=TERMS)


def test_who_has_not_accepted_is_stopped_with_the_terms_in_words_and_the_way_on(dataset, consents):
    with pytest.raises(AccessError) as caught:
        terms.require_acceptance(dataset, consents)
    assert caught.value.exit_code == 6
    for text in ("toy", "must be accepted", "You do research only.\nYou tell nobody.", "http://toys.example/agreement"):
        assert text in caught.value.message
    assert caught.value.hint == "dlcat accept toy"
    assert not consents.parent.exists()


def test_who_has_accepted_may_go_on(dataset, consents):
    terms.accept(dataset, consents, who="jane", now=NOW)
    terms.require_acceptance(dataset, consents)


def test_the_users_own_file_is_asked_where_none_is_named(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    with pytest.raises(AccessError):
        terms.require_acceptance(dataset)
    terms.accept(dataset, locations.consents_file(), who="jane")
    terms.require_acceptance(dataset)
    assert tmp_path in locations.consents_file().parents


@pytest.mark.parametrize("found", [None, replace(TERMS, required=False)])
def test_nothing_is_asked_where_upstream_asks_for_no_agreement(found, make_dataset, consents):
    terms.require_acceptance(make_dataset(terms=found), consents)


def test_there_is_nothing_to_accept_where_there_are_no_terms(make_dataset, consents):
    assert terms.accept(make_dataset(), consents, who="jane") is None
    assert terms.accepted(make_dataset(), consents) is None
    assert not consents.exists()


def test_terms_that_are_only_shown_may_be_accepted_too(make_dataset, consents):
    dataset = make_dataset(terms=replace(TERMS, required=False))
    terms.accept(dataset, consents, who="jane", now=NOW)
    assert terms.accepted(dataset, consents).who == "jane"


def test_a_line_says_who_when_and_the_hash_of_the_words(dataset, consents):
    terms.accept(dataset, consents, who=" Jane Doe ", now=NOW.astimezone(timezone(timedelta(hours=8))))
    (line,) = consents.read_text().splitlines()
    assert json.loads(line) == {
        "dataset": "toy",
        "who": "Jane Doe",
        "when": "2026-03-01T12:00:00+00:00",
        "terms_sha256": hashlib.sha256(b"You do research only. You tell nobody.").hexdigest(),
    }


def test_when_the_words_change_one_is_asked_again_and_told_so(dataset, consents):
    terms.accept(dataset, consents, who="jane", now=NOW)
    changed = replace(dataset, terms=replace(TERMS, text="You do research only. You may tell."))
    with pytest.raises(AccessError, match="have changed since you accepted") as caught:
        terms.require_acceptance(changed, consents)
    assert "You may tell." in caught.value.message
    terms.accept(changed, consents, who="jane", now=NOW)
    terms.require_acceptance(changed, consents)
    terms.require_acceptance(dataset, consents)


def test_an_acceptance_counts_for_its_own_dataset_only(dataset, consents):
    terms.accept(dataset, consents, who="jane", now=NOW)
    with pytest.raises(AccessError, match="must be accepted"):
        terms.require_acceptance(replace(dataset, name="other"), consents)


def test_where_the_lines_break_makes_no_difference_and_any_word_does():
    assert terms.digest(replace(TERMS, text="You do  research only. You\ntell nobody.\n")) == terms.digest(TERMS)
    assert terms.digest(replace(TERMS, text="You do research only. you tell nobody.")) != terms.digest(TERMS)
    assert terms.digest(replace(TERMS, url=None, required=False)) == terms.digest(TERMS)


@pytest.mark.parametrize("who", ["", "  ", "\n"])
def test_nobody_cannot_accept(who, dataset, consents):
    with pytest.raises(UsageError) as caught:
        terms.accept(dataset, consents, who=who)
    assert "--as" in caught.value.hint
    assert not consents.exists()


def test_the_last_note_of_this_text_counts(dataset, consents):
    other = replace(dataset, terms=replace(TERMS, text="Something else."))
    terms.accept(dataset, consents, who="first", now=NOW)
    terms.accept(dataset, consents, who="second", now=NOW)
    terms.accept(other, consents, who="third", now=NOW)
    assert terms.accepted(dataset, consents).who == "second"
    assert [consent.who for consent in terms.read(consents)] == ["first", "second", "third"]


@pytest.mark.parametrize(
    "damage",
    [
        b'{"dataset": "toy", "who": "ja',
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b'{"dataset": "toy", "who": 3, "when": "", "terms_sha256": ""}',
        b"\n\n",
    ],
)
def test_a_damaged_line_is_not_an_acceptance_and_does_not_harm_the_others(damage, dataset, consents):
    terms.accept(dataset, consents, who="jane", now=NOW)
    with open(consents, "ab") as stream:
        stream.write(damage)
    assert [consent.who for consent in terms.read(consents)] == ["jane"]
    terms.accept(dataset, consents, who="john", now=NOW)
    assert [consent.who for consent in terms.read(consents)] == ["jane", "john"]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_in_the_file_can_be_worse_than_no_acceptance(content):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "consents.jsonl"
        path.write_bytes(content)
        assert all(isinstance(consent, terms.Consent) for consent in terms.read(path))


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(), min_size=1, max_size=20).filter(lambda who: who.strip()))
def test_whoever_accepts_is_found_again_under_that_name(who):
    import tempfile

    line = terms.Consent("toy", who.strip(), "", "")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "consents.jsonl"
        terms._append(path, json.dumps({"dataset": "toy", "who": who.strip(), "when": "", "terms_sha256": ""}))
        assert terms.read(path) == [line]


def test_many_who_accept_at_once_are_all_noted(dataset, consents):
    people = [f"person {number}" for number in range(16)]
    threads = [Thread(target=terms.accept, args=(dataset, consents), kwargs={"who": who}) for who in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(consent.who for consent in terms.read(consents)) == sorted(people)


def test_a_note_that_cannot_be_kept_is_a_disk_error(dataset, consents):
    consents.parent.parent.mkdir()
    consents.parent.write_text("in the way")
    with pytest.raises(DiskError):
        terms.accept(dataset, consents, who="jane")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_notes_that_cannot_be_read_are_a_disk_error(dataset, consents):
    terms.accept(dataset, consents, who="jane")
    consents.chmod(0)
    with pytest.raises(DiskError):
        terms.require_acceptance(dataset, consents)


def test_no_byte_moves_before_the_terms_are_accepted(make_artifact, make_dataset, server, store, tmp_path):
    dataset = make_dataset(make_artifact("a.bin", b"toys"), terms=TERMS)
    (tmp_path / "mine").write_bytes(b"toys")
    for records in (fetch(dataset, store), import_files(dataset, store, [tmp_path / "mine"])):
        with pytest.raises(AccessError, match="research only"):
            list(records)
    assert not server.requests
    assert not store.locations.cache.exists()
    terms.accept(dataset, locations.consents_file(), who="jane")
    list(fetch(dataset, store))
    assert store.is_installed(dataset)


def test_what_another_user_has_fetched_still_wants_an_acceptance(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("a.bin", b"toys"))
    list(fetch(dataset, store))
    with pytest.raises(AccessError):
        list(fetch(replace(dataset, terms=TERMS), store))


def test_terms_survive_the_index(dataset):
    from dataclasses import asdict

    assert revive(Dataset, asdict(dataset)) == dataset


def test_terms_are_read_from_a_catalog_and_faults_in_them_have_a_line(entry):
    found = {"text": "Research only.", "url": None, "required": True, "provenance": "a page"}
    (dataset,) = validate.datasets(_document(entry(terms=found))).values()
    assert dataset.terms == Terms(text="Research only.", required=True, provenance="a page")
    for wrong in (
        {**found, "required": "yes"},
        {**found, "text": ""},
        {"text": "Only.", "required": True},
        {**found, "extra": 1},
    ):
        with pytest.raises(InvalidError, match=r"toy\.terms"):
            validate.datasets(_document(entry(terms=wrong)))


def test_the_shipped_catalog_asks_for_agreement_where_upstream_does():
    assert SHIPPED["imagenet"].terms.required
    assert not SHIPPED["coco"].terms.required
    assert SHIPPED["digits"].terms is None


@pytest.mark.parametrize("name", WITH_TERMS)
def test_shipped_terms_say_what_where_and_who_says_so(name):
    found = WITH_TERMS[name].terms
    assert len(found.text.split()) >= 10
    assert urlsplit(found.url).scheme == "https"
    assert len(found.provenance) > 10


def _document(raw):
    return document.parse(json.dumps({"toy": raw}), "mine.yaml")


# --- what is said of an agreement


def test_an_agreement_tells_how_far_the_user_is(make_dataset, make_artifact, consents):
    dataset = make_dataset(make_artifact("a.bin", b"1"), terms=TERMS)
    first = terms.agreement(dataset, consents)
    assert (first.text, first.url, first.required) == (TERMS.text, TERMS.url, True)
    assert (first.accepted, first.changed) == (None, False)
    consent = terms.accept(dataset, consents, who="Jane")
    assert (terms.agreement(dataset, consents).accepted, terms.agreement(dataset, consents).changed) == (consent, False)
    other = replace(dataset, terms=replace(TERMS, text="Something else."))
    assert (terms.agreement(other, consents).accepted, terms.agreement(other, consents).changed) == (None, True)
    assert terms.agreement(replace(dataset, terms=None), consents) is None
