"""Pictures with several classes are prepared with what is known of each: there, not there, and nobody looked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dlcat import locations
from dlcat.readers import EncodedExamples
from dlcat.readers.prepare import prepare
from dlcat.registry import Choice
from dlcat.workspace import Workspace
from tests import upstream

UNKNOWN = 255


def _prepared(name: str, split: str, reader: str, folder: Path) -> tuple[EncodedExamples, list[upstream.Written]]:
    source = folder / "source"
    source.mkdir()
    written = upstream.write(name, source)[split]
    dataset = replace(
        Workspace(locations.find()).catalog[name], splits={split: len(written)}, reader=Choice(name=reader)
    )
    found = prepare(dataset, split, folder=source, digests={}, cache=folder / "prepared")
    assert isinstance(found, EncodedExamples)
    return found, written


def test_what_people_checked_is_told_from_what_nobody_looked_for(tmp_path: Path) -> None:
    found, written = _prepared("open-images", "train", "open_images", tmp_path)
    assert found.classes == ("Tortoise", "Accordion", "Cat", "Kitchen & dining room table")  # as the file lists them
    for marks, each in zip(found.targets, written, strict=True):
        assert each.absent is not None
        known = dict.fromkeys(each.absent, 0) | dict.fromkeys(each.target, 1)
        assert marks.tolist() == [known.get(name, UNKNOWN) for name in found.classes]
    assert set(np.unique(found.targets)) == {0, 1, UNKNOWN}


def test_where_all_was_looked_for_nothing_is_unknown(tmp_path: Path) -> None:
    found, written = _prepared("coco", "train2017", "coco_labels", tmp_path)
    assert (found.targets.shape, len(found.classes)) == ((14, 80), 80)
    names = [tuple(name for name, mark in zip(found.classes, marks, strict=True) if mark) for marks in found.targets]
    assert names == [each.target for each in written]


def test_imagenets_classes_are_named_by_the_devkit(tmp_path: Path) -> None:
    found, written = _prepared("imagenet", "validation", "imagenet", tmp_path)
    assert found.classes == ("tench", "goldfish", "great white shark", "tiger shark", "hammerhead")
    assert found.targets.tolist() == [each.target for each in written]


def test_labels_that_were_never_published_are_none(tmp_path: Path) -> None:
    found, _ = _prepared("imagenet", "test", "imagenet", tmp_path)
    assert set(found.targets.tolist()) == {-1}
