"""svhn_mat: MATLAB files that lie about their arrays, or hold labels that are no digits, are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from dlcat.errors import DlcatError, InvalidError, VerificationError
from dlcat.readers.matlab import values
from dlcat.readers.svhn_mat import svhn_mat

PIXELS = np.arange(32 * 32 * 3 * 4).astype(np.uint8).reshape(32, 32, 3, 4)
LABELS = np.array([[1], [9], [10], [5]], np.uint8)
WHOLE: dict[str, Any] = {"X": PIXELS, "y": LABELS}


def _save(folder: Path, variables: dict[str, Any], *, compressed: bool = True) -> Path:
    path = folder / "train_32x32.mat"
    savemat(path, variables, do_compression=compressed)
    return path


@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_ten_is_the_digit_nought_and_rows_stay_rows(tmp_path: Path, kind: type[Any]) -> None:
    _save(tmp_path, {"X": PIXELS, "y": LABELS.astype(kind)})
    inputs, targets = svhn_mat(tmp_path, "train")
    assert targets.tolist() == [1, 9, 0, 5]
    assert (inputs.dtype, targets.dtype, inputs.flags.c_contiguous) == (np.uint8, np.int64, True)
    assert inputs[2, 1, 30, 7] == PIXELS[30, 7, 1, 2]  # example, channel, row, column


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": PIXELS[:31]}, r"expected X of shape \(32, 32, 3, N\), uint8, found uint8 of shape \(31, 32, 3, 4\)"),
        ({"X": PIXELS.astype(np.float32)}, "uint8, found single of shape"),
        ({"X": PIXELS[..., 0]}, r"found uint8 of shape \(32, 32, 3\)"),
        ({"X": np.array(["text"])}, "found char of shape"),
        ({"y": LABELS[:3]}, r"expected y of shape \(4, 1\), uint8 or double, found uint8 of shape \(3, 1\)"),
        ({"y": LABELS.astype(np.int32)}, "found int32 of shape"),
        ({"y": LABELS * 0}, r"expected labels 1 to 10, found label \[0\]"),
        ({"y": LABELS + 8}, r"expected labels 1 to 10, found label \[17\]"),
        ({"y": LABELS * 0.5}, r"expected labels 1 to 10, found label \[0.5\]"),
        ({"y": LABELS * np.nan}, r"found label \[nan\]"),
    ],
)
def test_an_array_that_is_not_as_it_should_be_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = _save(tmp_path, WHOLE | change)
    with pytest.raises(VerificationError, match=message) as caught:
        svhn_mat(tmp_path, "train")
    assert str(path) in caught.value.message


def test_variables_that_are_missing_are_named(tmp_path: Path) -> None:
    _save(tmp_path, {"X": PIXELS})
    with pytest.raises(VerificationError, match=r"expected y of shape .* found nothing"):
        svhn_mat(tmp_path, "train")


@pytest.mark.parametrize(("split", "part"), [("train", "cropped"), ("extra", "cropped-extra")])
def test_a_file_that_was_not_fetched_says_which_part_brings_it(tmp_path: Path, split: str, part: str) -> None:
    with pytest.raises(VerificationError, match=f"{split}_32x32.mat: expected a file, found none") as caught:
        svhn_mat(tmp_path, split)
    assert f"`dlcat fetch NAME --part {part}`" in (caught.value.hint or "")


def test_a_split_it_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="no split named 'validation'"):
        svhn_mat(tmp_path, "validation")


def test_a_small_file_that_says_it_is_huge_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = _save(tmp_path, WHOLE, compressed=False)
    count = np.array([32, 32, 3, 4], "<i4").tobytes()
    raw = path.read_bytes()
    assert raw.count(count) == 1
    path.write_bytes(raw.replace(count, np.array([32, 32, 3, 1 << 30], "<i4").tobytes()))
    with pytest.raises(VerificationError, match=r"expected y of shape \(1073741824, 1\)"):
        svhn_mat(tmp_path, "train")
    with pytest.raises(VerificationError, match=r"expected 3,298,534,883,328 bytes for shape .*, found 12,288"):
        values(path, ["X"], most_bytes=1 << 50)


def _cut(at: int) -> Callable[[bytes], bytes]:
    return lambda raw: raw[:at]


@pytest.mark.parametrize("change", [_cut(0), _cut(64), _cut(200), _cut(-30), lambda raw: b"no MATLAB file" * 30])
def test_a_file_that_is_cut_off_or_no_matlab_file_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = _save(tmp_path, WHOLE)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(VerificationError, match=r"expected a MATLAB file of version 5|cut off|expected [\d,]+ bytes"):
        svhn_mat(tmp_path, "train")


@given(at=st.integers(0, 600), value=st.binary(min_size=1, max_size=8), compressed=st.booleans())
@settings(max_examples=100)
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: bytes, compressed: bool
) -> None:
    path = _save(tmp_path_factory.getbasetemp(), {"X": PIXELS, "y": LABELS}, compressed=compressed)
    raw = path.read_bytes()
    path.write_bytes(raw[:at] + value + raw[at + len(value) :])
    try:
        inputs, targets = svhn_mat(path.parent, "train")
    except DlcatError as error:
        assert error.exit_code == 5  # noqa: PT017 - or it was read
    else:
        assert inputs.shape[1:] == (3, 32, 32)
        assert set(targets.tolist()) <= set(range(10))
