"""CIFAR binary records: one label byte, then three planes of 1,024 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import VerificationError
from dlcat.readers.cifar_binary import RECORD_BYTES, batch, cifar_binary


def _record(label: int, red: int, green: int, blue: int) -> bytes:
    return bytes([label, *[red] * 1024, *[green] * 1024, *[blue] * 1024])


def _write(folder: Path, name: str, *records: bytes) -> Path:
    inside = folder / "cifar-10-batches-bin"
    inside.mkdir(exist_ok=True)
    (inside / name).write_bytes(b"".join(records))
    return inside / name


@given(labels=st.lists(st.integers(0, 9), min_size=1, max_size=6), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, labels: list[int], seed: int) -> None:
    folder = tmp_path_factory.getbasetemp()
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3, 32, 32)).astype(np.uint8)
    records = [bytes([label]) + image.tobytes() for label, image in zip(labels, pixels, strict=True)]
    _write(folder, "test_batch.bin", *records)
    inputs, targets = cifar_binary(folder, "test")
    assert np.array_equal(inputs, pixels)
    assert targets.tolist() == labels
    assert (inputs.dtype, targets.dtype) == (np.uint8, np.int64)


def test_planes_are_red_green_blue_row_by_row(tmp_path: Path) -> None:
    row_by_row = bytes([3, *[row for row in range(32) for _ in range(32)], *[0] * 1024, *[9] * 1024])
    _write(tmp_path, "test_batch.bin", row_by_row)
    inputs, _ = cifar_binary(tmp_path, "test")
    assert inputs[0, 0, :, 0].tolist() == list(range(32))
    assert inputs[0, 1].max() == 0
    assert inputs[0, 2].min() == 9


def test_the_training_split_is_five_files_in_their_order(tmp_path: Path) -> None:
    for number in range(1, 6):
        _write(tmp_path, f"data_batch_{number}.bin", _record(number, 0, 0, 0), _record(0, number, 0, 0))
    inputs, targets = cifar_binary(tmp_path, "train")
    assert targets.tolist() == [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]
    assert inputs[1::2, 0, 0, 0].tolist() == [1, 2, 3, 4, 5]


SOUND = _record(0, 1, 2, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "found 0 bytes"),
        (SOUND[:-1], f"found {RECORD_BYTES - 1} bytes"),
        (SOUND + b"x", f"found {RECORD_BYTES + 1} bytes"),
        (_record(10, 0, 0, 0), "expected labels 0 to 9, found label 10"),
        (SOUND + _record(255, 0, 0, 0), "found label 255"),
    ],
    ids=["empty", "cut short", "a byte too many", "label 10", "label 255"],
)
def test_a_file_that_is_no_batch_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    path = _write(tmp_path, "test_batch.bin", content)
    with pytest.raises(VerificationError) as caught:
        batch(path)
    assert caught.value.message.startswith(f"{path}: ")
    assert words in caught.value.message


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    for number in (1, 2, 4, 5):
        _write(tmp_path, f"data_batch_{number}.bin", SOUND)
    with pytest.raises(VerificationError, match=r"data_batch_3\.bin: cannot be read"):
        cifar_binary(tmp_path, "train")
