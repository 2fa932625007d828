"""image_folder: a tree with one folder per split, in it one folder per class, in that the pictures."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dlcat.readers.examples import Example, expect, reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


@reader(gives="pictures")
def image_folder(folder: Path, split: str, *, inside: str = "", classes: tuple[str, ...] = ()) -> Iterator[Example]:
    """Pictures in <inside>/<split>/<class>/, at any depth; labels in the order of `classes`, or else of the folders' names."""
    top = folder / inside / split
    expect(top.is_dir(), top, "a folder with one folder per class", "none")
    found = sorted(each.name for each in os.scandir(top) if each.is_dir() and not each.name.startswith("."))
    expect(len(found) > 0, top, "one folder per class", "none")
    names = list(classes) or found
    expect(set(found) == set(names), top, f"the folders {_some(names)}", _some(found))
    for label, name in enumerate(names):
        pictures = _pictures(top / name)
        expect(len(pictures) > 0, top / name, "pictures", "none")
        for path in pictures:
            inside_folder = os.path.relpath(path, folder)
            yield Example(inside_folder, label, inside_folder)


def _pictures(folder: Path) -> list[str]:
    """Every file below, in an order that is the same on every disk; hidden ones are left out.

    Raises:
        VerificationError: one is no picture by its name: what it is should be said, not passed over.
    """
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [os.path.join(parent, name) for name in files if not name.startswith(".")]
    for path in found:
        expect(path.lower().endswith(ENDINGS), folder, f"pictures ({' '.join(ENDINGS)})", os.path.basename(path))
    return sorted(found, key=os.fsencode)


def _some(names: list[str]) -> str:
    """The first few, and how many there are."""
    return ", ".join(sorted(names)[:5]) + (f", ... ({len(names)})" if len(names) > 5 else "")
