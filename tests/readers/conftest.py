"""A dataset of pictures as the workspace opens it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dlcat.catalog import Dataset
from dlcat.readers import EncodedExamples, prepare
from dlcat.workspace import Workspace


@pytest.fixture
def folders(gallery: Workspace) -> Dataset:
    """The catalog's entry of the tree."""
    return gallery.catalog["toy"]


@pytest.fixture
def encoded(folders: Dataset, tree: Path, tmp_path: Path) -> Callable[[str], EncodedExamples]:
    """encoded("train"): as the workspace opens it."""

    def call(split: str) -> EncodedExamples:
        found = prepare.prepare(folders, split, folder=tree, digests={}, cache=tmp_path / "prepared")
        assert isinstance(found, EncodedExamples)
        return found

    return call
