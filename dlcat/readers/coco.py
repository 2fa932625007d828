"""coco: Common Objects in Context, as records of what is in each picture, or as pictures with the classes that are in them.

The annotations of 118,287 pictures are half a gigabyte of JSON: they are read one by one, and those of a picture are found
again by its number (Lin et al. 2014, arXiv:1405.0312).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from dlcat.readers import fields
from dlcat.readers.examples import Bad, Example, for_split, reader
from dlcat.readers.fetched import names_in, require_file
from dlcat.readers.fields import UnfitError, attempt
from dlcat.readers.json_stream import Index, elements
from dlcat.readers.positions import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Describe = Callable[[Any, dict[int, str]], Any]
    """One annotation and the classes by their numbers, as a record has it."""

Annotations = Literal["instances", "captions", "keypoints", "panoptic", "stuff"]
ANNOTATED = {"train2017": "", "val2017": "", "train2014": "annotations2014", "val2014": "annotations2014"}
"""Splits whose annotations are published, and the part of the catalog entry that brings them."""
UNLABELLED = ("test2017", "unlabeled2017", "test2014", "test2015")
PARTS: dict[Annotations, str] = {"panoptic": "panoptic2017", "stuff": "stuff2017"}
"""What brings annotations that are apart from the others."""


@reader(gives="records")
def coco(folder: Path, split: str, *, annotations: Annotations = "instances") -> Iterator[Example | Bad]:
    """Every picture with its annotations, from annotations/<annotations>_<split>.json; pictures of the test sets without.

    A record has `picture` (a path), `width` and `height`, and by `annotations`:

    - instances, stuff and keypoints: `boxes`, each with `class`, `box` (left, top, width and height in pixels), `area`, `crowd`
      (one box around many), `segmentation` (polygons, or run lengths; None where there is none), and `keypoints` (x, y and
      visibility of each);
    - captions: `captions`;
    - panoptic: `mask` (a PNG whose colours red + 256 green + 65536 blue are ids) and `segments`, each with `id`, `class`, `box`,
      `area` and `crowd`.
    """
    path, prefix = _annotation_file(folder, split, annotations)
    pictures = names_in(folder / split, split)
    masks = f"annotations/panoptic_{split}"
    describe = DESCRIBE[prefix]
    if prefix == "panoptic":
        describe = partial(_segments, masks, names_in(folder / masks, PARTS["panoptic"]))
    with open(path, "rb") as stream:
        listing = _Listing(Index(stream))
        yield from listing.read(path, f"annotations/{path.name}", _keys(prefix))
        for number, picture in listing.pictures.items():
            place = f"{split}/{picture['picture']}"
            if picture["picture"] not in pictures:
                yield Bad(place, f"a picture that {path.name} lists", "none")
                continue
            found = listing.of(number, describe)
            if isinstance(found, Bad):
                yield found
            else:
                record = picture | {"picture": place} | GATHER[prefix](found)
                yield Example(record, _target(found, listing.classes) if prefix in WITH_CLASSES else None, place)


@reader(gives="pictures")
def coco_labels(folder: Path, split: str, *, crowds: bool = True) -> Iterator[Example | Bad]:
    """Every picture with the classes of its instances; `crowds` says whether one box around many of a class counts."""
    for each in coco(folder, split, annotations="instances"):
        if isinstance(each, Bad) or each.target is None:
            yield each if isinstance(each, Bad) else Example(each.input["picture"], None, each.place)
        else:
            there = {box["class"] for box in each.input["boxes"] if crowds or not box["crowd"]}
            assert isinstance(each.target, tuple)
            yield Example(each.input["picture"], tuple(name for name in each.target if name in there), each.place)


def _annotation_file(folder: Path, split: str, annotations: Annotations) -> tuple[Path, str]:
    """The JSON file, and what it begins with."""
    part = for_split(split, ANNOTATED | {name: name for name in UNLABELLED})
    prefix = "image_info" if split in UNLABELLED else annotations.replace("keypoints", "person_keypoints")
    part = PARTS.get(annotations, part) if split in ANNOTATED else part
    return require_file(folder / "annotations" / f"{prefix}_{split}.json", part), prefix


def _keys(prefix: str) -> set[str]:
    """Names of the arrays that such a file has."""
    more: dict[str, set[str]] = {"image_info": set(), "captions": {"annotations"}}
    return {"images"} | more.get(prefix, {"annotations", "categories"})


def _class(said: Any, classes: dict[int, str]) -> str:
    number = fields.field(said, "category_id", int)
    if number not in classes:
        raise UnfitError(f"one of {len(classes)} categories", f"number {number}")
    return classes[number]


def _box(said: Any, classes: dict[int, str]) -> dict[str, Any]:
    """What outlines one object, or a crowd of them."""
    return {
        "class": _class(said, classes),
        "box": fields.box(said),
        "area": fields.number(said, "area"),
        "crowd": fields.field(said, "iscrowd", int) == 1,
        "segmentation": said.get("segmentation"),
    }


def _person(said: Any, classes: dict[int, str]) -> dict[str, Any]:
    points = fields.numbers(said, "keypoints")
    if len(points) % 3:
        raise UnfitError("'keypoints', three numbers each", f"{len(points)} numbers")
    return _box(said, classes) | {"keypoints": [points[start : start + 3] for start in range(0, len(points), 3)]}


def _caption(said: Any, _classes: dict[int, str]) -> str:
    return fields.field(said, "caption", str)


def _segments(folder: str, masks: frozenset[str], said: Any, classes: dict[int, str]) -> dict[str, Any]:
    """A mask that is in the folder, and what its ids stand for."""
    name = fields.field(said, "file_name", str)
    if name not in masks:
        raise UnfitError(f"a mask in {folder}", f"none named {name!r}")
    segments = [
        {"id": fields.field(each, "id", int)}
        | {name: value for name, value in _box(each, classes).items() if name != "segmentation"}
        for each in fields.field(said, "segments_info", list)
    ]
    return {"mask": f"{folder}/{name}", "segments": segments}


def _nothing(_said: Any, _classes: dict[int, str]) -> None:
    """Of a test set."""


def _target(found: list[Any], classes: dict[int, str]) -> tuple[str, ...]:
    """The classes that are there, in the file's order."""
    there = {each["class"] for each in found}
    return tuple(name for name in classes.values() if name in there)


