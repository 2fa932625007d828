"""What of a dataset is on the disk: files and folders of pictures, and which part of it brings what is not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dlcat.errors import VerificationError

if TYPE_CHECKING:
    from pathlib import Path


def require_file(path: Path, part: str) -> Path:
    """The file, if it is there.

    Args:
        path: of a file that the reader needs.
        part: of the catalog entry, which brings it.

    Raises:
        VerificationError: it is not there; the hint says how to fetch it.
    """
    if not path.is_file():
        raise missing(path, "a file", part)
    return path


def names_in(folder: Path, part: str) -> frozenset[str]:
    """The names of the files in a folder, so that the pictures of a list need not be asked for one by one.

    Args:
        folder: that the reader needs.
        part: of the catalog entry, which brings it.

    Raises:
        VerificationError: there is no such folder; the hint says how to fetch it.
    """
    try:
        with os.scandir(folder) as found:
            return frozenset(each.name for each in found if each.is_file())
    except OSError as error:
        raise missing(folder, "a folder of files", part) from error


def missing(path: Path, expected: str, part: str) -> VerificationError:
    """The error that says so; without a part, that the dataset is not whole."""
    how = f"`dlcat fetch NAME --part {part}` brings it" if part else "`dlcat verify NAME` says what is missing"
    return VerificationError(f"{path}: expected {expected}, found none", hint=how)
