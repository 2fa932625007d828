"""A dataset of pictures as the workspace opens it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from dlcat.catalog import Dataset
from dlcat.readers import EncodedExamples, prepare
from dlcat.workspace import Workspace
from tests import upstream


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


@pytest.fixture(scope="session")
def master(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """master("fsdd"): the folder of a tiny dataset, written once; whoever changes a file there puts it back."""

    @cache
    def call(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        upstream.write(name, folder)
        return folder

    return call


@pytest.fixture
def tiny(tmp_path: Path, master: Callable[[str], Path]) -> Callable[[str], Path]:
    """tiny("fsdd"): a copy of it, to be changed at will."""

    def call(name: str) -> Path:
        return Path(shutil.copytree(master(name), tmp_path / name))

    return call
