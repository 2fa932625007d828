"""Families: the named, exchangeable members (norms, convs, optimizers, readers, ...) that recipes and the catalog choose from.

One contract for all of them. A member is a function; its name is its YAML name; its positional parameters are what
dlcat supplies; its keyword-only parameters are the options a recipe may set; its docstring's first line describes it.
Adding a member is writing one decorated function, here or in another package that names its module in an entry point
(`dlcat.norms`, `dlcat.models`, ...). Where that module cannot be imported, or breaks the contract, the family does without
it, and says so to whoever asks for a member that is not there.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from dlcat.errors import InvalidError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.metadata import EntryPoint

Member = TypeVar("Member", bound="Callable[..., Any]")

STRICT: dict[str, Any] = {"extra": "forbid", "strict": True, "use_attribute_docstrings": True}
"""How pydantic reads the dataclasses that are a schema: no unknown key, no guessing of types."""

_CITATION = re.compile(r"\(([^()]*(?:\b(?:18|19|20)\d\d\b|arXiv:)[^()]*)\)")
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A member of a family by its name, and its options; in YAML `batch` or `{name: group, groups: 8}`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: str
    """The member's name."""
    options: dict[str, Any] = field(default_factory=dict)
    """Its keyword-only options."""

    def plain(self) -> str | dict[str, Any]:
        """The choice as it is written in YAML."""
        return {"name": self.name, **self.options} if self.options else self.name


@dataclass(frozen=True, slots=True)
class Option:
    """One keyword-only parameter of a member."""

    name: str
    type: Any
    default: Any
    required: bool


class Family:
    """The members of one kind by name. An instance is the decorator that adds a member.

    Args:
        noun: what one member is called in YAML, errors and help: 'norm'.
        home: the module or package that defines the members; its modules are imported when a member is first asked for.
        traits: what the rest of dlcat must know of a member beside what it computes; every field has a default.
    """

    def __init__(self, noun: str, home: str, traits: Callable[..., Any] = dict) -> None:
        self.noun = noun
        self._home = home
        self._make_traits = traits
        self._members: dict[str, Callable[..., Any]] = {}
        self._traits: dict[str, Any] = {}
        self._broken: list[str] = []
        self._found = False

    @overload
    def __call__(self, member: Member) -> Member: ...
    @overload
    def __call__(self, **traits: Any) -> Callable[[Member], Member]: ...
    def __call__(self, member: Member | None = None, **traits: Any) -> Member | Callable[[Member], Member]:
        """Add a function as a member under its own name: `@norm`, or with traits `@norm(needs_batch=True)`."""
        if member is None:
            return partial(self.__call__, **traits)
        name = member.__name__
        if name in self._members:
            raise ValueError(f"two members of family {self.noun!r} are named {name!r}")
        self._traits[name] = self._make_traits(**traits)
        self._members[name] = member
        return member

    def __iter__(self) -> Iterator[str]:
        self._discover()
        return iter(self._members)

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._members

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """The member of that name.

        Raises:
            InvalidError: there is none; the hint names the closest.
        """
        self._discover()
        if name not in self._members:
            lines = [f"no {self.noun} named {name!r}", *self._broken]
            raise InvalidError("\n".join(lines), hint=nearest(name, self._members))
        return self._members[name]

    @property
    def broken(self) -> tuple[str, ...]:
        """What other packages wanted to add and could not: package, entry point and reason of each."""
        self._discover()
        return tuple(self._broken)

    def traits(self, name: str) -> Any:
        """What the rest of dlcat must know of the member: an instance of the family's traits."""
        return self._traits[self[name].__name__]

    def describe(self, name: str) -> str:
        """The first line of the member's docstring."""
        return (inspect.getdoc(self[name]) or "").partition("\n")[0]

    def paper(self, name: str) -> str | None:
        """Where the member comes from, as the first line of its docstring cites it: 'Wu & He 2018, arXiv:1803.08494'."""
        cited = _CITATION.findall(self.describe(name))
        return cited[-1] if cited else None

    def options(self, name: str) -> dict[str, Option]:
        """The member's keyword-only parameters: its schema."""
        member = self[name]
        return {
            parameter.name: _option(parameter, inspect.unwrap(member).__globals__)
            for parameter in inspect.signature(member).parameters.values()
            if parameter.kind is parameter.KEYWORD_ONLY
        }

    def check(self, choice: Choice) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """The choice's options as the member takes them, and what is wrong with them as (option, fault)."""
        from pydantic import TypeAdapter, ValidationError

        if choice.name not in self:
            known_names = nearest(choice.name, self._members)
            return {}, [("name", "; ".join([f"no {self.noun} named {choice.name!r}", known_names, *self._broken]))]
        known = self.options(choice.name)
        values: dict[str, Any] = {}
        faults: list[tuple[str, str]] = []
        for name, value in choice.options.items():
            if name not in known:
                faults.append((name, f"no option {name!r} of {self.noun} {choice.name!r}; {nearest(name, known)}"))
                continue
            try:
                # Strict, and through JSON, where a list may stand for a tuple and an integer for a float.
                values[name] = TypeAdapter(known[name].type).validate_json(json.dumps(value), strict=True)
            except ValidationError as error:
                message = error.errors(include_url=False)[0]["msg"].replace("Input should be ", "")
                faults.append(
                    (name, f"{self.noun} {choice.name!r}, option {name!r}: expected {message}, found {value!r}")
                )
        missing = [option.name for option in known.values() if option.required and option.name not in choice.options]
        faults += [("name", f"{self.noun} {choice.name!r} needs the option {name!r}") for name in missing]
        return values, faults

    def bind(self, choice: Choice) -> Callable[..., Any]:
        """The member with its options set, ready for what dlcat supplies.

        Raises:
            InvalidError: no such member or option, or an option of the wrong type; all faults at once.
        """
        values, faults = self.check(choice)
        if faults:
            raise InvalidError("\n".join(text for _, text in faults))
        return partial(self[choice.name], **values)

    def _discover(self) -> None:
        if self._found:
            return
        self._found = True
        module = importlib.import_module(self._home)
        for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
            importlib.import_module(f"{self._home}.{found.name}")
        from importlib.metadata import entry_points

        for entry_point in entry_points(group=f"dlcat.{self.noun}s"):
            self._add(entry_point)

    def _add(self, entry_point: EntryPoint) -> None:
        """Take in what another package adds: all of it or nothing, so that nobody who does without it is stopped."""
        before = dict(self._members)
        try:
            entry_point.load()
            added = [member for name, member in self._members.items() if name not in before]
            for member in added:
                _require_contract(member, self.options(member.__name__), list(before.values()) or [member])
            if not added and not any(_top(member.__module__) == _top(entry_point.module) for member in before.values()):
                raise TypeError(f"it adds no {self.noun}; is the decorator @{self.noun} missing?")
        except (Exception, SystemExit) as error:  # it runs what somebody else wrote
            self._members = before
            package = f"{entry_point.dist.name} {entry_point.dist.version}" if entry_point.dist else "a package"
            where = f"{package}, entry point {entry_point.group}: {entry_point.name} = {entry_point.value}"
            reason = str(error).partition("\n")[0]
            self._broken.append(f"{where}: cannot be used: {type(error).__name__}: {reason}")


