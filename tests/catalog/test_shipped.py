"""Laws of every entry of the catalog that ships."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import get_args
from urllib.parse import urlsplit

import pytest

from dlcat import document, locations
from dlcat.catalog import Dataset, validate
from dlcat.catalog.dataset import Domain
from dlcat.readers import reader
from dlcat.registry import Choice

IMAGE = (
    "digits mnist fashion-mnist cifar10 svhn coco imagenet open-images vqa dhcd indian-actors-age".split()  # noqa: SIM905
)
NLP = (
    "imdb twenty-newsgroups sentiment140 wordnet yelp wikipedia blog-authorship wmt18 twitter-sentiment".split()  # noqa: SIM905
)
AUDIO = "fsdd fma ballroom million-song librispeech voxceleb urbansound8k".split()  # noqa: SIM905
DOMAINS = {**dict.fromkeys(IMAGE, "image"), **dict.fromkeys(NLP, "nlp"), **dict.fromkeys(AUDIO, "audio")}

PLAIN_HTTP = {  # hosts that serve nothing else, or did when the facts were read
    "ai.stanford.edu",
    "cs.stanford.edu",
    "cvit.iiit.ac.in",
    "data.statmt.org",
    "disi.unitn.it",
    "fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "help.sentiment140.com",
    "images.cocodataset.org",
    "labrosa.ee.columbia.edu",
    "mattmahoney.net",
    "millionsongdataset.com",
    "mtg.upf.edu",
    "parl.ai",
    "qwone.com",
    "ufal.mff.cuni.cz",
    "ufldl.stanford.edu",
    "wordnetcode.princeton.edu",
    "www.cs.cmu.edu",
    "www.ee.columbia.edu",
    "www.image-net.org",
    "www.statmt.org",
    "yann.lecun.com",
}

SHIPPED = locations.shipped("catalog.yaml")
ENTRIES = validate.datasets(document.load(SHIPPED))
each_entry = pytest.mark.parametrize("dataset", ENTRIES.values(), ids=ENTRIES)


def test_the_catalog_holds_what_it_promises() -> None:
    assert {name: dataset.domain for name, dataset in ENTRIES.items()} == DOMAINS


@each_entry
def test_domain_and_tasks_are_words_a_user_can_filter_by(dataset: Dataset) -> None:
    assert dataset.domain in get_args(Domain)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", task) for task in dataset.tasks)


@each_entry
def test_the_licence_is_known_before_the_bytes_move(dataset: Dataset) -> None:
    assert dataset.license.id or dataset.license.note
    assert dataset.license.id is None or re.fullmatch(r"[A-Za-z0-9.+-]+", dataset.license.id)


@each_entry
def test_the_citation_is_bibtex(dataset: Dataset) -> None:
    for record in re.split(r"\n(?=@)", dataset.citation.strip()):
        assert re.match(r"@[a-z]+\{[^,\s{}]+,", record)
        assert _balanced(record)
        assert record.rstrip().endswith("}")


@each_entry
def test_the_summary_is_written_in_both_languages(dataset: Dataset) -> None:
    english, chinese = dataset.summary.en, dataset.summary.zh
    assert len(re.findall(r"[\u4e00-\u9fff]", chinese)) >= 10
    assert not re.search(r"[\u4e00-\u9fff]", english)
    assert len(english.split()) >= 8


@each_entry
def test_addresses_are_encrypted_where_the_host_can(dataset: Dataset) -> None:
    pages = [dataset.homepage, dataset.license.url, dataset.paper.url if dataset.paper else None]
    sources = [url for artifact in dataset.artifacts for url in artifact.urls if not url.startswith("package:")]
    for url in filter(None, [*pages, *sources]):
        parts = urlsplit(url)
        assert parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in PLAIN_HTTP), url
        assert parts.hostname
        assert " " not in url


@each_entry
def test_every_number_says_where_it_was_read(dataset: Dataset) -> None:
    assert all(len(artifact.provenance) > 10 for artifact in dataset.artifacts)


@each_entry
def test_what_needs_a_person_says_what_to_do_and_what_is_open_has_a_source(dataset: Dataset) -> None:
    if dataset.access == "by-hand":
        assert f"dlcat import {dataset.name}" in dataset.instructions
    if dataset.access == "open":
        assert all(artifact.urls for artifact in dataset.artifacts)


@each_entry
def test_sizes_add_up(dataset: Dataset) -> None:
    chosen = dataset.selected()
    assert chosen
    known = [artifact.size for artifact in chosen if artifact.size is not None]
    if dataset.size.download is not None and len(known) == len(chosen):
        assert sum(known) == dataset.size.download
    if dataset.size.download is not None:
        assert sum(known) <= dataset.size.download
    for artifact in dataset.artifacts:
        if artifact.unpack == "none" and artifact.contents and artifact.size is not None:
            assert [member.size for member in artifact.contents] == [artifact.size]


@each_entry
def test_a_wholly_listed_dataset_unpacks_to_its_size(dataset: Dataset) -> None:
    chosen = dataset.selected()
    if dataset.size.unpacked is None or any(artifact.unpack not in ("gz", "bz2") for artifact in chosen):
        return
    members = [member.size for artifact in chosen for member in artifact.contents]
    if len(members) == len(chosen) and None not in members:
        assert sum(size for size in members if size is not None) == dataset.size.unpacked


@each_entry
def test_every_artifact_is_reached_by_some_part(dataset: Dataset) -> None:
    assert dataset.selected(("all",)) == dataset.artifacts
    reached = {artifact.file for part in (*dataset.parts, "all") for artifact in dataset.selected((part,))}
    assert reached == {artifact.file for artifact in dataset.artifacts}
    if dataset.parts and not any(artifact.part is None for artifact in dataset.artifacts):
        assert any(part.default for part in dataset.parts.values())


@each_entry
def test_file_names_can_be_folders_entries_on_any_system(dataset: Dataset) -> None:
    for artifact in dataset.artifacts:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", artifact.file), artifact.file
        folded = [member.path.casefold() for member in artifact.contents]
        assert len(set(folded)) == len(folded)
        assert all(PurePosixPath(member.path).as_posix() == member.path for member in artifact.contents)


@each_entry
def test_classes_have_names_of_their_own(dataset: Dataset) -> None:
    if isinstance(dataset.classes, list):
        assert len(set(dataset.classes)) == len(dataset.classes)


@each_entry
def test_a_reader_that_exists_takes_the_options_of_the_entry(dataset: Dataset) -> None:
    if dataset.reader is not None and dataset.reader.name in reader:
        assert reader.check(dataset.reader)[1] == []


@each_entry
def test_a_sample_is_shaped_as_its_domain_has_it(dataset: Dataset) -> None:
    sizes = [size for size in dataset.sample.shape if isinstance(size, int)]
    assert all(size > 0 for size in sizes)
    if dataset.domain == "image":
        assert len(dataset.sample.shape) == 3


def test_what_ships_with_a_reader_can_be_trained_on() -> None:
    for name in ("digits", "mnist", "fashion-mnist", "cifar10"):
        dataset = ENTRIES[name]
        assert dataset.reader is not None
        assert dataset.reader.name in reader
        assert isinstance(dataset.classes, list)
        assert {"train", "test"} <= set(dataset.splits)


def test_the_schema_for_editors_is_json_and_names_every_key() -> None:
    schema = json.loads(json.dumps(validate.json_schema()))
    properties = schema["$defs"]["Dataset"]["properties"]
    assert "name" not in properties
    keys = {key for entry in document.load(SHIPPED).data.values() for key in entry}
    assert keys <= set(properties)
    assert all(item.get("description") or "$ref" in item for item in properties.values())
    assert schema["$defs"]["Dataset"]["additionalProperties"] is False


def test_choices_without_options_are_in_their_plain_form() -> None:
    readers = [dataset.reader for dataset in ENTRIES.values() if dataset.reader]
    assert readers
    assert all(isinstance(choice, Choice) for choice in readers)


def _balanced(text: str) -> bool:
    depth = 0
    for sign in text:
        depth += (sign == "{") - (sign == "}")
        if depth < 0:
            return False
    return depth == 0
