"""A YAML file as plain data, with the line of every value, and every fault named with file and line.

The subset is YAML 1.2's core schema without tags, anchors and aliases: `no` is a string, `5e-4` is a number, a key may
stand once, and a hostile file (`!!python/object`, alias bombs, endless nesting) is refused before anything is built.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from dlcat.errors import InvalidError

if TYPE_CHECKING:
    from pathlib import Path

Where = tuple[str | int, ...]
"""The keys and positions that lead to a value: ('mnist', 'artifacts', 0, 'size')."""

LIMIT_BYTES = 16 * 1024 * 1024
LIMIT_DEPTH = 32

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML file says (`data`, a mapping) and the line on which each key or item stands."""

    path: str
    data: dict[str, Any]
    lines: dict[Where, int] = field(repr=False)

    def at(self, where: Where) -> str:
        """`file:line: key.key[0]`, with the line of the nearest enclosing value if `where` itself is not in the file."""
        place = where
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.path}:{self.lines.get(place, 1)}: {dotted(where)}"


def dotted(where: Where) -> str:
    """('artifacts', 0, 'size') as people write it: artifacts[0].size."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in where).lstrip(".") or "(top level)"


def load(path: Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Raises:
        InvalidError: the file is missing, too large, not UTF-8, not YAML, or uses what is refused (see the module).
    """
    try:
        with open(path, "rb") as stream:
            raw = stream.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise InvalidError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > LIMIT_BYTES:
        raise InvalidError(f"{path}: larger than {LIMIT_BYTES // 2**20} MiB, which no catalog or recipe is")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InvalidError(f"{path}:{line}: not UTF-8: byte {raw[error.start]:#04x}") from error
    return parse(text, str(path))


def parse(text: str, path: str = "<text>") -> Document:
    """Read YAML text; see `load`. `path` only names the text in errors."""
    lines: dict[Where, int] = {}
    if found := _UNPRINTABLE.search(text):  # checked here because the parser's own error has no line
        line = text.count("\n", 0, found.start()) + 1
        raise InvalidError(f"{path}:{line}: the control character U+{ord(found[0]):04X} is refused")
    try:
        data = _build(_events(text, path), path, lines)
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise InvalidError(f"{path}:{line}: not YAML: {error.problem or error.context}") from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise InvalidError(f"{path}:1: expected keys and values at the top level, found {_kind(data)}")
    return Document(path, data, lines)


def scalar(text: str) -> Any:
    """The value a plain (unquoted) YAML scalar stands for: null, true, 3, 5e-4, or the text itself.

    >>> [scalar(text) for text in ("3", "5e-4", "true", "no", "1.5.2")]
    [3, 0.0005, True, 'no', '1.5.2']
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text) and len(text) < 4000:  # int() refuses more digits than that
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _events(text: str, path: str) -> Any:
    """The parser's events, refusing what could build more, or something else, than plain data."""
    depth = 0
    documents = 0
    events: Any = yaml.parse(text, Loader=_LOADER)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise InvalidError(f"{path}:{line}: a second document starts here; expected one")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InvalidError(
                f"{path}:{line}: anchors and aliases are refused: a few of them can stand for gigabytes",
                hint="write the value out, or use `extends` in a recipe",
            )
        if tag := getattr(event, "tag", None):
            raise InvalidError(
                f"{path}:{line}: the tag {tag!r} is refused: a tag may run code", hint="write a plain value"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > LIMIT_DEPTH:
                raise InvalidError(f"{path}:{line}: nested deeper than {LIMIT_DEPTH} levels")
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        yield event


def _build(events: Any, path: str, lines: dict[Where, int]) -> Any:
    for event in events:
        if isinstance(event, yaml.NodeEvent):
            value = _value(event, events, path, (), lines)
            for _ in events:  # to the end of the stream: a second document is refused there
                pass
            return value
    return None


def _value(event: Any, events: Any, path: str, where: Where, lines: dict[Where, int]) -> Any:
    lines.setdefault(where, event.start_mark.line + 1)
    if isinstance(event, yaml.ScalarEvent):
        return scalar(event.value) if event.implicit[0] else event.value  # plain or quoted
    if isinstance(event, yaml.SequenceStartEvent):
        return _sequence(events, path, where, lines)
    return _mapping(events, path, where, lines)


def _sequence(events: Any, path: str, where: Where, lines: dict[Where, int]) -> list[Any]:
    items: list[Any] = []
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        items.append(_value(event, events, path, (*where, len(items)), lines))
    return items


def _mapping(events: Any, path: str, where: Where, lines: dict[Where, int]) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        line = event.start_mark.line + 1
        if not isinstance(event, yaml.ScalarEvent):
            raise InvalidError(f"{path}:{line}: a key must be a word, not a list or a mapping")
        key = event.value
        if key in mapping:
            first = lines[(*where, key)]
            raise InvalidError(f"{path}:{line}: duplicate key {key!r}; it already stands on line {first}")
        lines[(*where, key)] = line
        mapping[key] = _value(next(events), events, path, (*where, key), lines)
    return mapping


def _kind(value: Any) -> str:
    return {list: "a list", str: "text", int: "a number", float: "a number", bool: "true or false"}.get(
        type(value), type(value).__name__
    )
