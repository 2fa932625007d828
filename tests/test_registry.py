"""The contract of every family: a name, positional parameters from dlcat, keyword-only ones from a recipe."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt

from dlcat.errors import InvalidError
from dlcat.readers import reader
from dlcat.registry import Choice, Family
from dlcat.train.experiment import FAMILIES

EVERY_FAMILY = {**FAMILIES, "reader": reader}
MEMBERS = [(noun, name) for noun, family in EVERY_FAMILY.items() for name in family]


@pytest.fixture
def family() -> Family:
    """A family that lives in no module."""
    made = Family("cheese", "dlcat.errors")

    @made
    def gouda(weight: int, *, holes: int = 3, age: Annotated[float, Gt(0)] = 1.0) -> Any:
        """Yellow and round.

        Comes in wheels.
        """
        return weight, holes, age

    @made
    def brie(
        weight: int, *, kind: Literal["soft", "ripe"], sizes: tuple[int, ...] = (1,), raw: bool = False, ash: str = ""
    ) -> Any:
        """White and flat."""
        return weight, kind, sizes, raw, ash

    return made


def test_members_are_known_by_their_function_names(family: Family) -> None:
    assert list(family) == ["gouda", "brie"]
    assert "brie" in family
    assert "edam" not in family
    assert family["gouda"](5) == (5, 3, 1.0)


def test_a_description_is_the_first_line_of_the_docstring(family: Family) -> None:
    assert family.describe("gouda") == "Yellow and round."


def test_two_members_of_one_name_are_a_mistake(family: Family) -> None:
    def brie() -> None: ...

    with pytest.raises(ValueError, match=r"'cheese' are named 'brie'"):
        family(brie)


def test_an_unknown_name_is_met_with_the_closest(family: Family) -> None:
    with pytest.raises(InvalidError) as caught:
        family["guda"]
    assert caught.value.message == "no cheese named 'guda'"
    assert caught.value.hint == "did you mean 'gouda'?"
    with pytest.raises(InvalidError) as caught:
        family["zzz"]
    assert caught.value.hint == "known: brie, gouda"


def test_options_are_bound_and_dlcat_supplies_the_rest(family: Family) -> None:
    assert family.bind(Choice(name="gouda", options={"holes": 9}))(5) == (5, 9, 1.0)


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ({"kind": "ripe"}, (1, "ripe", (1,), False, "")),
        ({"kind": "soft", "sizes": [3, 4]}, (1, "soft", (3, 4), False, "")),
        ({"kind": "soft", "sizes": []}, (1, "soft", (), False, "")),
        ({"kind": "soft", "raw": True, "ash": "yes"}, (1, "soft", (1,), True, "yes")),
    ],
)
def test_a_list_stands_for_a_tuple(family: Family, options: dict[str, Any], made: Any) -> None:
    assert family.bind(Choice(name="brie", options=options))(1) == made


def test_an_integer_stands_for_a_float(family: Family) -> None:
    values, faults = family.check(Choice(name="gouda", options={"age": 2}))
    assert (values, faults) == ({"age": 2.0}, [])
    assert isinstance(values["age"], float)


@pytest.mark.parametrize(
    ("choice", "option", "words"),
    [
        (Choice(name="guda"), "name", "no cheese named 'guda'; did you mean 'gouda'?"),
        (Choice(name="gouda", options={"hols": 1}), "hols", "did you mean 'holes'?"),
        (Choice(name="gouda", options={"weight": 1}), "weight", "no option 'weight'"),
        (Choice(name="gouda", options={"holes": "3"}), "holes", "expected a valid integer, found '3'"),
        (Choice(name="gouda", options={"holes": 3.0}), "holes", "expected a valid integer, found 3.0"),
        (Choice(name="gouda", options={"holes": True}), "holes", "found True"),
        (Choice(name="gouda", options={"holes": None}), "holes", "found None"),
        (Choice(name="gouda", options={"age": 0}), "age", "greater than 0, found 0"),
        (Choice(name="gouda", options={"age": [1]}), "age", "expected a valid number"),
        (Choice(name="brie"), "name", "cheese 'brie' needs the option 'kind'"),
        (Choice(name="brie", options={"kind": "hard"}), "kind", "'soft' or 'ripe', found 'hard'"),
        (Choice(name="brie", options={"kind": "soft", "sizes": 3}), "sizes", "found 3"),
        (Choice(name="brie", options={"kind": "soft", "sizes": [1, "x"]}), "sizes", "expected a valid integer"),
        (Choice(name="brie", options={"kind": "soft", "raw": 1}), "raw", "found 1"),
        (Choice(name="brie", options={"kind": "soft", "ash": 1}), "ash", "found 1"),
    ],
    ids=str,
)
def test_a_wrong_choice_is_refused_at_the_wrong_option(family: Family, choice: Choice, option: str, words: str) -> None:
    _, faults = family.check(choice)
    assert [name for name, _ in faults] == [option]
    assert words in faults[0][1]
    with pytest.raises(InvalidError, match="cheese"):
        family.bind(choice)


def test_all_faults_of_a_choice_are_told_at_once(family: Family) -> None:
    _, faults = family.check(Choice(name="brie", options={"sizes": 1, "wheel": 2}))
    assert [name for name, _ in faults] == ["sizes", "wheel", "name"]


@pytest.mark.parametrize("options", [{}, {"a": 1}, {"a": [1, "x"], "b": None}])
def test_a_choice_is_written_as_people_write_it(options: dict[str, Any]) -> None:
    assert Choice(name="x", options=options).plain() == ({"name": "x", **options} if options else "x")


def test_members_are_found_in_every_module_of_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    home = tmp_path / "made_up_home"
    home.mkdir()
    (home / "__init__.py").write_text("from dlcat.registry import Family\nthing = Family('thing', __name__)\n")
    for name in ("one", "two"):
        (home / f"{name}.py").write_text(f"from made_up_home import thing\n\n@thing\ndef {name}(): '''{name}.'''\n")
    monkeypatch.syspath_prepend(tmp_path)
    request.addfinalizer(lambda: [sys.modules.pop(name) for name in [*sys.modules] if name.startswith("made_up_home")])
    import importlib

    package: ModuleType = importlib.import_module("made_up_home")
    assert "made_up_home.one" not in sys.modules  # asking for nothing imports nothing
    assert sorted(package.thing) == ["one", "two"]


def test_another_package_adds_a_member_by_an_entry_point(tmp_path: Path, python: Callable[..., str]) -> None:
    other = tmp_path / "site"
    info = other / "elsewhere-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dlcat.norms]\nany_name = elsewhere\n")
    (other / "elsewhere.py").write_text(
        "from torch import nn\n"
        "from dlcat.layers.norms import norm\n\n"
        "@norm\n"
        "def elsewhere_norm(channels: int, *, strength: float = 2.0) -> nn.Module:\n"
        "    '''From elsewhere.'''\n"
        "    return nn.Identity()\n"
    )
    said = python(
        f"import sys; sys.path.insert(0, {str(other)!r})\n"
        "from dlcat.layers.norms import norm\n"
        "from dlcat.registry import Choice\n"
        "print(norm.describe('elsewhere_norm'), 'batch' in norm)\n"
        "print(norm.bind(Choice(name='elsewhere_norm', options={'strength': 1}))(8))\n"
    )
    assert said.splitlines() == ["From elsewhere. True", "Identity()"]


@pytest.mark.parametrize(("noun", "name"), MEMBERS, ids=[f"{noun}-{name}" for noun, name in MEMBERS])
def test_every_member_keeps_the_contract(noun: str, name: str) -> None:
    family = EVERY_FAMILY[noun]
    member = family[name]
    kinds = {parameter.kind for parameter in inspect.signature(member).parameters.values()}
    assert kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    assert family.describe(name).endswith(".")
    defaults = {option.name: option.default for option in family.options(name).values() if not option.required}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}
    values, faults = family.check(Choice(name=name, options=plain))
    assert [fault for fault in faults if "needs the option" not in fault[1]] == []  # a default is a legal value
    assert values == defaults
