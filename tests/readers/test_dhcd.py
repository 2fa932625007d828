"""dhcd: PNG files and nothing else, in the catalog's order of classes; and arrays that are never unpickled."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dlcat import locations
from dlcat.errors import DlcatError, VerificationError
from dlcat.readers.dhcd import CLASSES, dhcd
from dlcat.workspace import Workspace
from tests.upstream import dhcd as upstream

FIRST = f"{upstream.TOP}/Train/character_1_ka"
PIXELS = np.arange(3 * 32 * 32, dtype=np.uint8).reshape(3, 32, 32)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dhcd")
    upstream.write(folder, 0)
    return folder


@pytest.fixture
def copied(tree: Path, tmp_path: Path) -> Path:
    shutil.copytree(tree, tmp_path / "copy")
    return tmp_path / "copy"


def test_the_classes_are_the_catalogs() -> None:
    assert Workspace(locations.find()).catalog["dhcd"].classes == CLASSES


def _first(folder: Path) -> Path:
    return min((folder / FIRST).iterdir())


def _saved(picture: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (_saved(Image.new("L", (32, 32)), "JPEG"), "found JPEG of 32 × 32, mode L"),
        (_saved(Image.new("L", (32, 33)), "PNG"), "found PNG of 32 × 33, mode L"),
        (_saved(Image.new("L", (9000, 9000)), "PNG"), "found PNG of 9000 × 9000"),
        (_saved(Image.new("I;16", (32, 32)), "PNG"), "found PNG of 32 × 32, mode I;16"),
        (_saved(Image.fromarray(PIXELS[0]), "PNG")[:-40], "found one that cannot be decoded"),
        (b"GIF", "found no picture"),
        (b"", "found no picture"),
    ],
)
def test_a_file_that_is_no_png_of_that_size_is_named(copied: Path, content: bytes, found: str) -> None:
    _first(copied).write_bytes(content)
    with pytest.raises(VerificationError, match=f"expected a PNG of 32 × 32 pixels, {found}") as caught:
        dhcd(copied, "train")
    assert str(_first(copied)) in caught.value.message


@pytest.mark.parametrize("mode", ["RGB", "P", "1", "LA"])
def test_pictures_of_other_modes_become_grey(copied: Path, mode: str) -> None:
    grey = Image.fromarray(np.where(PIXELS[1] > 99, 255, 0).astype(np.uint8))
    grey.convert(mode).save(_first(copied), "PNG")
    assert np.array_equal(dhcd(copied, "train")[0][0, 0], np.asarray(grey))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: shutil.rmtree(folder / FIRST), "expected 46 folders, .* found no character_1_ka"),
        (lambda folder: (folder / upstream.TOP / "Train" / "digit_10").mkdir(), "expected 46 folders, .* found digit_10"),
        (lambda folder: shutil.rmtree(folder / upstream.TOP), "Train: expected a folder with 46 folders, found none"),
        (lambda folder: (shutil.rmtree(folder / FIRST), (folder / FIRST).mkdir()), "character_1_ka: expected pictures, found none"),
    ],
)  # fmt: skip
def test_a_tree_that_is_not_as_it_should_be_is_refused(
    copied: Path, change: Callable[[Path], object], message: str
) -> None:
    change(copied)
    with pytest.raises(VerificationError, match=message):
        dhcd(copied, "train")


def _npz(folder: Path, *arrays: Any) -> Path:
    path = folder / "dataset.npz"
    np.savez_compressed(path, *arrays)
    return path


def _read(folder: Path, split: str = "train", **options: Any) -> tuple[Any, Any]:
    return dhcd(folder, split, inside="", source="npz", **options)


def test_the_authors_arrays_are_read_and_their_labels_begin_at_one(tmp_path: Path) -> None:
    _npz(tmp_path, PIXELS, np.array([1, 46, 2]), PIXELS[:1], np.array([37]))
    inputs, targets = _read(tmp_path)
    assert np.array_equal(inputs, PIXELS[:, None])
    assert targets.tolist() == [0, 45, 1]
    assert _read(tmp_path, "test")[1].tolist() == [36]
    _npz(tmp_path, PIXELS, np.array([0, 45, 1]))
    assert _read(tmp_path, first_label=0)[1].tolist() == [0, 45, 1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((PIXELS, np.array([0, 1, 2])), r"expected labels 1 to 46, found label \[0\]"),
        ((PIXELS, np.array([1, 2])), r"expected arr_0 of shape \(N, 32, 32\), arr_1 \(N,\), found \(3, 32, 32\), \(2,\)"),
        ((PIXELS.astype(np.int64), np.array([1, 2, 3])), r"expected arr_0 of shape"),
        ((PIXELS * 0.5, np.array([1, 2, 3])), "expected arr_0.npy of whole numbers, by rows, found float64"),
        ((np.array([{}, [], 0], object), np.array([1, 2, 3])), "expected arr_0.npy of whole numbers, by rows, found object"),
        ((PIXELS,), r"expected arr_1.npy, found arr_0.npy"),
    ],
)  # fmt: skip
def test_arrays_that_are_not_as_they_should_be_are_refused(tmp_path: Path, arrays: Any, message: str) -> None:
    path = _npz(tmp_path, *arrays)
    with pytest.raises(VerificationError, match=message) as caught:
        _read(tmp_path)
    assert str(path) in caught.value.message


def test_a_header_that_lies_about_its_length_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, PIXELS)
    lying = stream.getvalue().replace(b"(3, 32, 32)", b"(9, 32, 32)")
    with zipfile.ZipFile(tmp_path / "dataset.npz", "w") as archive:
        archive.writestr("arr_0.npy", lying)
        archive.writestr("arr_1.npy", lying)
    with pytest.raises(
        VerificationError, match=r"expected 9,216 bytes for shape \(9, 32, 32\) in arr_0\.npy, found 3,200"
    ):
        _read(tmp_path)


@given(at=st.integers(0, 1200), value=st.binary(min_size=1, max_size=6))
@settings(max_examples=100)
def test_a_damaged_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, at: int, value: bytes) -> None:
    path = _npz(tmp_path_factory.getbasetemp(), PIXELS % 3, np.array([1, 2, 3]))
    raw = path.read_bytes()
    path.write_bytes(raw[:at] + value + raw[at + len(value) :])
    try:
        assert _read(path.parent)[0].shape == (3, 1, 32, 32)
    except DlcatError as error:
        assert error.exit_code == 5  # noqa: PT017 - or it was read


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"dataset\.npz: expected a file, found none"):
        _read(tmp_path)
