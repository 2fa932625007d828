"""The meta device without the compiler that torch imports for it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMPILER = "torch._dynamo"


@contextmanager
def without_compiler() -> Iterator[None]:
    """Spare the import of torch's compiler, two fifths of the time that `dlcat cost` would take.

    Torch marks the Python functions behind the meta device as not to be compiled, when they are first called, and imports
    the compiler to do so. Here nothing is compiled. So a module that leaves functions as they are stands in for it; the
    marks are taken off again in the end, and whoever asks it for anything else is given the compiler.
    """
    if COMPILER in sys.modules:
        yield
        return
    unmarked: list[Callable[..., Any]] = []

    def disable(function: Callable[..., Any], recursive: bool = True, wrapping: bool = True) -> Callable[..., Any]:  # noqa: ARG001
        unmarked.append(function)
        return function

    def compiler(name: str) -> Any:
        if sys.modules.get(COMPILER) is stand_in:
            del sys.modules[COMPILER]
        return getattr(import_module(COMPILER), name)

    stand_in = ModuleType(COMPILER)
    vars(stand_in).update(disable=disable, __getattr__=compiler)
    sys.modules[COMPILER] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(COMPILER) is stand_in:
            del sys.modules[COMPILER]
        for function in unmarked:
            vars(function).pop("__dynamo_disable", None)
