"""WikiText, enwik8 and its relatives, and the dump: articles whole, bytes complete, and no entity that is defined inside."""

from __future__ import annotations

import bz2
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.wikitext import DUMP, PIECE_BYTES, wikitext

REAL = Path(__file__).parents[3] / "shared" / "mirror" / "wikitext-2-sample"


def _tokens(folder: Path, content: str | bytes, part: str = "wikitext-2", ending: str = "tokens") -> Path:
    (folder / part).mkdir(exist_ok=True)
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / part / f"wiki.valid.{ending}").write_bytes(raw)
    return folder


def _section(level: int, heading: str, *paragraphs: str) -> dict[str, object]:
    return {"level": level, "heading": heading, "paragraphs": list(paragraphs)}


def test_a_heading_stands_between_empty_lines(tmp_path: Path) -> None:
    text = " \n = A = \n \n one \n = not = \n two \n \n = = B = C = = \n \n \n = D = \n \n = = = E = = = \n \n = = = \n"
    first, second = wikitext(_tokens(tmp_path, text), "valid")
    sections = [_section(1, "A", "one", "= not =", "two"), _section(2, "B = C")]
    assert first == Example({"title": "A", "sections": sections}, None, "wikitext-2/wiki.valid.tokens:2")
    sections = [_section(1, "D"), _section(3, "E", "= = =")]
    assert second == Example({"title": "D", "sections": sections}, None, "wikitext-2/wiki.valid.tokens:11")


@pytest.mark.parametrize("part", ["wikitext-103", "wikitext-2-raw", "wikitext-103-raw"])
def test_the_other_parts_have_a_folder_each(tmp_path: Path, part: str) -> None:
    ending = "raw" if part.endswith("raw") else "tokens"
    _tokens(tmp_path, " \n = A = \n \n", part, ending)
    (found,) = wikitext(tmp_path, "valid", part=part)  # type: ignore[arg-type]
    assert found.place == f"{part}/wiki.valid.{ending}:2"


def test_a_line_that_is_no_text_takes_its_article_with_it_and_no_other(tmp_path: Path) -> None:
    _tokens(tmp_path, b"no title\n \n = A = \n \n caf\xe9 \n more \n \n = B = \n \n")
    file = "wikitext-2/wiki.valid.tokens"
    before, bad, good = wikitext(tmp_path, "valid")
    assert before == Bad(f"{file}:1", "a title such as ' = Title = '", "'no title'")
    assert bad == Bad(f"{file}:5", "UTF-8", "byte 0xe9 at byte 5 of 6")
    assert good == Example({"title": "B", "sections": [_section(1, "B")]}, None, f"{file}:8")


def test_an_article_has_a_longest_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlcat.readers.wikitext.MOST_SIGNS", 20)
    _tokens(tmp_path, " \n = A = \n \n" + " ten signs! \n" * 3 + " \n = B = \n \n")
    bad, good = wikitext(tmp_path, "valid")
    assert bad == Bad("wikitext-2/wiki.valid.tokens:2", "an article of at most 20 characters", "a longer one")
    assert isinstance(good, Example)


@pytest.mark.skipif(not REAL.exists(), reason="the real files are not beside the project")
@pytest.mark.parametrize("split", ["valid", "test"])
def test_the_real_files_have_sixty_articles_and_every_token_is_read(tmp_path: Path, split: str) -> None:
    (tmp_path / "wikitext-2").symlink_to(REAL)
    found = list(wikitext(tmp_path, split))
    assert len(found) == 60
    tokens = 0
    for article in found:
        assert isinstance(article, Example)
        for section in article.input["sections"]:
            tokens += len(section["heading"].split()) + 2 * section["level"]
            tokens += sum(len(paragraph.split()) for paragraph in section["paragraphs"])
    assert tokens == len((REAL / f"wiki.{split}.tokens").read_text(encoding="utf-8").split())


@given(
    text=st.lists(st.sampled_from(["a", "bé", "日本", " ", "\n", "日" * 20_000]), min_size=1, max_size=12).map("".join)
)
@settings(max_examples=40)
def test_the_pieces_of_all_splits_are_the_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "text8").write_text(text, encoding="utf-8", newline="")
    found = [each for split in ("train", "valid", "test") for each in wikitext(folder, split, part="text8")]
    pieces = [each.input for each in found if isinstance(each, Example)]
    assert "".join(piece["text"] for piece in pieces) == text
    assert all(
        piece["offset"] == len("".join(each["text"] for each in pieces[:number]).encode())
        for number, piece in enumerate(pieces)
    )


def test_splits_are_shares_of_the_bytes_and_pieces_end_with_words(tmp_path: Path) -> None:
    words = b"word " * 40_000
    (tmp_path / "enwik8").write_bytes(words)
    found = {split: list(wikitext(tmp_path, split, part="enwik8")) for split in ("train", "valid", "test")}
    sizes = {
        split: sum(len(each.input["text"]) for each in pieces if isinstance(each, Example))
        for split, pieces in found.items()
    }
    assert sizes == {"train": 180_000, "valid": 10_000, "test": 10_000}
    train = [each.input for each in found["train"] if isinstance(each, Example)]
    assert all(len(piece["text"]) <= PIECE_BYTES and piece["text"].endswith(" ") for piece in train)
    assert [piece["offset"] for piece in train][:2] == [0, len(train[0]["text"])]


