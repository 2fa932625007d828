"""Readers of text meet anything: they give examples, name what is none, or refuse the file, and nothing else happens."""

from __future__ import annotations

import bz2
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import DlcatError
from dlcat.readers import Bad, Example, reader
from dlcat.registry import Choice
from tests import upstream
from tests.upstream.wikipedia import write as write_wikipedia

TMX = '<tmx><tu>\n<tuv xml:lang="tr"><seg>a &amp; b</seg></tuv>\n<tuv xml:lang="en"><seg>c</seg></tuv>\n</tu></tmx>\n'
PAGE = "  <page>\n<title>A</title>\n<ns>0</ns>\n<id>1</id>\n<text>'''A'''\n&lt;b&gt;</text>\n  </page>\n"


def _tmx(folder: Path, seed: int) -> None:
    (folder / "en-tr.tmx").write_text(TMX * 3)


def _dump(folder: Path, seed: int) -> None:
    (folder / "enwiki-latest-pages-articles.xml.bz2").write_bytes(bz2.compress((PAGE * 4).encode()))


def _enwik8(folder: Path, seed: int) -> None:
    (folder / "enwik8").write_text(PAGE * 20)


def _titles(folder: Path, seed: int) -> None:
    (folder / "wiki" / "fi-en").mkdir(parents=True)
    (folder / "wiki" / "fi-en" / "titles.fi-en").write_text("Suomi ||| Finland\n" * 9)


CASES: dict[str, tuple[Callable[[Path, int], object] | str, str, dict[str, Any]]] = {
    "aclimdb": ("imdb", "unsupervised train", {"target": "rating"}),
    "newsgroups": ("twenty-newsgroups", "train test", {"strip": ["headers", "footers", "quotes"]}),
    "sentiment140": ("sentiment140", "train test", {}),
    "wordnet": ("wordnet", "noun adj adv", {}),
    "wordnet_synsets": ("wordnet", "verb", {}),
    "wordnet_words": ("wordnet", "verb adj", {}),
    "yelp": ("yelp", "train test open", {}),
    "wikitext": (write_wikipedia, "train valid", {}),
    "wikitext, enwik8": (_enwik8, "train valid test", {"part": "enwik8"}),
    "wikitext, dump": (_dump, "train", {"part": "dump-latest"}),
    "blog_authorship": ("blog-authorship", "all", {"target": "age"}),
    "blog_authorship, author": ("blog-authorship", "all", {"target": "author", "authors": 3}),
    "parallel_text": ("wmt18", "train validation test", {}),
    "parallel_text, tmx": (_tmx, "train", {"pair": "tr-en"}),
    "parallel_text, titles": (_titles, "train", {"pair": "fi-en", "corpora": ["wiki-titles"]}),
    "tweets_csv": ("twitter-sentiment", "train test", {"repair": True}),
}
SIGNS = [
    b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"\xe9", b"\xe2\x80\xa8", b"  ", b"|", b"<date>", b"</post>", b"<seg", b"</seg>",
    b"<page>", b"</text>", b"<tu>", b"&#x110000;", b"&#55296;", b"&amp", b" = ", b"\\", b"\\ud800", b"-1", b"999999999999", b"{", b"0x",
]  # fmt: skip
damages = st.tuples(
    st.sampled_from(["cut", "insert", "drop", "double", "replace"]),
    st.floats(0, 1),
    st.integers(1, 200),
    st.sampled_from(SIGNS) | st.binary(max_size=12),
)


def _damaged(content: bytes, kind: str, share: float, length: int, signs: bytes) -> bytes:
    at = round(share * len(content))
    before, after = content[:at], content[at:]
    return {
        "cut": before,
        "insert": before + signs + after,
        "drop": before + after[length:],
        "double": before + after[:length] * 3 + after[length:],
        "replace": before + signs + after[len(signs) :],
    }[kind]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a case's dataset, whole."""

    def call(case: str) -> Path:
        folder = tmp_path_factory.getbasetemp() / f"survive {case}"
        source, _, _ = CASES[case]
        if not folder.exists():
            folder.mkdir()
            if isinstance(source, str):
                upstream.write(source, folder)
            else:
                source(folder, 0)
        return folder

    return call


def _read(folder: Path, case: str) -> int:
    """How many examples there are; the law of what a reader may do is in here."""
    _, splits, options = CASES[case]
    count = 0
    for split in splits.split():
        with suppress(DlcatError):
            for each in reader.bind(Choice(name=case.partition(",")[0], options=options))(folder, split):
                assert (folder / each.place.partition(":")[0]).exists()
                if isinstance(each, Bad):
                    str(each).encode()
                    assert len(str(each)) < 1000
                else:
                    count += 1
                    _require_plain(each)
    return count


def _require_plain(example: Example) -> None:
    for text in (example.input, example.target, example.group, example.place):
        repr(text).encode()  # what is read can be written
        if isinstance(text, str):
            text.encode()


@pytest.mark.parametrize("case", CASES)
def test_a_whole_dataset_has_examples(written: Callable[[str], Path], case: str) -> None:
    assert _read(written(case), case) > 0


@pytest.mark.parametrize("case", CASES)
@given(which=st.integers(0, 10_000), damage=st.lists(damages, min_size=1, max_size=3))
@settings(max_examples=40)
def test_a_damaged_file_gives_examples_bad_ones_or_is_refused(
    written: Callable[[str], Path], case: str, which: int, damage: list[tuple[str, float, int, bytes]]
) -> None:
    folder = written(case)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = files[which % len(files)]
    whole = path.read_bytes()
    content = whole
    for kind, share, length, signs in damage:
        content = _damaged(content, kind, share, length, signs)
    try:
        path.write_bytes(content)
        _read(folder, case)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("case", CASES)
@given(content=st.binary(max_size=300))
@settings(max_examples=20)
def test_a_file_of_anything_gives_examples_bad_ones_or_is_refused(
    written: Callable[[str], Path], case: str, content: bytes
) -> None:
    folder = written(case)
    path = max((path for path in folder.rglob("*") if path.is_file()), key=lambda each: each.stat().st_size)
    whole = path.read_bytes()
    try:
        path.write_bytes(content)
        _read(folder, case)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("case", CASES)
def test_a_folder_without_files_is_refused(written: Callable[[str], Path], case: str, tmp_path: Path) -> None:
    shutil.copytree(written(case), tmp_path / "copy", copy_function=lambda *_: None)
    assert _read(tmp_path / "copy", case) == 0
    assert _read(tmp_path, case) == 0
