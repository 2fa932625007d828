"""Packages that are verbs too: `dlcat.fetch` holds the modules of fetching, and `dlcat.fetch("mnist")` fetches."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class Verb(ModuleType):
    """A package that calls the function of its name in `dlcat.api`."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        # By name, because the API stands above every package: an import statement here would turn the layers round.
        return getattr(import_module("dlcat.api"), self.__name__.rpartition(".")[2])(*args, **options)


def make_callable(package: str) -> None:
    """Let the package be called; without this, importing dlcat.fetch would hide the function of that name."""
    sys.modules[package].__class__ = Verb
