"""A recipe's own values over those it inherits and under those of --set, each with the place where it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlcat import document
from dlcat.errors import InvalidError, UsageError, nearest

if TYPE_CHECKING:
    from pathlib import Path

    from dlcat.document import Where

LIMIT_PARENTS = 16


def inherit(path: Path, children: tuple[Path, ...]) -> tuple[dict[str, Any], dict[Where, str]]:
    """The file's data over its parents' data, and where each value was written."""
    text = document.load(path)
    places = {where: f"{path}:{line}" for where, line in text.lines.items() if where}
    parent = text.data.pop("extends", None)
    if parent is None:
        return text.data, places
    place = text.at(("extends",))
    if not isinstance(parent, str):
        raise InvalidError(f"{place}: expected the path of a recipe, found {parent!r}")
    target = (path.parent / parent).resolve()
    if target in children or len(children) >= LIMIT_PARENTS:
        raise InvalidError(f"{place}: {parent!r} extends this recipe in turn; expected an end to the chain")
    if not target.is_file():
        known = [found.name for found in target.parent.glob("*.yaml")]
        raise InvalidError(f"{place}: no recipe at {target}", hint=nearest(target.name, known))
    inherited, inherited_places = inherit(target, (*children, path.resolve()))
    mappings = {where[:-1] for where in text.lines if where and isinstance(where[-1], str)}
    for where in text.lines.keys() - mappings:
        _forget(inherited_places, where)
    return _merge(inherited, text.data), inherited_places | places


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Key by key; but a choice of another name brings none of the old one's options along."""
    merged = dict(below)
    for key, value in above.items():
        old: Any = merged.get(key)
        if isinstance(old, str) and isinstance(value, dict):  # the shorthand of a choice
            old = {"name": old}
        same = (
            isinstance(old, dict) and isinstance(value, dict) and value.get("name", old.get("name")) == old.get("name")
        )
        merged[key] = _merge(old, value) if same else value
    return merged


def override(raw: dict[str, Any], places: dict[Where, str], text: str) -> None:
    """Set one value in place: `optimizer.lr=0.05`, `model.norm.groups=4`, `augment.0.probability=0.3`."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text}: expected KEY=VALUE", hint="for example --set optimizer.lr=0.05")
    place = f"--set {key.strip()}"
    steps: Where = tuple(int(step) if step.isdecimal() else step for step in key.strip().split("."))
    node: Any = raw
    for step in steps[:-1]:
        node = _step_into(node, step, place)
    if isinstance(node, list) and not (isinstance(steps[-1], int) and steps[-1] < len(node)):
        raise UsageError(f"{place}: there are {len(node)} items; expected a number below that, found {steps[-1]!r}")
    written = document.parse(f"value: {value}", place).data
    if len(written) > 1:
        raise UsageError(f"{place}: expected one value, found {len(written)} lines of keys and values")
    node[steps[-1]] = written["value"]
    _forget(places, steps)
    for length in range(1, len(steps) + 1):
        places.setdefault(steps[:length], place)
    places[steps] = place


def _forget(places: dict[Where, str], where: Where) -> None:
    """Drop the places below `where`: what was written there is replaced."""
    for place in [place for place in places if len(place) > len(where) and place[: len(where)] == where]:
        del places[place]


def _step_into(node: Any, step: str | int, place: str) -> Any:
    if isinstance(node, list):
        if not isinstance(step, int) or step >= len(node):
            raise UsageError(f"{place}: there are {len(node)} items; expected a number below that, found {step!r}")
        inner = node[step]
    else:
        inner = node.get(step)
    if isinstance(inner, str):  # the shorthand of a choice
        inner = {"name": inner}
    if inner is None:
        inner = {}
    if not isinstance(inner, dict | list):
        raise UsageError(f"{place}: {step!r} is {inner!r}, which has nothing inside")
    node[step] = inner
    return inner
