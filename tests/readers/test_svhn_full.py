"""svhn_full: HDF5 files of references, read with distrust."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import DlcatError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.svhn_full import svhn_full
from tests.upstream import svhn

BOX = {"left": 1.0, "top": 2.0, "width": 3.0, "height": 4.0, "label": 7.0}


@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_written_is_what_is_read(tmp_path: Path, seed: int) -> None:
    for split, expected in svhn.write_full(tmp_path, seed).items():
        found = list(svhn_full(tmp_path, split))
        assert [example.input for example in found if isinstance(example, Example)] == [each.input for each in expected]
        assert [example.target for example in found if isinstance(example, Example)] == [
            each.target for each in expected
        ]


def _photographs(folder: Path, found: list[tuple[str, list[dict[str, Any]]]]) -> Path:
    (folder / "train").mkdir(exist_ok=True)
    for name, _ in found:
        (folder / "train" / name).touch()
    svhn.write_digit_struct(folder / "train" / "digitStruct.mat", found)
    return folder / "train" / "digitStruct.mat"


def _read(folder: Path) -> list[Example | Bad]:
    return list(svhn_full(folder, "train"))


def test_label_ten_is_the_digit_nought_and_a_number_is_read_from_left_to_right(tmp_path: Path) -> None:
    _photographs(tmp_path, [("1.png", [BOX, BOX | {"label": 10.0}]), ("2.png", [BOX])])
    first, second = _read(tmp_path)
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    assert (first.input["number"], first.target) == ("70", ("0", "7"))
    assert second.input == {"picture": "train/2.png", "number": "7", "boxes": [{"class": "7", "box": [1, 2, 3, 4]}]}


@pytest.mark.parametrize(
    ("boxes", "expected", "found"),
    [
        ([BOX | {"label": 11.0}], "finite numbers, the label one of 1 to 10", "11.0"),
        ([BOX | {"label": 2.5}], "finite numbers, the label one of 1 to 10", "2.5"),
        ([BOX | {"left": float("nan")}], "finite numbers, the label one of 1 to 10", "nan"),
        ([BOX] * 51, "a name and boxes", "at most 50 values"),
    ],
)
def test_a_photograph_that_is_wrong_is_named_and_the_next_is_read(
    tmp_path: Path, boxes: list[dict[str, Any]], expected: str, found: str
) -> None:
    _photographs(tmp_path, [("1.png", boxes), ("2.png", [BOX])])
    bad, good = _read(tmp_path)
    assert isinstance(bad, Bad)
    assert (bad.place, bad.expected) == ("train/digitStruct.mat:1", expected)
    assert found in bad.found
    assert isinstance(good, Example)


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    _photographs(tmp_path, [("1.png", [BOX])])
    (tmp_path / "train" / "1.png").unlink()
    assert _read(tmp_path) == [Bad("train/1.png", "a picture that digitStruct.mat names", "none")]


def test_what_was_not_fetched_says_which_part_brings_it(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"digitStruct\.mat: expected a file, found none") as caught:
        _read(tmp_path)
    assert "--part full-numbers`" in (caught.value.hint or "")


def _replace(name: str, **dataset: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **dataset)

    return change


def _outside(file: h5py.File) -> None:
    del file["digitStruct/name"]
    file["digitStruct/name"] = h5py.ExternalLink("other.h5", "/secret")


def _outside_values(file: h5py.File) -> None:
    del file["digitStruct/name"]
    with open("secret.bin", "wb") as secret:
        secret.write(bytes(64))
    file.create_dataset("digitStruct/name", shape=(2, 1), dtype=np.uint64, external=[("secret.bin", 0, 64)])


def _null(file: h5py.File) -> None:
    file["digitStruct/bbox"][0, 0] = h5py.Reference()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_replace("digitStruct/name", data=np.zeros((2, 1))), "expected name, a column of references, found float64"),
        (_replace("digitStruct/bbox", shape=(2,), dtype=h5py.ref_dtype), "expected bbox, a column of references"),
        (_replace("digitStruct/bbox", shape=(1, 1), dtype=h5py.ref_dtype), "expected 2 bbox, one per name, found 1"),
        (
            _replace("digitStruct/name", shape=(1 << 40, 1), dtype=h5py.ref_dtype, chunks=(1, 1)),
            r"expected name, a column of references, found object of shape \(1099511627776, 1\)",
        ),
        (lambda file: file.move("digitStruct", "other"), "no digitStruct, or a link to it"),
        (_outside, "no name, or a link to it"),
        (_outside_values, "values that are in another file"),
    ],
)
def test_a_file_of_another_shape_is_refused_by_name(
    tmp_path: Path, change: Callable[[h5py.File], None], message: str
) -> None:
    path = _photographs(tmp_path, [("1.png", [BOX]), ("2.png", [BOX, BOX])])
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(VerificationError, match=message) as caught:
        _read(tmp_path)
    assert str(path) in caught.value.message


def test_a_reference_to_nothing_costs_one_photograph(tmp_path: Path) -> None:
    path = _photographs(tmp_path, [("1.png", [BOX]), ("2.png", [BOX, BOX])])
    with h5py.File(path, "r+") as file:
        _null(file)
    bad, good = _read(tmp_path)
    assert isinstance(bad, Bad)
    assert isinstance(good, Example)


@pytest.mark.parametrize("raw", [b"", b"MATLAB 7.3", b"\x89HDF\r\n\x1a\n", bytes(2000)])
def test_what_is_no_hdf5_is_refused(tmp_path: Path, raw: bytes) -> None:
    _photographs(tmp_path, []).write_bytes(raw)
    with pytest.raises(VerificationError, match=r"expected a MATLAB file of version 7\.3, found one that HDF5 refuses"):
        _read(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A folder that is read, and its digitStruct.mat."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, _photographs(folder, [("1.png", [BOX]), ("2.png", [BOX, BOX])]).read_bytes()


@given(at=st.integers(0, 12_000), value=st.binary(min_size=1, max_size=4))
@settings(max_examples=100)
def test_a_damaged_file_is_read_or_refused(whole: tuple[Path, bytes], at: int, value: bytes) -> None:
    folder, raw = whole
    (folder / "train" / "digitStruct.mat").write_bytes(raw[:at] + value + raw[at + len(value) :])
    try:
        assert all(isinstance(each, Example | Bad) for each in _read(folder))
    except DlcatError as error:
        assert error.exit_code == 5  # noqa: PT017 - or it was read
