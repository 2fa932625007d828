"""json_stream: what the standard library reads at once is what is read element by element, and found again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import VerificationError
from dlcat.readers import json_stream
from dlcat.readers.json_stream import Index, elements

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.text(max_size=4), st.lists(values, max_size=6) | values, max_size=5)


def _lists(content: dict[str, Any]) -> list[str]:
    return [name for name, value in content.items() if isinstance(value, list)]


@given(content=objects, indent=st.sampled_from([None, 1]), escaped=st.booleans(), chunk=st.sampled_from([1, 7, 40]))
@settings(max_examples=50)
def test_the_elements_are_those_that_the_standard_library_finds(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any], indent: int | None, escaped: bool, chunk: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "whole.json"
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=escaped), encoding="utf-8")
    names = _lists(content)
    with pytest.MonkeyPatch.context() as patch, open(path, "rb") as stream:
        patch.setattr(json_stream, "CHUNK_BYTES", chunk)
        index, found = Index(stream), {name: [] for name in names}  # type: ignore[var-annotated]
        for name, element in elements(path, set(names)) if names else ():
            index.add(len(found[name]), element)
            found[name].append(element.decoded())
        again = [index.read(position) for position in range(sum(map(len, found.values())))]
    assert found == {name: content[name] for name in names}
    assert again == [value for name in names for value in content[name]]


@given(raw=st.binary(max_size=60) | st.text('[]{}",:01.eE-+ ntfalsru\\a', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(b'{"a": ' + raw)
    try:
        found = [element.value for _, element in elements(path, {"a"})]
    except VerificationError as error:
        assert str(path) in error.message  # noqa: PT017 - or it was read
    else:
        assert isinstance(found, list)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "byte 0: expected '{', found the end"),
        ("[1]", r"byte 0: expected '{', found '\[1\]'"),
        ('{"b": []}', "byte 8: expected arrays named a, found none"),
        ('{"a": {}}', "byte 6: expected an array for 'a', found '{}}'"),
        ('{"a": [1 2]}', r"byte 9: expected ',', found '2\]}'"),
        ('{"a": [1, tru', r"byte 10: expected JSON \(Expecting value\), found 'tru'"),
        ('{"a": [{"b": "never closed', r"byte 7: expected JSON \(Unterminated string starting at\)"),
        ('{"a": [NaN]}', r"byte 7: expected JSON \(NaN is no JSON\)"),
        ('{"a": ["\x01"]}', r"expected JSON \(Invalid control character at\)"),
        ('{"a": [' + "[" * 100_000, r"byte 7: expected JSON \("),
        ('{"a": [' + "9" * 5000 + "]}", r"byte 7: expected JSON \(Exceeds the limit"),
        ('{a: [1]}', "byte 1: expected a name in quotes, found 'a: "),
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused_with_its_byte(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(VerificationError, match=message) as caught:
        list(elements(path, {"a"}))
    assert caught.value.message.startswith(f"{path}, byte")


def test_an_element_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "CHUNK_BYTES", 10)
    monkeypatch.setattr(json_stream, "ELEMENT_BYTES", 1000)
    path = tmp_path / "a.json"
    path.write_text('{"a": ["' + "x" * 10_000 + '"]}')
    with pytest.raises(VerificationError, match="expected JSON"):
        list(elements(path, {"a"}))


def test_words_that_are_no_utf8_are_told_when_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a": [{"number": 7, "word": "caf\xe9"}]}')
    [(_, element)] = elements(path, {"a"})
    assert element.value["number"] == 7
    with pytest.raises(UnicodeDecodeError):
        element.decoded()
