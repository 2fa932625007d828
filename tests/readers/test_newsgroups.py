"""20 Newsgroups: what betrays the group is taken off as scikit-learn takes it off; other packings; files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import _twenty_newsgroups as reference

from dlcat.errors import VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.newsgroups import newsgroups, without_footers, without_headers, without_quotes
from tests import upstream

REAL = Path(__file__).parents[3] / "shared" / "mirror" / "twenty-newsgroups" / "20news-bydate.tar.gz"
PIECES = [
    "\n", "\n\n", "--", "-", "- -", " ", "\t", ">", "> a", "|", "From: a", "text", "In article", "Quoted from", "b writes:",
    "wrote:", "writes in", "he said:", "says:", "\r", "\x85", "\u00e9",
]  # fmt: skip
messages = st.lists(st.sampled_from(PIECES), max_size=20).map("".join)


@given(text=messages)
@settings(max_examples=300)
def test_each_part_is_taken_off_as_scikit_learn_does(text: str) -> None:
    assert without_headers(text) == reference.strip_newsgroup_header(text)
    assert without_footers(text) == reference.strip_newsgroup_footer(text)
    assert without_quotes(text) == reference.strip_newsgroup_quoting(text)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="the real messages are not beside the project")
def test_the_real_messages_are_stripped_as_scikit_learn_strips_them() -> None:
    import tarfile

    count = 0
    with tarfile.open(REAL) as archive:
        for member in archive:
            if member.isfile() and member.name.startswith("20news-bydate-test/"):
                stream = archive.extractfile(member)
                assert stream is not None
                text = stream.read().decode("latin-1")
                headless = without_headers(text)
                assert headless == reference.strip_newsgroup_header(text)
                footless = without_footers(headless)
                assert footless == reference.strip_newsgroup_footer(headless)
                assert without_quotes(footless) == reference.strip_newsgroup_quoting(footless)
                count += 1
    assert count == 7532


def test_the_order_in_which_parts_are_named_does_not_matter(tmp_path: Path) -> None:
    upstream.write("twenty-newsgroups", tmp_path)
    one = list(newsgroups(tmp_path, "train", strip=("quotes", "headers", "footers")))
    assert one == list(newsgroups(tmp_path, "train", strip=("headers", "footers", "quotes")))
    texts = [each.input for each in one if isinstance(each, Example)]
    assert not any(sign in text for text in texts for sign in ("From:", "In article", "> ", "J."))


@pytest.mark.parametrize(
    ("split", "top"),
    [("all-18828", "20news-18828"), ("all-19997", "20_newsgroups"), ("all-19997", "20_newsgroups/20_newsgroups")],
)
def test_the_other_packings_are_one_folder_of_groups(tmp_path: Path, split: str, top: str) -> None:
    with pytest.raises(VerificationError, match="expected a folder with one folder per group") as caught:
        list(newsgroups(tmp_path, split))
    assert caught.value.hint == f"dlcat fetch twenty-newsgroups --part {split}"
    for group in ("sci.med", "alt.atheism"):
        (tmp_path / top / group).mkdir(parents=True)
        for number in ("10", "9"):
            (tmp_path / top / group / number).write_bytes(b"Subject: \xe9\n\nb")
    found = [(each.target, each.place) for each in newsgroups(tmp_path, split) if isinstance(each, Example)]
    assert found == [
        (group, f"{top}/{group}/{number}") for group in ("alt.atheism", "sci.med") for number in ("9", "10")
    ]


def test_a_file_that_is_no_message_is_named_and_an_empty_group_is_refused(tmp_path: Path) -> None:
    upstream.write("twenty-newsgroups", tmp_path)
    (tmp_path / "20news-bydate-test" / "sci.med" / "notes.txt").touch()
    bad = [each for each in newsgroups(tmp_path, "test") if isinstance(each, Bad)]
    assert bad == [Bad("20news-bydate-test/sci.med/notes.txt", "a message's number for a name", "notes.txt")]
    (tmp_path / "20news-bydate-test" / "sci.empty").mkdir()
    with pytest.raises(VerificationError, match=r"sci\.empty: expected messages, found none"):
        list(newsgroups(tmp_path, "test"))
