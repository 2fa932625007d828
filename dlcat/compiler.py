"""Does without torch's compiler where nothing is compiled: importing it takes more than a second."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMPILER = "torch._dynamo"
T = TypeVar("T")


@contextmanager
def without_compiler() -> Iterator[None]:
    """Spare the import of torch's compiler, unless somebody asks for it.

    Torch keeps its compiler out of methods of optimizers and of the Python functions behind the meta device, and imports it
    to do so. Where nothing is compiled, a module that leaves functions as they are stands in for it.
    """
    if COMPILER in sys.modules:
        yield
        return
    stand_in = _StandIn()
    try:
        yield
    finally:
        stand_in.leave()


def uncompiled(events: Iterator[T]) -> Iterator[T]:
    """The same, made without the compiler."""
    with without_compiler():
        yield from events


class _StandIn(ModuleType):
    """Answers what torch asks its compiler where it compiles nothing; for anything else the compiler itself is loaded."""

    __path__: list[str] = []  # noqa: RUF012 - as a package has it, so that imports of its modules come to the finder

    def __init__(self) -> None:
        super().__init__(COMPILER)
        self.left_alone: list[Callable[..., Any]] = []
        self.finder = _Finder(self.leave)
        sys.modules[COMPILER] = self
        sys.meta_path.insert(0, self.finder)

    def disable(
        self,
        function: Callable[..., Any],
        recursive: bool = True,  # noqa: ARG002 - torch's signature
        wrapping: bool = True,  # noqa: ARG002
    ) -> Callable[..., Any]:
        """The function as it is, which torch notes as what to call in its place."""
        self.left_alone.append(function)
        return function

    def graph_break(self, msg: str = "") -> None:
        """Nothing: no graph is made."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # whoever looks through all modules does not mean the compiler
            raise AttributeError(name)
        self.leave()
        return getattr(import_module(COMPILER), name)

    def leave(self) -> None:
        """Make room for the compiler, and have torch forget what it noted."""
        if sys.modules.get(COMPILER) is self:
            del sys.modules[COMPILER]
        if self.finder in sys.meta_path:
            sys.meta_path.remove(self.finder)
        for function in self.left_alone:
            vars(function).pop("__dynamo_disable", None)
        self.left_alone.clear()


class _Finder(MetaPathFinder, Loader):
    """Has the compiler loaded by itself where one of its own modules is imported."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self.leave = leave

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002 - importlib's
        """That it is to be had here."""
        return ModuleSpec(fullname, self) if fullname.startswith(f"{COMPILER}.") else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module as the compiler's import leaves it."""
        self.leave()
        module = import_module(spec.name)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It is loaded already; where from, importlib has just overwritten."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state
