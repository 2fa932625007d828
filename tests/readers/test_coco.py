"""coco: each kind of annotations, and what is wrong in the lists that others write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat import locations
from dlcat.errors import DlcatError, InvalidError, VerificationError
from dlcat.readers import Bad, Example, reader
from dlcat.readers.coco import coco, coco_labels
from tests.upstream import coco as upstream

SAMPLE = locations.PACKAGE.parent.parent / "shared" / "mirror" / "coco-sample"
PLACE = "annotations/instances_val2017.json"


@pytest.mark.parametrize("kind", ["captions", "person_keypoints", "panoptic", "stuff"])
def test_other_annotations_are_read_as_they_were_written(tmp_path: Path, kind: str) -> None:
    written = upstream.write_as(tmp_path, 2, kind)
    for split in ("train2017", "val2014", "test2017"):
        if kind == "panoptic" and split == "val2014":
            continue
        found = list(coco(tmp_path, split, annotations=kind.removeprefix("person_")))  # type: ignore[arg-type]
        assert [each.input for each in found if isinstance(each, Example)] == [each.input for each in written[split]]
        assert [each.target for each in found if isinstance(each, Example)] == [each.target for each in written[split]]


def test_pictures_have_the_classes_of_their_boxes_and_may_do_without_crowds(tmp_path: Path) -> None:
    written = upstream.write(tmp_path, 0)["train2017"]
    found = [each for each in coco_labels(tmp_path, "train2017") if isinstance(each, Example)]
    assert [(each.input, each.target) for each in found] == [(each.input["picture"], each.target) for each in written]
    without = [each for each in coco_labels(tmp_path, "train2017", crowds=False) if isinstance(each, Example)]
    alone = [{box["class"] for box in each.input["boxes"] if not box["crowd"]} for each in written]
    assert [set(each.target or ()) for each in without] == alone
    assert any(set(each.target) != left for each, left in zip(written, alone, strict=True))


def test_a_picture_with_nothing_in_it_has_no_class_and_one_without_labels_none(tmp_path: Path) -> None:
    upstream.write(tmp_path, 0)
    assert () in [each.target for each in coco_labels(tmp_path, "val2017") if isinstance(each, Example)]
    assert {each.target for each in coco_labels(tmp_path, "test2017") if isinstance(each, Example)} == {None}


def _small() -> dict[str, Any]:
    image = {"id": 7, "file_name": "7.jpg", "width": 8, "height": 6}
    box = {"id": 1, "image_id": 7, "category_id": 2, "bbox": [0, 1.5, 2, 3], "area": 6, "iscrowd": 0}
    other = image | {"id": 8, "file_name": "8.jpg"}
    return {"images": [image, other], "annotations": [box], "categories": [{"id": 2, "name": "cat"}]}


def _read(folder: Path, content: Any) -> list[Example | Bad]:
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "val2017").mkdir(exist_ok=True)
    for name in ("7.jpg", "8.jpg"):
        (folder / "val2017" / name).touch()
    (folder / PLACE).write_text(content if isinstance(content, str) else json.dumps(content))
    return list(coco(folder, "val2017"))


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "place", "expected", "found"),
    [
        (lambda file: file["annotations"][0].update(bbox=[0, 1, 2]), "annotations[0]", "'bbox', left, top, width and height", "[0, 1, 2]"),
        (lambda file: file["annotations"][0].update(bbox=[0, 1, -2, 3]), "annotations[0]", "'bbox', left, top, width and height", "[0, 1, -2, 3]"),
        (lambda file: file["annotations"][0].update(bbox=[0, 1, "2", 3]), "annotations[0]", "'bbox', finite numbers", "[0, 1, '2', 3]"),
        (lambda file: file["annotations"][0].update(bbox=[0, 1, True, 3]), "annotations[0]", "'bbox', finite numbers", "[0, 1, True, 3]"),
        (lambda file: file["annotations"][0].update(bbox=[0, 1, 10**400, 3]), "annotations[0]", "'bbox', finite numbers", "[0, 1, 1"),
        (lambda file: file["annotations"][0].update(area=None), "annotations[0]", "'area', a finite number", "None"),
        (lambda file: file["annotations"][0].update(category_id=91), "annotations[0]", "one of 1 categories", "number 91"),
        (lambda file: file["annotations"][0].pop("iscrowd"), "annotations[0]", "'iscrowd', of type int", "None"),
        (lambda file: file["annotations"][0].update(image_id=9), "annotations[0]", "an image_id that is listed", "another"),
        (lambda file: file["annotations"][0].update(image_id="7"), "annotations[0]", "'image_id', of type int", "7"),
        (lambda file: file["annotations"].insert(0, None), "annotations[0]", "an object with 'image_id'", "None"),
        (lambda file: file["images"][0].pop("file_name"), "images[0]", "'file_name', of type str", "None"),
        (lambda file: file["images"][0].update(id=1 << 70), "images[0]", "'id', of type int", "1180591620717411303424"),
        (lambda file: file["images"].append(file["images"][0]), "images[2]", "an id that no other picture has", "7 again"),
        (lambda file: file["categories"].append({"id": 3}), "categories[1]", "'name', of type str", "None"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_the_rest_is_read(
    tmp_path: Path, change: Change, place: str, expected: str, found: str
) -> None:
    content = _small()
    change(content)
    all_found = _read(tmp_path, content)
    [bad] = [each for each in all_found if isinstance(each, Bad) and each.place == f"{PLACE}:{place}"]
    assert bad.expected == expected
    assert bad.found.startswith(found)
    assert "val2017/8.jpg" in [each.input["picture"] for each in all_found if isinstance(each, Example)]


@pytest.mark.parametrize("name", ["9.jpg", "../val2017/7.jpg", "/etc/passwd", ""])
def test_a_picture_that_is_not_in_its_folder_is_named(tmp_path: Path, name: str) -> None:
    content = _small()
    content["images"][1]["file_name"] = name
    assert _read(tmp_path, content)[1] == Bad(f"val2017/{name}", "a picture that instances_val2017.json lists", "none")


def test_what_was_not_fetched_says_which_part_brings_it(tmp_path: Path) -> None:
    upstream.write(tmp_path, 0)
    for gone, split, kind, part in [
        ("annotations/panoptic_val2017.json", "val2017", "panoptic", "panoptic2017"),
        ("annotations/stuff_val2017.json", "val2017", "stuff", "stuff2017"),
        ("annotations/instances_val2014.json", "val2014", "instances", "annotations2014"),
        ("annotations/image_info_test2017.json", "test2017", "instances", "test2017"),
    ]:
        os.remove(tmp_path / gone)
        with pytest.raises(VerificationError, match=f"{gone}: expected a file, found none") as caught:
            list(coco(tmp_path, split, annotations=kind))  # type: ignore[arg-type]
        assert f"--part {part}`" in (caught.value.hint or "")
    os.rename(tmp_path / "train2017", tmp_path / "elsewhere")
    with pytest.raises(VerificationError, match="train2017: expected a folder of files, found none") as caught:
        list(coco_labels(tmp_path, "train2017"))
    assert "--part train2017`" in (caught.value.hint or "")


def test_a_split_it_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="no split named 'val'"):
        list(coco(tmp_path, "val"))


@given(at=st.integers(0, 400), value=st.binary(min_size=1, max_size=5), rest=st.booleans())
@settings(max_examples=100)
def test_a_damaged_list_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: bytes, rest: bool
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    _read(folder, _small())
    raw = (folder / PLACE).read_bytes()
    (folder / PLACE).write_bytes(raw[:at] + value + (raw[at + len(value) :] if rest else b""))
    try:
        assert all(isinstance(each, Example | Bad) for each in coco(folder, "val2017"))
    except DlcatError as error:
        assert error.exit_code == 5  # noqa: PT017 - or it was read


def test_both_views_say_what_they_give() -> None:
    assert (reader.traits("coco").gives, reader.traits("coco_labels").gives) == ("records", "pictures")


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the real sample is not here")
@pytest.mark.parametrize(("split", "boxes"), [("train2017", 929), ("val2017", 898)])
def test_the_real_sample_is_read(tmp_path: Path, split: str, boxes: int) -> None:
    import zipfile

    for name in ("annotations_trainval2017.zip", f"{split}.zip", "panoptic_annotations_trainval2017.zip"):
        with zipfile.ZipFile(SAMPLE / name) as archive:
            archive.extractall(tmp_path)
    found = [each for each in coco(tmp_path, split) if isinstance(each, Example)]
    assert (len(found), sum(len(each.input["boxes"]) for each in found)) == (128, boxes)
    panoptic = list(coco(tmp_path, split, annotations="panoptic"))
    masks = [each for each in panoptic if isinstance(each, Example)]
    missing = [each for each in panoptic if isinstance(each, Bad) and each.expected.startswith("a picture that")]
    assert len(masks) + len(missing) == 100
