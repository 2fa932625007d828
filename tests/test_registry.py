"""The contract of every family: a name, positional parameters from dlcat, keyword-only ones from a recipe."""

from __future__ import annotations

import inspect
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt

from dlcat.errors import InvalidError
from dlcat.layers.upsamples import upsample
from dlcat.readers import reader
from dlcat.registry import Choice, Family
from dlcat.train.families import FAMILIES

EVERY_FAMILY = {**FAMILIES, "upsample": upsample, "reader": reader}
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


@pytest.mark.parametrize(
    ("docstring", "cited"),
    [
        ("Within groups (Wu & He 2018, arXiv:1803.08494).", "Wu & He 2018, arXiv:1803.08494"),
        ("The positive part: max(x, 0) (Nair & Hinton 2010).", "Nair & Hinton 2010"),
        ("Steps of (1000) and (2 x) size (arXiv:1412.6980).\n\nMore (Else 1999).", "arXiv:1412.6980"),
        ("No normalization.", None),
    ],
)
def test_a_paper_is_what_the_first_line_cites(docstring: str, cited: str | None) -> None:
    made = Family("cheese", __name__)

    def edam() -> None: ...

    edam.__doc__ = docstring
    made(edam)
    made._found = True
    assert made.paper("edam") == cited


def test_two_members_of_one_name_are_a_mistake(family: Family) -> None:
    def brie() -> None: ...

    with pytest.raises(ValueError, match=r"'cheese' are named 'brie'"):
        family(brie)


def test_a_member_may_say_what_else_is_to_be_known_of_it() -> None:
    @dataclass(frozen=True)
    class Traits:
        smells: bool = False

    made = Family("cheese", "dlcat.errors", Traits)

    @made(smells=True)
    def limburger(weight: int) -> int:
        """Known by its smell."""
        return weight

    @made
    def mozzarella(weight: int) -> int:
        """White and mild."""
        return weight

    assert made["limburger"](5) == 5
    assert [made.traits(name).smells for name in made] == [True, False]
    with pytest.raises(TypeError, match="tastes"):
        made(tastes=True)(len)
    with pytest.raises(InvalidError, match="no cheese named 'edam'"):
        made.traits("edam")


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


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder to install packages in."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def _install(site: Path, package: str, source: str, entry_point: str, group: str = "dlcat.norms") -> None:
    """A package of one module, as pip would leave it."""
    info = site / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry_point}\n")
    (site / f"{package}.py").write_text(source)


ELSEWHERE = """
from torch import nn
from dlcat.layers.norms import norm

@norm
def elsewhere_norm(channels: int, *, strength: float = 2.0) -> nn.Module:
    '''From elsewhere.'''
    return nn.Identity()
"""


def test_another_package_adds_a_member_by_an_entry_point(site: Path, python: Callable[..., str]) -> None:
    _install(site, "elsewhere", ELSEWHERE, "any_name = elsewhere")
    said = python(
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "from dlcat.layers.norms import norm\n"
        "from dlcat.registry import Choice\n"
        "print(norm.describe('elsewhere_norm'), 'batch' in norm, norm.broken)\n"
        "print(norm.bind(Choice(name='elsewhere_norm', options={'strength': 1}))(8))\n"
    )
    assert said.splitlines() == ["From elsewhere. True ()", "Identity()"]


def _reader(name: str, parameters: str, docstring: str = "'''Reads.'''") -> str:
    return f"from dlcat.readers import reader\n\n@reader\ndef {name}({parameters}):\n    {docstring}\n    return 1, 2\n"


BROKEN: dict[str, tuple[str, str, str]] = {
    "raises": ("raise RuntimeError('so it is\\nat length')", "raises", "RuntimeError: so it is"),
    "ends": ("raise SystemExit('usage: ends')", "ends", "SystemExit: usage: ends"),
    "gone": ("", "gone_from_here", "ModuleNotFoundError: No module named 'gone_from_here'"),
    "half": (_reader("half", "folder, split") + "half_done", "half", "NameError: name 'half_done' is not defined"),
    "no_such_thing": ("", "no_such_thing:it", "AttributeError: module 'no_such_thing' has no attribute 'it'"),
    "no_module": ("", "not a module!", "AttributeError: "),
    "bare": ("def bare(folder, split):\n    '''Reads.'''\n", "bare:bare", "is the decorator @reader missing?"),
    "taken": (_reader("idx", "folder, split"), "taken", "two members of family 'reader' are named 'idx'"),
    "short": (_reader("short", "folder"), "short", "expected short(folder, split, *, options), found short(folder)"),
    "long": (_reader("long", "folder, split, size: int = 3"), "long", "found long(folder, split, size: int = 3)"),
    "variable": (_reader("variable", "folder, *rest"), "variable", "found variable(folder, *rest)"),
    "loose": (_reader("loose", "folder, **rest"), "loose", "found loose(folder, **rest)"),
    "silent": (_reader("silent", "folder, split", "pass"), "silent", "silent has no docstring"),
    "untyped": (_reader("untyped", "folder, split, *, size=3"), "untyped", "option 'size' of untyped has no type"),
    "mistyped": (_reader("mistyped", "folder, split, *, size: 'Sise' = 3"), "mistyped", "NameError: name 'Sise'"),
    "odd": (_reader("odd", "folder, split, *, size: object() = 3"), "odd", "PydanticSchemaGenerationError"),
}


