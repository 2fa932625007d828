"""Open Images: CSV files of pictures, checked labels and boxes, and folders of JPEG files named by 16 hexadecimal digits."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from tests.pictures import write_jpeg
from tests.upstream import Written

CLASSES = {
    "/m/011k07": "Tortoise",
    "/m/0mkg": "Accordion",
    "/m/01yrx": "Cat",
    "/m/0h8n5zk": "Kitchen & dining room table",
}
COUNTS = {"train": 16, "validation": 12, "test": 12}
LISTS = {split: f"{split}-images-{'boxable-' * (split == 'train')}with-rotation.csv" for split in COUNTS}
BOXES = {split: f"{'oidv6-' * (split == 'train')}{split}-annotations-bbox.csv" for split in COUNTS}
LIST_HEADER = [
    "ImageID",
    "Subset",
    "OriginalURL",
    "OriginalLandingURL",
    "License",
    "AuthorProfileURL",
    "Author",
    "Title",
    "OriginalSize",
    "OriginalMD5",
    "Thumbnail300KURL",
    "Rotation",
]
BOX_HEADER = [
    "ImageID",
    "Source",
    "LabelName",
    "Confidence",
    "XMin",
    "XMax",
    "YMin",
    "YMax",
    "IsOccluded",
    "IsTruncated",
    "IsGroupOf",
    "IsDepiction",
    "IsInside",
]
CLICKS = [f"XClick{number}{axis}" for axis in "XY" for number in range(1, 5)]
"""Columns that the training split has beside."""
TITLES = ["Tortue, à l'ombre", 'the "cat"', "two\nlines, really", "", "plain"]
SAID = {
    "IsOccluded": "occluded",
    "IsTruncated": "truncated",
    "IsGroupOf": "group",
    "IsDepiction": "depiction",
    "IsInside": "inside",
}

Boxes = dict[str, list[dict[str, Any]]]


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """All splits; the pictures with the labels that people checked."""
    return write_both(folder, seed)[0]


def write_both(folder: Path, seed: int) -> tuple[dict[str, list[Written]], dict[str, list[Written]]]:
    """All splits; the pictures with their labels, and as records with their boxes."""
    draw = np.random.default_rng(seed)
    (folder / "class-descriptions-boxable.csv").write_text("".join(f"{key},{name}\n" for key, name in CLASSES.items()))
    pictures, records = {}, {}
    for split, count in COUNTS.items():
        identities = [f"{number:016x}" for number in draw.integers(0, 1 << 64, count, dtype=np.uint64).tolist()]
        turns = [("0", "90", "", "nan")[int(at)] for at in draw.integers(0, 4, count)]
        paths = [_write_picture(folder, split, identity, draw) for identity in identities]
        _write_list(folder / LISTS[split], split, identities, turns, draw)
        labels = _write_labels(folder / f"{split}-annotations-human-imagelabels-boxable.csv", identities, draw)
        pictures[split] = [
            Written(path, labels[identity][0], absent=labels[identity][1])
            for identity, path in zip(identities, paths, strict=True)
        ]
        boxes = _write_boxes(folder / BOXES[split], split, identities, draw)
        records[split] = _records(identities, paths, turns, boxes)
    return pictures, records


def _write_picture(folder: Path, split: str, identity: str, draw: np.random.Generator) -> str:
    """The archives of the training split are one per first digit."""
    top = f"train_{identity[0]}" if split == "train" else split
    (folder / top).mkdir(exist_ok=True)
    write_jpeg(folder / top / f"{identity}.jpg", draw)
    return f"{top}/{identity}.jpg"


def _write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


def _write_list(path: Path, split: str, identities: list[str], turns: list[str], draw: np.random.Generator) -> None:
    titles = [TITLES[int(at)] for at in draw.integers(0, len(TITLES), len(identities))]
    url = "https://farm1.staticflickr.com/5615/15335861457_ec2be7a54c_o.jpg"
    terms = "https://creativecommons.org/licenses/by/2.0/"
    rows = [
        [identity, split, url, url, terms, url, "Ana, Müller", title, 4504, "0If6SHgYqt0=", "", turn]
        for identity, title, turn in zip(identities, titles, turns, strict=True)
    ]
    _write_csv(path, LIST_HEADER, rows)


def _write_labels(
    path: Path, identities: list[str], draw: np.random.Generator
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Who has which class, who has not; of others nobody knows, and of some people disagree."""
    rows, found = [], {}
    for identity in identities:
        answers = {name: int(draw.integers(0, 4)) for name in CLASSES}
        for key, answer in answers.items():
            rows += [[identity, "verification", key, answer]] if answer < 2 else []
            rows += (
                [[identity, "verification", key, 0], [identity, "crowdsource-verification", key, 1]]
                if answer == 2
                else []
            )
        there, absent = (
            tuple(CLASSES[key] for key, answer in answers.items() if answer == is_there) for is_there in (1, 0)
        )
        found[identity] = (there, absent)
    _write_csv(path, ["ImageID", "Source", "LabelName", "Confidence"], [rows[at] for at in draw.permutation(len(rows))])
    return found


def _write_boxes(path: Path, split: str, identities: list[str], draw: np.random.Generator) -> Boxes:
    """Rows of one picture stand together, in the order of ids; some pictures have none."""
    found: Boxes = {}
    rows = []
    more = CLICKS if split == "train" else []
    for identity in sorted(identities)[2:]:
        found[identity] = []
        for _ in range(int(draw.integers(1, 4))):
            key = list(CLASSES)[int(draw.integers(len(CLASSES)))]
            left, right = sorted(round(float(value), 6) for value in draw.uniform(0, 1, 2))
            top, bottom = sorted(round(float(value), 6) for value in draw.uniform(0, 1, 2))
            flags = [int(flag) for flag in draw.integers(-1, 2, 5)]
            rows.append([identity, "xclick", key, 1, left, right, top, bottom, *flags, *[0.5] * len(more)])
            said = {SAID[name]: {0: False, 1: True, -1: None}[flag] for name, flag in zip(SAID, flags, strict=True)}
            found[identity].append({"class": CLASSES[key], "box": [left, top, right, bottom], **said})
    _write_csv(path, [*BOX_HEADER, *more], rows)
    return found


def _records(identities: list[str], paths: list[str], turns: list[str], boxes: Boxes) -> list[Written]:
    about = {identity: (path, turn) for identity, path, turn in zip(identities, paths, turns, strict=True)}
    order = [*boxes, *(identity for identity in identities if identity not in boxes)]
    written = []
    for identity in order:
        path, turn = about[identity]
        own = boxes.get(identity, [])
        record = {"picture": path, "rotation_degrees": int(turn) if turn.isdigit() else None, "boxes": own}
        written.append(Written(record, tuple(dict.fromkeys(box["class"] for box in own))))
    return written
