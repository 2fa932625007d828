"""The Blog corpus: what the names of files tell, who has most posts, encodings, and markup that is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.blog_authorship import MOST_BYTES, NAME, blog_authorship
from tests import upstream

FILE = "7.female.24.Arts.Leo.xml"


def _write(folder: Path, content: str | bytes, file: str = FILE) -> Path:
    (folder / "blogs").mkdir(exist_ok=True)
    (folder / "blogs" / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def _posts(*texts: str) -> str:
    posts = "".join(f"<date>31,May,2004</date>\n<post>\n\t{text}\n</post>\n" for text in texts)
    return f"<Blog>\n\n{posts}</Blog>\n"


def test_age_is_a_group_and_its_author_keeps_posts_together(tmp_path: Path) -> None:
    upstream.write("blog-authorship", tmp_path)
    found = [each for each in blog_authorship(tmp_path, "all", target="age") if isinstance(each, Example)]
    ages = {"13": "10s", "17": "10s", "23": "20s", "27": "20s", "33": "30s", "48": "30s"}
    for each in found:
        number, _, age, *_ = each.place.removeprefix("blogs/").split(".")
        assert (each.target, each.group) == (ages[age], number)
    assert {each.target for each in found} == {"10s", "20s", "30s"}


def test_the_authors_with_most_posts_are_ranked_and_have_no_group(tmp_path: Path) -> None:
    for number, count in ((9, 2), (11, 3), (100, 2), (8, 1)):
        _write(tmp_path, _posts(*(f"{number}-{each}" for each in range(count))), f"{number}.male.33.indUnk.Leo.xml")
    found = [each for each in blog_authorship(tmp_path, "all", target="author", authors=3) if isinstance(each, Example)]
    assert [(each.input, each.target, each.group) for each in found] == [
        ("9-0", 1, ""), ("9-1", 1, ""), ("11-0", 0, ""), ("11-1", 0, ""), ("11-2", 0, ""), ("100-0", 2, ""), ("100-1", 2, ""),
    ]  # fmt: skip
    with pytest.raises(VerificationError, match="expected 5 authors or more, found 4"):
        list(blog_authorship(tmp_path, "all", target="author", authors=5))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"caf\xc3\xa9", "café"),
        (b"\x93so\x94 caf\xe9", "“so” café"),
        (b"\x81 \x93 \xe9", "\x81 \x93 é"),
        (b"\xff", "ÿ"),
    ],
)
def test_a_post_has_the_encoding_it_can_have(tmp_path: Path, raw: bytes, text: str) -> None:
    _write(tmp_path, _posts("é first").encode() + _posts("@").encode().replace(b"@", raw))
    found = [each.input for each in blog_authorship(tmp_path, "all") if isinstance(each, Example)]
    assert found == ["é first", text]


def test_broken_markup_within_a_post_is_its_text(tmp_path: Path) -> None:
    text = "a < b & c <post> </posts> &nbsp; <![CDATA[ <!ENTITY lol '&lol;'> </Blog>"
    (found,) = blog_authorship(_write(tmp_path, _posts(text)), "all")
    assert found == Example(text, "female", f"blogs/{FILE}:3", "7")


@pytest.mark.parametrize(
    ("entry", "found"),
    [("<date>1,May,2004</date>\n<post>\nno end\n", "no </post>"), ("<date>1,May,2004</date>\n</post>\n", "no <post>")],
)
def test_a_post_without_its_marks_is_named_and_the_next_is_read(tmp_path: Path, entry: str, found: str) -> None:
    content = _posts("one").replace("</Blog>", entry) + _posts("three")
    one, bad, three = blog_authorship(_write(tmp_path, content), "all")
    assert bad == Bad(f"blogs/{FILE}:7", "<post> and </post> after the date", found)
    assert isinstance(one, Example)
    assert isinstance(three, Example)
    assert (one.input, three.input) == ("one", "three")


@pytest.mark.parametrize(
    "file",
    ["7.female.24.Arts.xml", "7.other.24.Arts.Leo.xml", "x.male.24.Arts.Leo.xml", "7.male.20.Arts.Leo.xml", "7.male.24.Arts.Leo.txt"],
)  # fmt: skip
def test_a_name_that_tells_something_else_is_named(tmp_path: Path, file: str) -> None:
    assert list(blog_authorship(_write(tmp_path, _posts("a"), file), "all")) == [Bad(f"blogs/{file}", NAME, file)]


def test_a_file_without_posts_and_one_too_long_are_named(tmp_path: Path) -> None:
    _write(tmp_path, "<Blog></Blog>")
    assert list(blog_authorship(tmp_path, "all")) == [Bad(f"blogs/{FILE}", "posts, each after its <date>", "none")]
    with open(tmp_path / "blogs" / FILE, "r+b") as stream:
        stream.truncate(MOST_BYTES + 1)
    assert list(blog_authorship(tmp_path, "all")) == [Bad(f"blogs/{FILE}", f"at most {MOST_BYTES} bytes", "more")]


def test_there_is_no_other_split_than_all(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="no split named 'train'"):
        list(blog_authorship(tmp_path, "train"))
