"""idx files: what is written is read, and a file that lies is refused by name."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import DlcatError, VerificationError
from dlcat.readers.idx import array, idx

sides = st.integers(0, 5)


def _idx(values: np.ndarray, kind: int = 8) -> bytes:
    """An idx file, written after its description: two zeros, the kind, the dimensions, sizes big-endian, values."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, kind, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def _images(count: int) -> np.ndarray:
    return np.arange(count * 6, dtype=np.uint8).reshape(count, 2, 3)


@given(shape=st.lists(sides, min_size=1, max_size=4).map(tuple), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, ...], seed: int) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip"
    values = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    path.write_bytes(_idx(values))
    found = array(path, dimensions=len(shape))
    assert found.shape == shape
    assert np.array_equal(found, values)


@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_images_get_a_channel_and_labels_are_integers(tmp_path: Path, split: str, prefix: str) -> None:
    (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(_idx(_images(4)))
    (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(_idx(np.array([7, 0, 255, 1])))
    inputs, targets = idx(tmp_path, split)
    assert (inputs.shape, inputs.dtype, targets.dtype) == ((4, 1, 2, 3), np.uint8, np.int64)
    assert np.array_equal(inputs[:, 0], _images(4))
    assert targets.tolist() == [7, 0, 255, 1]


def test_other_prefixes_are_options(tmp_path: Path) -> None:
    (tmp_path / "a-images-idx3-ubyte").write_bytes(_idx(_images(1)))
    (tmp_path / "a-labels-idx1-ubyte").write_bytes(_idx(np.array([3])))
    assert idx(tmp_path, "train", train="a")[1].tolist() == [3]


WHOLE = _idx(_images(4))
DAMAGE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "found an empty file"),
    "two bytes": (WHOLE[:2], "expected idx magic 00000803, found 0000"),
    "header cut short": (WHOLE[:10], "a header of 16 bytes, found 10 bytes"),
    "values cut short": (WHOLE[:-1], "expected 40 bytes for shape (4, 2, 3), found 39 bytes"),
    "a byte too many": (WHOLE + b"x", "found 41 bytes"),
    "labels for images": (_idx(np.array([1, 2])), "found 00000801"),
    "another kind of number": (_idx(_images(4), kind=13), "found 00000d03"),
    "another format": (b"\x1f\x8b\x08\x00" + bytes(36), "found 1f8b0800"),
    "more images than there are": (WHOLE[:4] + b"\xff\xff\xff\xff" + WHOLE[8:], "found 40 bytes"),
    "sizes whose product is nothing": (WHOLE[:4] + bytes(12) + WHOLE[16:], "expected 16 bytes"),
    "sizes whose product overflows": (WHOLE[:4] + b"\x80\0\0\0" * 3 + WHOLE[16:], "found 40 bytes"),
}


@pytest.mark.parametrize(("content", "words"), DAMAGE.values(), ids=DAMAGE)
def test_a_file_that_is_not_what_it_says_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(VerificationError) as caught:
        array(path, dimensions=3)
    assert caught.value.message.startswith(f"{path}: ")
    assert words in caught.value.message


@given(raw=st.binary(max_size=30) | st.binary(max_size=20).map(lambda rest: bytes([0, 0, 8, 1]) + rest))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(raw)
    try:
        assert len(raw) == 8 + prod(array(path, dimensions=1).shape)
    except DlcatError as error:
        assert error.exit_code == 5  # noqa: PT017 - or it was read


def test_a_label_per_image(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(_idx(_images(4)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(_idx(np.arange(3)))
    with pytest.raises(VerificationError, match=r"labels-idx1-ubyte: expected 4 labels, one per image, found 3"):
        idx(tmp_path, "train")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"train-images-idx3-ubyte: cannot be read"):
        idx(tmp_path, "train")
