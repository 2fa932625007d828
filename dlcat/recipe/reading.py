"""A recipe out of its text: inheritance, overrides and shorthand resolved, every fault named at once with its place."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from dlcat import document
from dlcat.errors import InvalidError
from dlcat.recipe.finding import question
from dlcat.recipe.inheritance import inherit, override
from dlcat.recipe.records import PARTS, Recipe, at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dlcat.document import Where
    from dlcat.schema import Fault, Schema


def load(
    path: Path, *, overrides: tuple[str, ...] = (), check: Callable[[dict[str, Any]], list[Fault]] | None = None
) -> Recipe:
    """Read a recipe, its parents and its overrides.

    Args:
        path: the YAML file.
        overrides: `key.key=value` as given to --set, applied in order after inheritance.
        check: looks at the resolved plain data for what this module cannot know (names of members and their options), and
            returns faults, which are reported together with those of the schema.

    Raises:
        InvalidError: one line per fault, all of them together.
    """
    raw, places = inherit(path, ())
    for text in overrides:
        override(raw, places, text)
    return replace(_read(raw, places, str(path), check), name=path.stem, question=question(path))


def read(text: str, name: str) -> Recipe:
    """A whole recipe, as `to_yaml` writes it, from a text that stands in `name`.

    Raises:
        InvalidError: one line per fault, all of them together.
    """
    found = document.parse(text, name)
    return _read(found.data, {where: f"{name}:{line}" for where, line in found.lines.items() if where}, name, None)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe file, for editors that complete and check it."""
    schema = _schema().json_schema()
    model = schema["$defs"]["Model"]
    model["properties"].pop("options")
    model["additionalProperties"] = True
    schema["$defs"]["Model"] = {"description": model["description"], "anyOf": [{"type": "string"}, model]}
    schema["properties"]["extends"] = {"type": "string", "description": "A recipe to inherit from."}
    schema.pop("required", None)  # a recipe that extends another may leave out anything
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "dlcat recipe"}


@cache
def _schema() -> Schema:
    """Made once: a study reads a recipe for every cell."""
    from dlcat.schema import Schema

    return Schema(Recipe)


def _read(
    raw: dict[str, Any], places: dict[Where, str], name: str, check: Callable[[dict[str, Any]], list[Fault]] | None
) -> Recipe:
    normal = _normal(raw)
    recipe, faults = _schema().read(normal)
    faults += check(normal) if check else []
    if faults:
        lines = [f"{at(places, where, name)}: {text}" for where, text in faults]
        raise InvalidError("\n".join(dict.fromkeys(lines)))
    result: Recipe = replace(recipe, places=places)
    return result


def _normal(raw: dict[str, Any]) -> dict[str, Any]:
    """Shorthand written out: every choice as {name, options}, the model's parts apart from its options."""
    from dlcat.schema import choice

    normal = dict(raw)
    for key in ("dataset", "inputs", "task", "regularizer", "optimizer", "schedule", "baseline"):
        if key in normal:
            normal[key] = choice(normal[key])
    for key in ("augment", "mix"):
        if isinstance(normal.get(key), list):
            normal[key] = [choice(item) for item in normal[key]]
    train = normal.get("train")
    if (
        isinstance(train, dict) and train.get("folds") is not None
    ):  # the default share is not meant where there are folds
        normal["train"] = {"validation": 0, **train}
    model = choice(normal.get("model"))
    if isinstance(model, dict):
        parts = {part: choice(model["options"].pop(part)) for part in PARTS if part in model.get("options", {})}
        normal["model"] = model | parts
    return normal