def _require_contract(member: Callable[..., Any], options: dict[str, Option], others: list[Callable[..., Any]]) -> None:
    """Stop where a member cannot be called, described or checked as the others of its family can.

    Raises:
        TypeError: it takes other positional parameters, has no docstring, or an option has no type.
        pydantic.PydanticUserError: an option's type is none that can be checked.
    """
    from pydantic import TypeAdapter

    # What some members ask for besides, as a schedule may for looks at validation; else a default is a forgotten star.
    besides = {each.name for other in others for each in _supplied(other) if each.default is not each.empty}
    supplied = [parameter for parameter in _supplied(member) if parameter.name not in besides]
    expected = [parameter for parameter in _supplied(others[0]) if parameter.name not in besides]
    if len(supplied) != len(expected) or any(parameter.kind in _VARIABLE for parameter in supplied):
        wanted = ", ".join([*(parameter.name for parameter in expected), "*", "options"])
        raise TypeError(f"expected {member.__name__}({wanted}), found {member.__name__}{inspect.signature(member)}")
    if not inspect.getdoc(member):
        raise TypeError(f"{member.__name__} has no docstring to describe it by")
    for option in options.values():
        if option.type is inspect.Parameter.empty:
            raise TypeError(f"option {option.name!r} of {member.__name__} has no type")
        TypeAdapter(option.type)


def _supplied(member: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters that are no options: dlcat hands them over by position."""
    parameters = inspect.signature(member).parameters.values()
    return [parameter for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]


def _top(module: str) -> str:
    return module.partition(".")[0]


def _option(parameter: inspect.Parameter, names: dict[str, Any]) -> Option:
    # Only the options' annotations are read: those of what dlcat supplies may name types that are imported for checkers.
    written = parameter.annotation
    required = parameter.default is parameter.empty
    return Option(
        parameter.name,
        eval(written, names) if isinstance(written, str) else written,
        None if required else parameter.default,
        required,
    )
