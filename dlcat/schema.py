"""Plain data into records that are a schema (dataclasses), with every fault named at once; the caller knows the lines."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from dlcat.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.document import Where

Fault = tuple["Where", str]
"""Where in the data, and what is wrong there."""


class Schema:
    """What YAML may say where `record`, a dataclass with `__pydantic_config__`, is expected."""

    def __init__(self, record: type[Any]) -> None:
        self._adapter = TypeAdapter(record)
        # Fields that dlcat fills in itself, such as a dataset's name; no file may set them.
        self._internal = {item.name for item in fields(record) if item.metadata.get("internal")}
        self._json_schema = self._adapter.json_schema()
        for name in self._internal:
            self._json_schema["properties"].pop(name)

    def read(self, raw: dict[str, Any]) -> tuple[Any, list[Fault]]:
        """The record that `raw` describes, or None and all the faults."""
        own = sorted(self._internal & raw.keys())
        faults: list[Fault] = [((key,), f"unknown key {key!r}; {nearest(key, self._keys_at(()))}") for key in own]
        try:
            # Through JSON, because strict validation takes a mapping for a dataclass only there.
            record = self._adapter.validate_json(json.dumps({key: raw[key] for key in raw if key not in own}))
        except ValidationError as error:
            return None, [*faults, *self._faults(error)]
        return (None, faults) if faults else (record, [])

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of the record, with choices as people write them: a name, or a mapping."""
        schema = copy.deepcopy(self._json_schema)
        for name, definition in schema.get("$defs", {}).items():
            if name == "Choice":
                definition["properties"].pop("options")
                definition["additionalProperties"] = True
                schema["$defs"][name] = {
                    "description": definition["description"],
                    "anyOf": [{"type": "string"}, definition],
                }
        return schema

    def _faults(self, error: ValidationError) -> Iterator[Fault]:
        for problem in error.errors(include_url=False):
            # pydantic puts the branch of a union into the path; that is no key of the file.
            where = tuple(part for part in problem["loc"] if isinstance(part, int) or not _BRANCH.search(part))
            match problem["type"]:
                case "unexpected_keyword_argument":
                    key = str(where[-1])
                    yield where, f"unknown key {key!r}; {nearest(key, self._keys_at(where[:-1]))}"
                case "missing" | "missing_argument" | "missing_keyword_only_argument":
                    yield where, "expected this key, found nothing"
                case _:
                    yield where, f"{_sentence(problem['msg'])}, found {short(problem['input'])}"

    def _keys_at(self, where: Where) -> list[str]:
        """The keys that are allowed at that place, read off the JSON Schema."""
        node = self._json_schema
        for part in where:
            node = self._resolve(node)
            if isinstance(part, int):
                node = node.get("items", {})
            elif part in node.get("properties", {}):
                node = node["properties"][part]
            else:
                node = node.get("additionalProperties") or {}
        return list(self._resolve(node).get("properties", {}))

    def _resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in node:
            found: dict[str, Any] = self._json_schema["$defs"][node["$ref"].rpartition("/")[2]]
            return found
        for branch in node.get("anyOf", ()):
            if "$ref" in branch:
                return self._resolve(branch)
        return node


def choice(raw: Any) -> Any:
    """`idx` and `{name: idx, option: 1}` in the one form that the record Choice has; anything else as it is."""
    if isinstance(raw, str):
        return {"name": raw}
    if isinstance(raw, dict):
        named = {"name": raw["name"]} if "name" in raw else {}
        return {**named, "options": {key: value for key, value in raw.items() if key != "name"}}
    return raw


def short(value: Any) -> str:
    """The value as Python writes it, cut to a length that fits a line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_BRANCH = re.compile(r"[\[\](){}]|^(str|int|float|bool|constrained-\w+)$")


def _sentence(message: str) -> str:
    text = message.removeprefix("Input should be ").removeprefix("Value error, ")
    return f"expected {text}" if text != message else message[0].lower() + message[1:]