def test_what_another_package_cannot_add_is_told_and_stops_nobody(site: Path, python: Callable[..., str]) -> None:
    for package, (source, value, _) in BROKEN.items():
        _install(site, package, source, f"its_name = {value}", "dlcat.readers")
    _install(site, "sound", _reader("sound", "folder, split, *, size: int = 3"), "sound = sound", "dlcat.readers")
    said = python(
        f"import json, sys; sys.path.insert(0, {str(site)!r})\n"
        "from dlcat.errors import InvalidError\n"
        "from dlcat.readers import reader\n"
        "from dlcat.registry import Choice\n"
        "try:\n    reader['half']\nexcept InvalidError as error:\n    told = [error.exit_code, error.message, error.hint]\n"
        "print(json.dumps([sorted(reader), reader.broken, told, reader.check(Choice(name='half'))[1]]))\n"
    )
    members, broken, (code, message, hint), faults = json.loads(said)
    assert set(members) == {*reader, "sound"}
    assert len(broken) == len(BROKEN)
    for package, (_, value, words) in BROKEN.items():
        where = f"{package} 1.0, entry point dlcat.readers: its_name = {value}: cannot be used: "
        (text,) = (line for line in broken if line.startswith(where))
        assert words in text
        assert "\n" not in text
    assert (code, message) == (3, "\n".join(["no reader named 'half'", *broken]))
    assert hint.startswith(f"known: {', '.join(sorted(reader)[:2])}")
    assert faults == [["name", "; ".join(["no reader named 'half'", hint, *broken])]]


def test_a_package_that_stands_twice_on_the_path_is_taken_once(site: Path, python: Callable[..., str]) -> None:
    _install(site, "sound", _reader("sound", "folder, split"), "sound = sound", "dlcat.readers")
    _install(site, "raises", "raise RuntimeError('so it is')", "raises = raises", "dlcat.readers")
    twice = site.parent / "twice"
    shutil.copytree(site, twice)
    said = python(
        f"import sys; sys.path[:0] = [{str(site)!r}, {str(twice)!r}]\n"
        "from dlcat.readers import reader\n"
        "print('sound' in reader, len(reader.broken))\n"
    )
    assert said.split() == ["True", "1"]


COMMANDS = """
import contextlib, io, json, sys
sys.path.insert(0, {site!r})
from dlcat.cli import run
told = []
for arguments in {commands!r}:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = run(arguments)
    told.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(told))
"""


def test_commands_go_on_without_a_broken_package_and_options_tells_of_it(
    site: Path, python: Callable[..., str], place: object
) -> None:
    _install(site, "raises", ELSEWHERE + "raise RuntimeError('so it is')\n", "its_name = raises")
    commands = (
        ["recipes", "check", "digits_quickstart"],
        ["options", "conv"],
        ["options", "norm"],
        ["options", "norm", "--json"],
        ["recipes", "check", "digits_quickstart", "used.yaml"],
    )
    (site.parent / "used.yaml").write_text(
        "dataset: digits\nmodel: {name: lenet, norm: elsewhere_norm}\noptimizer: adam\ntrain: {epochs: 1, batch_size: 4}\n"
    )
    said = python(COMMANDS.format(site=str(site), commands=commands))
    checked, convs, norms, norms_as_json, used = json.loads(said)
    text = "raises 1.0, entry point dlcat.norms: its_name = raises: cannot be used: RuntimeError: so it is"
    assert (checked[0], checked[2]) == (0, "")
    assert (convs[0], convs[2]) == (0, "")
    assert (norms[0], norms[2]) == (0, f"warning: {text}\n")
    assert "batch" in norms[1]
    assert "elsewhere_norm" not in norms[1]
    assert (norms_as_json[0], norms_as_json[2], json.loads(norms_as_json[1])["broken"]) == (0, "", [text])
    assert used[0] == 3
    assert "used.yaml:2: model.norm.name: no norm named 'elsewhere_norm'" in used[2]
    assert text in used[2]


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
