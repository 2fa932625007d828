"""imagenet: ILSVRC 2012, a folder per synset for training, one folder with the devkit's list of labels for validation."""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import TYPE_CHECKING

from dlcat.readers.examples import Bad, Example, expect, for_split, reader
from dlcat.readers.fetched import missing, names_in, require_file
from dlcat.readers.matlab import Variable, headers, values
from dlcat.readers.text_files import text_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEVKIT = "ILSVRC2012_devkit_t12/data"
SYNSET = re.compile(r"n\d{8}", re.ASCII)
"""A synset's id: its place in WordNet 3.0's file of nouns."""
FOLDERS = {"train": ("", "train"), "validation": ("", "val", "validation"), "test": ("", "test")}
"""Where the pictures may lie: as upstream's archives unpack, or sorted by hand into a folder of their own."""
TABLE_BYTES = 1 << 24
"""The largest table of synsets that is believed."""
BOXES = ".xml"
"""Bounding boxes lie beside the pictures, where they were fetched."""


def class_names(folder: Path) -> list[str]:
    """What the devkit calls each class, in label order; where two are called the same (crane), with their synset ids."""
    table = synsets(folder / DEVKIT / "meta.mat")
    short = {synset: words.partition(",")[0] for synset, (_, words) in sorted(table.items())}
    often = Counter(short.values())
    return [name if often[name] == 1 else f"{name} ({synset})" for synset, name in short.items()]


@reader(gives="pictures", names=class_names)
def imagenet(folder: Path, split: str) -> Iterator[Example | Bad]:
    """n01440764/*.JPEG for training, ILSVRC2012_val_*.JPEG for validation, test pictures without labels.

    Classes are numbered in the order of the synsets' ids, as everybody does; the devkit's own numbers (ILSVRC2012_ID), in
    which the labels of the validation pictures are written, are translated. Validation pictures that were sorted into a
    folder per synset are read, too.
    """
    tops = for_split(split, FOLDERS)
    if split == "test":
        yield from _unlabelled(folder, tops)
        return
    table = synsets(folder / DEVKIT / "meta.mat")
    classes = {synset: position for position, synset in enumerate(sorted(table))}
    flat = next((top for top in tops if split == "validation" and _listed(folder / top, "val")), None)
    if flat is None:
        yield from _sorted(folder, tops, classes, split)
    else:
        by_number = {number: classes[synset] for synset, (number, _) in table.items()}
        yield from _validation(folder, flat, by_number)


def synsets(path: Path) -> dict[str, tuple[int, str]]:
    """The classes' synset ids, each with the number that the devkit gives it, 1 to 1,000, and its words; from data/meta.mat.

    Raises:
        VerificationError: the table is missing, or not what the devkit's readme says.
    """
    require_file(path, "")
    about = headers(path).get("synsets", Variable("nothing", ()))
    expect(about.kind == "struct", path, "a structure named synsets", f"{about.kind} of shape {about.shape}")
    table = values(path, ["synsets"], most_bytes=TABLE_BYTES)["synsets"]
    wanted = {"ILSVRC2012_ID", "WNID", "num_children", "words"}
    expect(
        len(table) > 0 and wanted <= set(table[0]),
        path,
        f"fields {', '.join(sorted(wanted))}",
        list(table[0]) if table else "none",
    )
    try:
        leaves = [
            row for row in table if int(row["num_children"].item()) == 0
        ]  # the others are what these are kinds of
        found = {str(row["WNID"]): (int(row["ILSVRC2012_ID"].item()), str(row["words"])) for row in leaves}
    except (AttributeError, ValueError, OverflowError) as error:
        expect(False, path, "one number of every synset, and of its children", error)
        raise
    named = all(SYNSET.fullmatch(synset) for synset in found)
    numbered = sorted(number for number, _ in found.values()) == list(range(1, len(leaves) + 1))
    expect(named and numbered, path, f"ids of {len(leaves):,} synsets, numbered from 1", "others")
    return found


def _sorted(folder: Path, tops: tuple[str, ...], classes: dict[str, int], split: str) -> Iterator[Example | Bad]:
    """Pictures in one folder per synset. The root holds those of the training pictures."""
    candidates = [top for top in tops if top or split == "train"]
    found = {top: _folders(folder / top) for top in candidates}
    top = max(candidates, key=lambda candidate: len(found[candidate]))
    if not found[top]:
        raise missing(folder, f"the {split} pictures", split)
    for unknown in sorted(found[top] - set(classes)):
        yield Bad(os.path.join(top, unknown), "a synset of the devkit's table", unknown)
    for synset, label in classes.items():
        inside = os.path.join(top, synset)
        names = sorted(names_in(folder / inside, split)) if synset in found[top] else []
        if not names:
            yield Bad(inside, "pictures of the class", "none")
        for name in names:
            if name.endswith(".JPEG"):
                yield Example(f"{inside}/{name}", label, f"{inside}/{name}")
            elif not name.endswith(BOXES):
                yield Bad(f"{inside}/{name}", "a file named .JPEG", name)


def _validation(folder: Path, top: str, classes: dict[int, int]) -> Iterator[Example | Bad]:
    """Pictures numbered from 1, whose labels are the lines of a file."""
    path = require_file(folder / DEVKIT / "ILSVRC2012_validation_ground_truth.txt", "")
    left = set(_listed(folder / top, "val"))
    place = f"{DEVKIT}/{path.name}"
    for number, line in enumerate(text_lines(path, folder), 1):
        text = "" if isinstance(line, Bad) else line[1].strip()
        name = os.path.join(top, f"ILSVRC2012_val_{number:08d}.JPEG")
        label = classes.get(int(text)) if text.isascii() and text.isdigit() and len(text) < 9 else None
        if label is None:
            yield Bad(f"{place}:{number}", f"a class number, 1 to {len(classes):,}", text[:20])
        elif os.path.basename(name) not in left:
            yield Bad(name, f"a picture, as {path.name} has a line for it", "none")
        else:
            left.remove(os.path.basename(name))
            yield Example(name, label, name)
    for name in sorted(left):
        yield Bad(os.path.join(top, name), f"a line with its label in {path.name}", "none")


def _unlabelled(folder: Path, tops: tuple[str, ...]) -> Iterator[Example]:
    """The test pictures, whose labels were never published."""
    for top in tops:
        if names := _listed(folder / top, "test"):
            for name in names:
                inside = os.path.join(top, name)
                yield Example(inside, None, inside)
            return
    raise missing(folder, "the test pictures", "test")


def _listed(folder: Path, kind: str) -> list[str]:
    """Names of the pictures of a contest's set that lie in a folder, in order."""
    wanted = re.compile(rf"ILSVRC2012_{kind}_\d{{8}}\.JPEG", re.ASCII)
    return sorted(name for name in names_in(folder, "") if wanted.fullmatch(name)) if folder.is_dir() else []


def _folders(folder: Path) -> set[str]:
    """Names of the folders that are synset ids."""
    if not folder.is_dir():
        return set()
    return {each.name for each in os.scandir(folder) if each.is_dir() and SYNSET.fullmatch(each.name)}
