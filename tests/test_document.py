"""YAML as plain data with lines: what is read, what is refused, and that nothing else ever comes out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat import document
from dlcat.errors import InvalidError

BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"

REFUSED = {
    "duplicate key": ("a: 1\nb: 2\na: 3\n", 3, "duplicate key 'a'; it already stands on line 1"),
    "nested duplicate": ("a:\n  b: 1\n  b: 2\n", 3, "duplicate key 'b'; it already stands on line 2"),
    "duplicate by quotes": ("a: 1\n'a': 2\n", 2, "duplicate key 'a'"),
    "python object": ("a: 1\nb: !!python/object/apply:os.system [id]\n", 2, "python/object"),
    "local tag": ("a: !secret x\n", 1, "tag"),
    "standard tag": ("a: !!str 1\n", 1, "tag"),
    "tagged mapping": ("\na: !!map {b: 1}\n", 2, "tag"),
    "binary": ("a: !!binary aGk=\n", 1, "tag"),
    "anchor": ("a: 1\nb: &x 2\n", 2, "anchors and aliases"),
    "anchored list": ("a:\n- &x [1]\n", 2, "anchors and aliases"),
    "alias": ("a: *x\n", 1, "anchors and aliases"),
    "merge key": ("a: &x {b: 1}\nc:\n  <<: *x\n", 1, "anchors and aliases"),
    "billion laughs": (BOMB, 1, "anchors and aliases"),
    "second document": ("a: 1\n---\nb: 2\n", 2, "second document"),
    "second document after an end": ("a: 1\n...\n---\nb: 2\n", 3, "second document"),
    "deep flow": ("a: 1\nb: " + "[" * 100 + "]" * 100, 2, "nested deeper"),
    "deep mapping": ("\n".join(" " * depth + "k:" for depth in range(60)), 33, "nested deeper"),
    "control character": ("a: 1\nb: x\x07y\n", 2, "U+0007"),
    "NUL": ("a: 1\n\x00", 2, "U+0000"),
    "half a surrogate pair": ("a: \ud800", 1, "U+D800"),
    "list at the top": ("- 1\n- 2\n", 1, "found a list"),
    "text at the top": ("hello", 1, "found text"),
    "number at the top": ("3", 1, "found a number"),
    "list as a key": ("a: 1\n? [1, 2]\n: 3\n", 2, "a key must be a word"),
    "open bracket": ("a: [1, 2\n", 2, "not YAML"),
    "open quote": ("a: 1\nb: 'x\n", 3, "not YAML"),
    "tab for indentation": ("a:\n\tb: 1\n", 2, "not YAML"),
    "mapping in a line": ("a: b: c\n", 1, "not YAML"),
    "bad indentation": ("a:\n  b: 1\n c: 2\n", 3, "not YAML"),
}

SCALARS: dict[str, Any] = {
    "5e-4": 5e-4,
    "5.0e-4": 5e-4,
    "1e3": 1000.0,
    ".5": 0.5,
    "1.": 1.0,
    "-3": -3,
    "+3": 3,
    "0777": 777,
    "1_000": "1_000",
    "3:20": "3:20",
    "2001-12-14": "2001-12-14",
    "no": "no",
    "yes": "yes",
    "on": "on",
    "off": "off",
    "y": "y",
    "true": True,
    "False": False,
    "tRUE": "tRUE",
    "null": None,
    "~": None,
    "": None,
    "nULL": "nULL",
    ".inf": math.inf,
    "-.inf": -math.inf,
    "inf": "inf",
    "nan": "nan",
    "1.5.2": "1.5.2",
    "0x1F": "0x1F",
    "e3": "e3",
    "-": "-",
    "'5e-4'": "5e-4",
    '"true"': "true",
    "''": "",
    "'~'": "~",
    '"\\u0041"': "A",
    "=": "=",
    "a b": "a b",
    "九": "九",
    "٣": "٣",
    "1" * 5000: math.inf,
}


@pytest.mark.parametrize(("text", "line", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_plain_data_is_refused_with_file_and_line(text: str, line: int, words: str) -> None:
    with pytest.raises(InvalidError) as caught:
        document.parse(text, "some/file.yaml")
    assert caught.value.message.startswith(f"some/file.yaml:{line}: ")
    assert words in caught.value.message


@pytest.mark.parametrize(("written", "meant"), SCALARS.items(), ids=lambda value: str(value)[:12])
def test_scalars_mean_what_yaml_1_2_says(written: str, meant: Any) -> None:
    if written != "-":  # which opens a list
        found = document.parse(f"key: {written}").data["key"]
        assert (found, type(found)) == (meant, type(meant))
    if not written.startswith(("'", '"')):
        assert document.scalar(written) == meant


def test_not_a_number_is_a_number() -> None:
    assert math.isnan(document.scalar(".nan"))


def test_a_merge_key_is_only_a_key() -> None:
    assert document.parse("a: {<<: {b: 1}}").data == {"a": {"<<": {"b": 1}}}


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "~"])
def test_an_empty_file_says_nothing(text: str) -> None:
    assert document.parse(text).data == {}


def test_nesting_is_allowed_to_its_limit_and_not_beyond() -> None:
    def nested(levels: int) -> str:
        return "a: " + "[" * (levels - 1) + "]" * (levels - 1)

    assert document.parse(nested(document.LIMIT_DEPTH)).data
    with pytest.raises(InvalidError, match="nested deeper"):
        document.parse(nested(document.LIMIT_DEPTH + 1))


def test_other_bytes_than_utf_8_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(InvalidError) as caught:
        document.load(path)
    assert caught.value.message == f"{path}:2: not UTF-8: byte 0xe9"


def test_a_file_is_refused_for_its_size_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"[" * (document.LIMIT_BYTES + 1))
    with pytest.raises(InvalidError, match=r"huge\.yaml: larger than 16 MiB"):
        document.load(path)


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidError, match="cannot be read"):
        document.load(tmp_path / name)


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "marked.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert document.load(path).data == {"a": 1, "b": 2}
    assert document.load(path).lines["b",] == 2


def test_a_place_is_named_by_the_nearest_line_above_it() -> None:
    found = document.parse("a:\n  b:\n  - 1\n  - c: 2\n", "f.yaml")
    assert found.at(("a", "b", 1, "c")) == "f.yaml:4: a.b[1].c"
    assert found.at(("a", "b", 1, "lacking")) == "f.yaml:4: a.b[1].lacking"
    assert found.at(("nowhere",)) == "f.yaml:1: nowhere"
    assert found.at(()) == "f.yaml:1: (top level)"


class QuotedDumper(yaml.SafeDumper):
    """Writes texts in quotes, because YAML 1.1, which PyYAML writes, disagrees with 1.2 over plain ones."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


QuotedDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)

texts = st.text(max_size=12)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
plain_data = st.dictionaries(
    texts,
    st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=5,
)


@given(data=plain_data, flow=st.sampled_from([True, False, None]), width=st.sampled_from([20, 80, 1000]))
@settings(max_examples=300)
def test_what_another_writer_wrote_reads_back_equal(data: dict[str, Any], flow: bool | None, width: int) -> None:
    text = yaml.dump(data, Dumper=QuotedDumper, default_flow_style=flow, width=width)
    assert document.parse(text).data == data


words = st.text("abcdefghij", min_size=1, max_size=8)
worded = st.dictionaries(
    words,
    st.recursive(
        st.integers() | words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
    ),
    min_size=1,
    max_size=5,
)


@given(data=worded, flow=st.sampled_from([True, False, None]))
@settings(max_examples=200)
def test_every_line_that_is_recorded_holds_its_key(data: dict[str, Any], flow: bool | None) -> None:
    text = yaml.dump(data, Dumper=QuotedDumper, default_flow_style=flow, width=30)
    found = document.parse(text)
    lines = text.splitlines()
    keys = [(where[-1], number) for where, number in found.lines.items() if where and isinstance(where[-1], str)]
    assert len(keys) >= len(data)
    for key, number in keys:
        assert str(key) in lines[number - 1]


yaml_like = st.text("ab:-[]{}#&*!|>'\"%@`,?~ \n\t.0123<=\\", max_size=60)


@given(text=st.text(max_size=60) | yaml_like)
@settings(max_examples=1000)
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        found = document.parse(text, "f")
    except InvalidError as error:
        assert error.message.startswith("f:")  # noqa: PT017 - or it was read
        return
    assert isinstance(found.data, dict)


@given(raw=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(raw)
    try:
        document.load(path)
    except InvalidError as error:
        assert error.message.startswith(f"{path}:")  # noqa: PT017 - or it was read
