"""What a command does not need, it does not import: this is why `dlcat list` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

HEAVY = {"torch", "numpy", "scipy", "sklearn", "requests", "tqdm", "textual", "matplotlib", "PIL", "jinja2", "filelock"}
SCHEMA = {"pydantic", "yaml", "platformdirs"}
COMMANDS = (["--help"], ["--version"], ["list"], ["list", "--json"], ["show", "mnist"], ["plan", "mnist"])
LOADED = """
import contextlib, io, sys
from dlcat.cli import run
with contextlib.redirect_stdout(io.StringIO()) as said:
    code = run({arguments!r})
print(code, len(said.getvalue()) > 10, *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_commands_of_the_catalog_load_nothing_heavy(
    arguments: list[str], python: Callable[..., str], place: object
) -> None:
    code, answered, *loaded = python(LOADED.format(arguments=arguments)).split()
    assert (code, answered) == ("0", "True")
    assert not (HEAVY | SCHEMA) & set(loaded)  # the catalog was validated before, when the place was made


def test_importing_dlcat_imports_only_the_standard_library(python: Callable[..., str]) -> None:
    said = python("import sys; before = set(sys.modules); import dlcat; print(*sorted(set(sys.modules) - before))")
    names = {name.partition(".")[0] for name in said.split()}
    assert names - {"dlcat"} <= sys.stdlib_module_names
    assert {name for name in said.split() if name.startswith("dlcat")} == {"dlcat"}


def test_the_four_verbs_are_there_whatever_is_imported_first(python: Callable[..., str]) -> None:
    said = python(
        "import dlcat, dlcat.fetch.store, dlcat.catalog.search\n"
        "print([callable(getattr(dlcat, name)) for name in dlcat.__all__ if name != '__version__'])\n"
        "print(dlcat.catalog()['mnist'].name)\n"
        "try:\n    dlcat.nothing\nexcept AttributeError as error:\n    print(error)\n"
    )
    assert said.splitlines() == ["[True, True, True, True]", "mnist", "module 'dlcat' has no attribute 'nothing'"]
