"""open_images: labels that people checked, boxes, and files that are not as Google writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import DlcatError, InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.open_images import open_images, open_images_boxes
from tests.upstream import open_images as upstream

LABELS = "test-annotations-human-imagelabels-boxable.csv"
A, B = "00000000000000aa", "ffffffffffffffff"
CAT, TORTOISE = "/m/01yrx", "/m/011k07"


@pytest.mark.parametrize("seed", [0, 1])
def test_boxes_are_read_as_they_were_written(tmp_path: Path, seed: int) -> None:
    _, written = upstream.write_both(tmp_path, seed)
    for split, expected in written.items():
        found = [each for each in open_images_boxes(tmp_path, split) if isinstance(each, Example)]
        assert [(each.input, each.target) for each in found] == [(each.input, each.target) for each in expected]


def test_pictures_that_should_be_turned_may_be_left_out(tmp_path: Path) -> None:
    _, records = upstream.write_both(tmp_path, 0)
    turned = {each.input["picture"] for each in records["train"] if each.input["rotation_degrees"]}
    everything = {each.input for each in open_images(tmp_path, "train") if isinstance(each, Example)}
    upright = {each.input for each in open_images(tmp_path, "train", turned=False) if isinstance(each, Example)}
    assert turned
    assert everything - upright == turned


def _small(folder: Path, *, labels: str = "", boxes: str = "", pictures: str = f"{A},0\n{B},\n") -> None:
    (folder / "class-descriptions-boxable.csv").write_text(f"LabelName,DisplayName\n{TORTOISE},Tortoise\n{CAT},Cat\n")
    (folder / LABELS).write_text("ImageID,Source,LabelName,Confidence\n" + labels)
    (folder / "test-annotations-bbox.csv").write_text(",".join(upstream.BOX_HEADER) + "\n" + boxes)
    (folder / "test-images-with-rotation.csv").write_text("ImageID,Rotation\n" + pictures)
    (folder / "test").mkdir(exist_ok=True)
    for identity in (A, B):
        (folder / "test" / f"{identity}.jpg").touch()


def _labels(folder: Path) -> dict[str, tuple[object, object]]:
    found = [each for each in open_images(folder, "test") if isinstance(each, Example)]
    return {each.input: (each.target, each.absent) for each in found}


def test_what_nobody_looked_for_is_unknown_and_so_is_what_people_differ_on(tmp_path: Path) -> None:
    _small(tmp_path, labels=f"{B},v,{CAT},1\n{A},v,{TORTOISE},0\n{A},v,{CAT},1\n{A},crowd,{CAT},0\n{B},v,{CAT},1\n")
    assert _labels(tmp_path) == {f"test/{A}.jpg": ((), ("Tortoise",)), f"test/{B}.jpg": (("Cat",), ())}


def _box(identity: str, *rest: object) -> str:
    return ",".join(map(str, (identity, "xclick", *rest))) + "\n"


GOOD = _box(B, CAT, 1, 0, 0.5, 0.25, 1, 0, 1, -1, 0, 0)


def test_a_box_is_shares_of_the_sides_and_pictures_without_any_come_last(tmp_path: Path) -> None:
    _small(tmp_path, boxes=GOOD)
    first, last = (each.input for each in open_images_boxes(tmp_path, "test") if isinstance(each, Example))
    said = {"occluded": False, "truncated": True, "group": None, "depiction": False, "inside": False}
    boxes = [{"class": "Cat", "box": [0, 0.25, 0.5, 1], **said}]
    assert first == {"picture": f"test/{B}.jpg", "rotation_degrees": None, "boxes": boxes}
    assert last == {"picture": f"test/{A}.jpg", "rotation_degrees": 0, "boxes": []}


@pytest.mark.parametrize(
    ("row", "expected", "found"),
    [
        (f"{A},v,{CAT},0.5", "Confidence 0 or 1", "0.5"),
        (f"{A},v,/m/0dog,1", "one of the 2 classes in class-descriptions-boxable.csv", "/m/0dog"),
        (f"aa,v,{CAT},1", "16 hexadecimal digits", "aa"),
        (f"{A},v,{CAT}", "4 fields, as in the header", "3"),
        (f'{A},v,"{CAT},1', "a closing quote", "none"),
    ],
)
def test_a_label_that_is_wrong_is_named_and_the_next_is_read(
    tmp_path: Path, row: str, expected: str, found: str
) -> None:
    _small(tmp_path, labels=f"{row}\n{B},v,{CAT},1\n")
    assert next(open_images(tmp_path, "test")) == Bad(f"{LABELS}:2", expected, found)
    assert _labels(tmp_path)[f"test/{B}.jpg"] == (("Cat",), ())


@pytest.mark.parametrize(
    ("row", "expected", "found"),
    [
        (_box(A, CAT, 1, 0.5, 0.4, 0, 1, 0, 0, 0, 0, 0), "corners from 0 to 1", "0.5,0,0.4,1"),
        (_box(A, CAT, 1, 0, 1.5, 0, 1, 0, 0, 0, 0, 0), "corners from 0 to 1", "0,0,1.5,1"),
        (_box(A, CAT, 1, "nan", 1, 0, 1, 0, 0, 0, 0, 0), "corners from 0 to 1", "nan,0,1,1"),
        (_box(A, CAT, 1, "x", 1, 0, 1, 0, 0, 0, 0, 0), "corners from 0 to 1", "x,0,1,1"),
        (_box(A, CAT, 1, 0, 1, 0, 1, 0, 0, 0, 0, 2), "0, 1 or -1 for each of what is said of a box", "0,0,0,0,2"),
        (_box(A, "/m/0dog", 1, 0, 1, 0, 1, 0, 0, 0, 0, 0), "one of the 2 classes in class-descriptions-boxable.csv", "/m/0dog"),
        (_box("x", CAT, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0), "16 hexadecimal digits", "x"),
    ],
)  # fmt: skip
def test_a_box_that_is_wrong_is_named_and_the_next_picture_is_read(
    tmp_path: Path, row: str, expected: str, found: str
) -> None:
    _small(tmp_path, boxes=row + GOOD)
    bad, good, *_ = open_images_boxes(tmp_path, "test")
    assert bad == Bad("test-annotations-bbox.csv:2", expected, found)
    assert isinstance(good, Example)
    assert good.input["picture"] == f"test/{B}.jpg"


def test_boxes_of_pictures_that_are_not_listed_or_come_again_are_named(tmp_path: Path) -> None:
    _small(tmp_path, boxes=GOOD + GOOD.replace(B, A) + GOOD + GOOD.replace(B, "0" * 16))
    bad = [each for each in open_images_boxes(tmp_path, "test") if isinstance(each, Bad)]
    assert [each.found for each in bad] == [B, "0" * 16]


def test_pictures_that_are_listed_and_not_there_are_named(tmp_path: Path) -> None:
    _small(tmp_path, pictures=f"{A},0\n{A[:-1]},0\n{B},45\n")
    os.remove(tmp_path / "test" / f"{A}.jpg")
    assert list(open_images(tmp_path, "test")) == [
        Bad(f"test/{A}.jpg", "a picture, as test-images-with-rotation.csv lists it", "none"),
        Bad("test-images-with-rotation.csv:3", "16 hexadecimal digits", A[:-1]),
        Bad("test-images-with-rotation.csv:4", "Rotation 0, 90, 180 or 270", "45"),
    ]


def test_what_was_not_fetched_says_which_part_brings_it(tmp_path: Path) -> None:
    _small(tmp_path)
    os.rename(tmp_path / "test", tmp_path / "elsewhere")
    with pytest.raises(VerificationError, match="test: expected the pictures, found none") as caught:
        list(open_images(tmp_path, "test"))
    assert "--part test-images`" in (caught.value.hint or "")
    with pytest.raises(VerificationError, match="expected a file, found none") as caught:
        list(open_images_boxes(tmp_path, "train"))
    assert "--part train`" in (caught.value.hint or "")
    with pytest.raises(InvalidError, match="no split named 'val'"):
        list(open_images(tmp_path, "val"))


@given(name=st.sampled_from([LABELS, "test-annotations-bbox.csv", "test-images-with-rotation.csv", "class-descriptions-boxable.csv"]), at=st.integers(0, 250), value=st.binary(min_size=1, max_size=5))  # fmt: skip
@settings(max_examples=100)
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, at: int, value: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    _small(folder, labels=f"{B},v,{CAT},1\n", boxes=GOOD)
    raw = (folder / name).read_bytes()
    (folder / name).write_bytes(raw[:at] + value + raw[at + len(value) :])
    for read in (open_images, open_images_boxes):
        try:
            assert all(isinstance(each, Example | Bad) for each in read(folder, "test"))
        except DlcatError as error:
            assert error.exit_code == 5  # noqa: PT017 - or it was read
