"""COCO: folders of JPEG files, and JSON files whose annotations are in any order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.pictures import noise
from tests.upstream import Written

CATEGORIES = {1: "person", 2: "bicycle", 13: "stop sign", 90: "toothbrush"}
"""Of the 80; their numbers have gaps."""
POINTS = 17
ANNOTATED = {"train2017": 14, "val2017": 12, "train2014": 12, "val2014": 12}
UNLABELLED = ("test2017", "unlabeled2017", "test2014", "test2015")
INFO = {"description": "COCO 2017 Dataset", "url": "http://cocodataset.org", "version": "1.0", "year": 2017}
LICENSES = [{"url": "http://creativecommons.org/licenses/by/2.0/", "id": 4, "name": "Attribution License"}]


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """All splits, with instances; what the reader gives of them by default."""
    return write_as(folder, seed, "instances")


def write_as(folder: Path, seed: int, wanted: str) -> dict[str, list[Written]]:
    """All splits with all annotations; what the reader gives of the wanted ones."""
    draw = np.random.default_rng(seed)
    (folder / "annotations").mkdir()
    written = {}
    for split, count in ANNOTATED.items():
        images = _pictures(folder, split, count, draw)
        made = {
            "instances": _boxes(images, draw),
            "stuff": _boxes(images, draw),
            "person_keypoints": _boxes(images, draw, with_points=True),
            "captions": _captions(images, draw),
            "panoptic": _panoptic(folder, split, images, draw),
        }
        for name, found in made.items():
            _write_json(folder / "annotations" / f"{name}_{split}.json", images, found, draw, name != "captions")
        written[split] = [_written(split, image, made[wanted], wanted) for image in images]
    for split in UNLABELLED:
        images = _pictures(folder, split, 12, draw)
        (folder / "annotations" / f"image_info_{split}.json").write_text(
            json.dumps({"info": INFO, "images": images, "licenses": LICENSES, "categories": _categories()})
        )
        written[split] = [_written(split, image, [], "image_info") for image in images]
    return written


def _pictures(folder: Path, split: str, count: int, draw: np.random.Generator) -> list[dict[str, Any]]:
    (folder / split).mkdir()
    images = []
    for number in draw.choice(600_000, count, replace=False).tolist():
        name = f"{number:012d}.jpg" if split.endswith("2017") else f"COCO_{split}_{number:012d}.jpg"
        picture = noise(draw)
        picture.save(folder / split / name)
        about = {"license": 4, "file_name": name, "coco_url": f"http://images.cocodataset.org/{split}/{name}"}
        size = {"height": picture.height, "width": picture.width}
        images.append(about | size | {"date_captured": "2013-11-14 11:18:45", "id": number})
    return images


def _boxes(
    images: list[dict[str, Any]], draw: np.random.Generator, *, with_points: bool = False
) -> list[dict[str, Any]]:
    """Some pictures have none, some a crowd, outlined by run lengths."""
    found: list[dict[str, Any]] = []
    for at, image in enumerate(images):
        for turn in range(at % 4):
            box = [round(float(value), 2) for value in draw.uniform(0, 16, 4)]
            crowd = turn == 2
            outline: Any = {"counts": [5, 3, 2], "size": [image["height"], image["width"]]} if crowd else [box + box]
            category = 1 if with_points else list(CATEGORIES)[(at + turn) % len(CATEGORIES)]
            about = {"segmentation": outline, "area": float(box[2] * box[3]), "iscrowd": int(crowd)}
            points = {"num_keypoints": 1, "keypoints": [8, 9, 2] + [0] * 3 * (POINTS - 1)} if with_points else {}
            found.append(
                about | points | {"image_id": image["id"], "bbox": box, "category_id": category, "id": len(found)}
            )
    return found


def _captions(images: list[dict[str, Any]], draw: np.random.Generator) -> list[dict[str, Any]]:
    texts = ['A man says "hi", twice.', "Un café\nà Paris ", "A dog \\ a cat"]
    return [
        {"image_id": image["id"], "id": at * 5 + turn, "caption": texts[int(draw.integers(len(texts)))]}
        for at, image in enumerate(images)
        for turn in range(5)
    ]


def _panoptic(
    folder: Path, split: str, images: list[dict[str, Any]], draw: np.random.Generator
) -> list[dict[str, Any]]:
    """A mask per picture, in a folder of their own."""
    top = folder / "annotations" / f"panoptic_{split}"
    top.mkdir()
    found = []
    for image in images:
        name = image["file_name"].replace(".jpg", ".png")
        number = int(draw.integers(1, 1 << 24))
        colour = (number & 255, number >> 8 & 255, number >> 16)
        Image.new("RGB", (image["width"], image["height"]), colour).save(top / name)
        segment = {"id": number, "category_id": 90, "iscrowd": 0, "bbox": [0, 0, 8, 8], "area": 64}
        found.append({"segments_info": [segment], "file_name": name, "image_id": image["id"]})
    return found


def _write_json(
    path: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]], draw: np.random.Generator, named: bool
) -> None:
    """Annotations of one picture are not beside each other; letters that are not ASCII are sometimes escaped."""
    mixed = [annotations[at] for at in draw.permutation(len(annotations))]
    annotations.sort(key=lambda each: [id(other) for other in mixed].index(id(each)))
    content = {"info": INFO, "licenses": LICENSES, "images": images, "annotations": mixed}
    content |= {"categories": _categories()} if named else {}
    escaped = bool(draw.integers(2))
    path.write_text(json.dumps(content, ensure_ascii=escaped), encoding="utf-8")


def _categories() -> list[dict[str, Any]]:
    return [{"supercategory": "thing", "id": number, "name": name} for number, name in CATEGORIES.items()]


def _written(split: str, image: dict[str, Any], annotations: list[dict[str, Any]], kind: str) -> Written:
    """As the reader gives it."""
    own = [each for each in annotations if each["image_id"] == image["id"]]
    record = {"picture": f"{split}/{image['file_name']}", "width": image["width"], "height": image["height"]}
    boxes = [_shown(each, kind) for each in own] if kind not in ("captions", "panoptic") else []
    match kind:
        case "image_info":
            return Written(record, None)
        case "captions":
            return Written(record | {"captions": [each["caption"] for each in own]}, None)
        case "panoptic":
            shown = [_shown(each, kind) | {"id": each["id"]} for each in own[0]["segments_info"]]
            return Written(
                record | {"mask": f"annotations/panoptic_{split}/{own[0]['file_name']}", "segments": shown}, None
            )
        case "stuff":
            return Written(record | {"boxes": boxes}, None)
    classes = {box["class"] for box in boxes}
    return Written(record | {"boxes": boxes}, tuple(name for name in CATEGORIES.values() if name in classes))


def _shown(said: dict[str, Any], kind: str) -> dict[str, Any]:
    shown = {
        "class": CATEGORIES[said["category_id"]],
        "box": said["bbox"],
        "area": said["area"],
        "crowd": said["iscrowd"] == 1,
    }
    if kind == "panoptic":
        return shown
    points = said.get("keypoints", [])
    more = {"keypoints": [points[at : at + 3] for at in range(0, len(points), 3)]} if points else {}
    return shown | {"segmentation": said["segmentation"]} | more