def test_bytes_that_are_no_text_are_named_by_their_place_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "enwik9").write_bytes(b"line\n" * 20_000 + b"\xff" * 20)
    bad = [each for each in wikitext(tmp_path, "test", part="enwik9") if isinstance(each, Bad)]
    assert bad == [Bad("enwik9", "UTF-8", "byte 0xff at byte 100001 of the file")]


PAGE = """  <page>
    <title>{title}</title>
    <ns>{ns}</ns>
    <id>12</id>
{redirect}    <revision>
      <id>99</id>
      <contributor><username>Ann</username><id>5</id></contributor>
      <text bytes="9" xml:space="preserve">{text}</text>
    </revision>
  </page>
"""


def _page(title: str = "A", text: str = "words", ns: int = 0, redirect: str = "") -> str:
    return PAGE.format(title=title, text=text, ns=ns, redirect=redirect)


def _dump(folder: Path, *pages: str) -> Path:
    text = '<mediawiki xml:lang="en">\n  <siteinfo>\n  </siteinfo>\n' + "".join(pages) + "</mediawiki>\n"
    half = len(text) // 2  # the real file is many bz2 streams, one after another
    (folder / DUMP).write_bytes(bz2.compress(text[:half].encode()) + bz2.compress(text[half:].encode()))
    return folder


def test_pages_are_articles_with_their_markup(tmp_path: Path) -> None:
    text = "'''A''' &lt;ref name=&quot;x&quot; /&gt; &amp;nbsp; é &#8212;\n\n    <indented>\n&lt;/text&gt; &lol;"
    _dump(
        tmp_path,
        _page("Q &amp; A", text),
        _page("Talk:A", ns=1),
        _page("B", "#REDIRECT", redirect='    <redirect title="A" />\n'),
        _page("C", "").replace(">\n      <text bytes=\"9\" xml:space=\"preserve\"></text>", ">\n      <text bytes=\"0\" />"),
    )  # fmt: skip
    first, second = wikitext(tmp_path, "train", part="dump-latest")
    expected = "'''A''' <ref name=\"x\" /> &nbsp; é —\n\n    <indented>\n</text> &lol;"
    assert first == Example({"title": "Q & A", "id": "12", "text": expected}, None, f"{DUMP}:4")
    assert isinstance(second, Example)
    assert (second.input["title"], second.input["text"]) == ("C", "")


def test_a_page_that_is_not_whole_is_named_and_the_next_is_read(tmp_path: Path) -> None:
    no_title = _page().replace("    <title>A</title>\n", "")
    no_text = _page().replace("</text>", "")
    unclosed = _page().replace("  </page>\n", "")
    found = list(wikitext(_dump(tmp_path, no_title, unclosed, _page("B"), no_text), "train", part="dump-latest"))
    assert [str(each) for each in found if isinstance(each, Bad)] == [
        f"{DUMP}:4: expected a page with title, ns, id and text, found no title",
        f"{DUMP}:13: expected </page>, found another page at {DUMP}:22",
        f"{DUMP}:32: expected </page>, found the end of the file",
    ]
    assert [each.input["title"] for each in found if isinstance(each, Example)] == ["B"]


def test_entities_that_a_file_defines_are_text(tmp_path: Path) -> None:
    lol = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>\n'
    (found,) = wikitext(_dump(tmp_path, lol, _page(text="&b; &f;")), "train", part="dump-latest")
    assert isinstance(found, Example)
    assert found.input["text"] == "&b; &f;"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:-40], "Compressed file ended before the end-of-stream marker"),
        (lambda raw: b"no bz2" + raw, "Invalid data stream"),
        (lambda raw: raw[:90] + b"\0\0\0\0" + raw[94:], "Invalid data stream"),
    ],
)
def test_a_dump_that_is_damaged_is_refused_by_name(tmp_path: Path, damage: object, message: str) -> None:
    path = _dump(tmp_path, *(_page(str(number)) for number in range(99))) / DUMP
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(VerificationError, match=f"cannot be read: {message}") as caught:
        list(wikitext(tmp_path, "train", part="dump-latest"))
    assert DUMP in caught.value.message


@pytest.mark.parametrize(
    ("part", "split"), [("wikitext-2", "all"), ("wikitext-2", "validation"), ("enwik8", "all"), ("dump-latest", "test")]
)
def test_other_splits_are_refused(tmp_path: Path, part: str, split: str) -> None:
    with pytest.raises(InvalidError, match=f"no split named '{split}'"):
        list(wikitext(tmp_path, split, part=part))  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["wikitext-2", "wikitext-103-raw", "enwik9", "text8", "dump-latest"])
def test_a_part_that_is_not_there_is_named_with_what_to_do(tmp_path: Path, part: str) -> None:
    with pytest.raises(VerificationError, match="cannot be read: No such file") as caught:
        list(wikitext(tmp_path, "train", part=part))  # type: ignore[arg-type]
    assert caught.value.hint == f"dlcat fetch wikipedia --part {part}"
