"""Parallel text: the corpora of every pair, the four forms, and sides that do not fit together."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.parallel_text import parallel_text
from dlcat.readers.sentences import line_pairs
from tests import upstream

REAL = Path(__file__).parents[3] / "shared" / "mirror" / "multi30k" / "validation.tar.gz"


def _write(folder: Path, path: str, *lines: str | bytes) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    raw = [line if isinstance(line, bytes) else line.encode() for line in lines]
    (folder / path).write_bytes(b"".join(line + b"\n" for line in raw))


def _sides(folder: Path, split: str, **options: object) -> list[tuple[str, str]]:
    found = list(parallel_text(folder, split, **options))  # type: ignore[arg-type]
    assert not [each for each in found if isinstance(each, Bad)]
    return [(each.input["source"], each.input["target"]) for each in found if isinstance(each, Example)]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_other_direction_has_the_same_sentences(tmp_path: Path, split: str) -> None:
    upstream.write("wmt18", tmp_path)
    into_english = _sides(tmp_path, split)
    assert _sides(tmp_path, split, pair="en-de") == [(target, source) for source, target in into_english]


def test_pairs_with_an_empty_side_are_kept_when_they_are_wanted(tmp_path: Path) -> None:
    upstream.write("wmt18", tmp_path)
    assert len(_sides(tmp_path, "train", empty=True)) == len(_sides(tmp_path, "train")) + 5


def test_corpora_can_be_chosen_and_come_in_the_order_they_are_named(tmp_path: Path) -> None:
    upstream.write("wmt18", tmp_path)
    places = [each.place for each in parallel_text(tmp_path, "train", corpora=("rapid2016", "commoncrawl"))]
    assert [place.partition(".")[0] for place in places] == ["rapid2016"] * 4 + ["commoncrawl"] * 4
    with pytest.raises(InvalidError, match="no corpus named 'setimes' for de-en"):
        list(parallel_text(tmp_path, "train", corpora=("setimes",)))


@pytest.mark.parametrize(
    ("pair", "corpus", "files"),
    [
        ("et-en", "rapid2016", {"rapid2016.en-et.et": "a", "rapid2016.en-et.en": "b"}),
        ("fi-en", "wiki-titles", {"wiki/fi-en/titles.fi-en": "a ||| b"}),
        ("ru-en", "wiki-titles", {"wiki/ru-en/wiki.ru-en": "a ||| b"}),
        ("fi-en", "europarl-v8", {"training/europarl-v8.fi-en.fi": "a", "training/europarl-v8.fi-en.en": "b"}),
        ("zh-en", "un", {"en-zh/UNv1.0.en-zh.zh": "a", "en-zh/UNv1.0.en-zh.en": "b"}),
        ("cs-en", "preprocessed", {"preprocessed-cs-en-corpus": "a\tb"}),
        ("tr-en", "setimes", {"en-tr.tmx": '<tu>\n<tuv xml:lang="en"><seg>b</seg></tuv>\n<tuv xml:lang="tr"><seg>a</seg></tuv>\n</tu>'}),
    ],
)  # fmt: skip
def test_corpora_lie_where_upstream_packs_them(tmp_path: Path, pair: str, corpus: str, files: dict[str, str]) -> None:
    for path, text in files.items():
        _write(tmp_path, path, text)
    assert _sides(tmp_path, "train", pair=pair, corpora=(corpus,)) == [("a", "b")]


def test_books_of_cwmt_have_one_english_side_each(tmp_path: Path) -> None:
    for book in (
        "casia2015/casia2015_ch",
        "casict2011/casict-B_ch",
        "casict2011/casict-A_ch",
        "casict2015/casict2015_ch",
    ):
        _write(tmp_path, f"{book}.txt", book[-6:])
        _write(tmp_path, f"{book[:-3]}_en.txt", "e")
    for book in ("datum2015/datum_ch", "datum2017/Book2_cn", "datum2017/Book1_cn", "neu2017/NEU_cn"):
        _write(tmp_path, f"{book}.txt", book[-6:])
        _write(tmp_path, f"{book[:-3]}_en.txt", "e")
    found = _sides(tmp_path, "train", pair="zh-en", corpora=("cwmt",))
    assert [one for one, _ in found] == ["015_ch", "t-A_ch", "t-B_ch", "015_ch", "tum_ch", "ok1_cn", "ok2_cn", "NEU_cn"]
    (tmp_path / "neu2017" / "NEU_en.txt").unlink()
    with pytest.raises(VerificationError, match=r"NEU_en\.txt: expected the English side, found none"):
        _sides(tmp_path, "train", pair="zh-en", corpora=("cwmt",))


@pytest.mark.parametrize(
    ("pair", "part"),
    [("de-en", "europarl-v7"), ("fi-en", "europarl-v8"), ("ru-en", "paracrawl-ru"), ("tr-en", "setimes")],
)
def test_a_part_that_is_not_there_is_named_with_what_to_do(tmp_path: Path, pair: str, part: str) -> None:
    with pytest.raises(VerificationError, match="cannot be read: No such file") as caught:
        _sides(tmp_path, "train", pair=pair)
    assert caught.value.hint == f"dlcat fetch wmt18 --part {part}"


@pytest.mark.parametrize(("pair", "sets"), [("et-en", ["newsdev2018"]), ("fi-en", ["newstest2017", "newstestB2017"])])
def test_some_pairs_have_other_validation_sets(tmp_path: Path, pair: str, sets: list[str]) -> None:
    other = pair[:2]
    for name in sets:
        for kind in (f"src.{other}", "ref.en"):
            _write(tmp_path, f"dev/{name}-{other}en-{kind}.sgm", '<doc docid="d">', f'<seg id="1">{name}</seg>')
    assert _sides(tmp_path, "validation", pair=pair) == [(name, name) for name in sets]


def _lines(folder: Path, german: list[str | bytes], english: list[str | bytes]) -> None:
    _write(folder, "commoncrawl.de-en.de", *german)
    _write(folder, "commoncrawl.de-en.en", *english)


def test_files_of_different_length_are_refused_since_all_may_be_shifted(tmp_path: Path) -> None:
    _lines(tmp_path, ["a", "b"], ["a"])
    with pytest.raises(
        VerificationError, match=r"commoncrawl\.de-en\.en: expected as many lines as commoncrawl\.de-en\.de, found 1"
    ):
        _sides(tmp_path, "train", corpora=("commoncrawl",))


def test_a_line_that_is_no_text_costs_its_pair_and_shifts_none(tmp_path: Path) -> None:
    _lines(tmp_path, ["a", b"\xe9", "c", "d"], ["A", "B", "C \x85 \u2028", b"\xff"])
    found = list(parallel_text(tmp_path, "train", corpora=("commoncrawl",)))
    assert [each.input["target"] if isinstance(each, Example) else each for each in found] == [
        "A",
        Bad("commoncrawl.de-en.de:2", "UTF-8", "byte 0xe9 at byte 1 of 1"),
        "C",
        Bad("commoncrawl.de-en.en:4", "UTF-8", "byte 0xff at byte 1 of 1"),
    ]


def _set(folder: Path, german: list[str], english: list[str]) -> list[Example | Bad]:
    _write(folder, "dev/newstest2018-deen-src.de.sgm", '<srcset setid="x">', '<doc docid="d" genre="news">', *german)
    _write(folder, "dev/newstest2018-deen-ref.en.sgm", '<refset setid="x">', '<DOC genre="news" docid="d">', *english)
    return list(parallel_text(folder, "test"))


def test_segments_are_unescaped_and_belong_to_documents(tmp_path: Path) -> None:
    (found,) = _set(tmp_path, ['<seg id="1"> Q&amp;A &lt;b> & &#233; &nbsp; </seg>'], ['<hl><seg id="1">x</seg></hl>'])
    expected = {"source": "Q&A <b> & é &nbsp;", "target": "x"}
    assert found == Example(expected, None, "dev/newstest2018-deen-src.de.sgm:3", "d")


def test_letters_that_are_two_in_small_shift_nothing(tmp_path: Path) -> None:
    (found,) = _set(tmp_path, ['<seg id="1">İİİİ iyi</seg>'], ['<seg id="1">good</seg>'])
    assert isinstance(found, Example)
    assert found.input == {"source": "İİİİ iyi", "target": "good"}


@pytest.mark.parametrize("tags", ["<doc ", "<seg ", '<seg id="', "</seg>", "<doc docid=", "&#", "&amp"])
def test_a_line_of_a_million_tags_is_gone_through_once(tmp_path: Path, tags: str) -> None:
    """Gone through once for every tag, it would take hours."""
    begun = time.process_time()
    _set(tmp_path, [tags * 600_000, '<seg id="1">a</seg>'], [tags * 600_000, '<seg id="1">b</seg>'])
    assert time.process_time() - begun < 2


def test_segments_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    good = '<seg id="1">a</seg>'
    unclosed, other = _set(tmp_path, ['<seg id="1">a', '<seg id="2">b</seg>'], [good, '<seg id="3">b</seg>'])
    assert unclosed == Bad(
        "dev/newstest2018-deen-src.de.sgm:3", '<seg id="..."> and </seg> on one line', "'<seg id=\"1\">a'"
    )
    expected, found = "segment 2 of document d", "segment 3 of document d"
    assert other == Bad("dev/newstest2018-deen-ref.en.sgm:4", expected, found)
    with pytest.raises(
        VerificationError, match=r"ref\.en\.sgm: expected as many segments as newstest2018-deen-src\.de\.sgm"
    ):
        _set(tmp_path, [good, good], [good])


@pytest.mark.parametrize(
    ("lines", "expected", "found"),
    [
        (['<tu><tuv xml:lang="tr"><seg>a</seg></tuv>', "</tu>"], "a unit in tr and en", "one in tr"),
        (["<tu>", '<tuv xml:lang="tr"><seg>a</tuv>', "</tu>"], "a unit in tr and en", "one in none"),
        (["<tu>", '<tuv xml:lang="tr"><seg>a</seg></tuv>'], "</tu>", "the end of the file"),
    ],
)
def test_a_unit_that_is_none_is_named(tmp_path: Path, lines: list[str], expected: str, found: str) -> None:
    _write(tmp_path, "en-tr.tmx", "<tmx>", *lines)
    assert list(parallel_text(tmp_path, "train", pair="tr-en")) == [Bad("en-tr.tmx:2", expected, found)]


def test_a_line_with_other_columns_than_two_is_named(tmp_path: Path) -> None:
    _write(tmp_path, "preprocessed-de-en-corpus", "a\tb\tc", "a\tb")
    bad, good = parallel_text(tmp_path, "train", corpora=("preprocessed",))
    assert bad == Bad("preprocessed-de-en-corpus:1", "two sentences with '\\t' between them", "3 columns")
    assert isinstance(good, Example)


@pytest.mark.skipif(not REAL.exists(), reason="the real sentences are not beside the project")
def test_real_sentences_are_read_to_the_last_pair(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(REAL) as archive:
        archive.extractall(tmp_path, filter="data")
    pairs = list(line_pairs(tmp_path / "val.de", tmp_path / "val.en", tmp_path))
    assert len(pairs) == 1014
    assert all(not isinstance(pair, Bad) and pair[1] and pair[2] for pair in pairs)