def _as_boxes(found: list[Any]) -> dict[str, Any]:
    return {"boxes": found}


WITH_CLASSES = ("instances", "person_keypoints")
"""Files whose categories are the classes of the catalog entry."""
DESCRIBE: dict[str, Describe] = {
    "instances": _box,
    "stuff": _box,
    "person_keypoints": _person,
    "captions": _caption,
    "panoptic": _nothing,
    "image_info": _nothing,
}
"""One annotation, by what its file's name begins with."""
GATHER: dict[str, Callable[[list[Any]], dict[str, Any]]] = {
    "instances": _as_boxes,
    "stuff": _as_boxes,
    "person_keypoints": _as_boxes,
    "captions": lambda found: {"captions": found},
    "panoptic": lambda found: found[0] if found else {"mask": None, "segments": []},
    "image_info": lambda _: {},
}
"""All annotations of one picture, as fields of its record."""


@dataclass(slots=True)
class _Listing:
    """What such a file lists: pictures and classes by their numbers, and where the annotations are."""

    annotations: Index
    pictures: dict[int, dict[str, Any]] = field(default_factory=dict)
    classes: dict[int, str] = field(default_factory=dict)
    place: str = ""

    def read(self, path: Path, place: str, keys: set[str]) -> Iterator[Bad]:
        """Take it in; what is wrong in it."""
        self.place = place
        counts = dict.fromkeys(keys, 0)
        add = {"images": self._add_picture, "annotations": self._add_annotation, "categories": self._add_class}
        for key, element in elements(path, keys):
            found = attempt(partial(add[key], element), f"{place}:{key}[{counts[key]}]")
            counts[key] += 1
            if found is not None:
                if key == "annotations":
                    self.annotations.add(NOTHING, element)
                yield found
        for position in self.annotations.positions.others(self.pictures):
            yield Bad(f"{place}:annotations[{position}]", "an image_id that is listed", "another")

    def of(self, number: int, describe: Describe) -> list[Any] | Bad:
        """The annotations of a picture, described; or the first that cannot be."""
        found = []
        for position in self.annotations.positions.of(number):
            make = partial(self._described, position, describe)
            found.append(attempt(make, f"{self.place}:annotations[{position}]"))
            if isinstance(found[-1], Bad):
                return found[-1]
        return found

    def _described(self, position: int, describe: Describe) -> Any:
        return describe(self.annotations.read(position), self.classes)

    def _add_picture(self, element: Any) -> None:
        said = element.decoded()
        number = fields.field(said, "id", int)
        if number in self.pictures:
            raise UnfitError("an id that no other picture has", f"{number} again")
        size = {name: fields.field(said, name, int) for name in ("width", "height")}
        self.pictures[number] = {"picture": fields.field(said, "file_name", str), **size}

    def _add_annotation(self, element: Any) -> None:
        self.annotations.add(fields.field(element.value, "image_id", int), element)

    def _add_class(self, element: Any) -> None:
        said = element.decoded()
        self.classes[fields.field(said, "id", int)] = fields.field(said, "name", str)
