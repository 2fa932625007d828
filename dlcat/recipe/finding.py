"""Which recipes there are, and which one is meant by a name or a path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dlcat.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.locations import Locations

STUDIES = "studies"
"""The folder inside one of recipes that holds those with a `study`."""


def find(locations: Locations, name: str) -> Path:
    """The file of a recipe given by path or by name: `my/x.yaml`, `mnist_lenet`, `recipes/mnist_lenet.yaml`.

    Raises:
        UsageError: there is none; the hint names the closest.
    """
    path = Path(name)
    if path.is_file():
        return path
    # Outside a checkout, recipes/x.yaml of the documentation means the shipped one.
    folders = _folders(locations) if path.parent in (Path("."), Path("recipes"), Path("recipes", STUDIES)) else ()
    for folder in folders:
        for candidate in (folder / path.name, folder / f"{path.name}.yaml"):
            if candidate.is_file():
                return candidate
    known = [found.stem for found in listed(locations)]
    raise UsageError(f"no recipe named {name!r}", hint=f"{nearest(path.stem, known)} (dlcat recipes lists them)")


def listed(locations: Locations) -> list[Path]:
    """Every recipe file by name, of two alike that in the nearer folder; studies last."""
    found: dict[str, Path] = {}
    for folder in _folders(locations):
        for path in sorted(folder.glob("*.yaml")):
            if path.name != "catalog.yaml" and path.is_file():
                found.setdefault(path.name, path)
    return sorted(found.values(), key=lambda path: (path.parent.name == STUDIES, path.name))


def question(path: Path) -> str:
    """The first comment line of a recipe: the question it asks."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("#"):
            return line.lstrip("# ").strip()
        if line.strip():
            break
    return ""


def _folders(locations: Locations) -> Iterator[Path]:
    """Where recipes are, each folder with its studies."""
    for folder in locations.recipes:
        yield from (folder, folder / STUDIES)
