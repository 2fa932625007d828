"""Decoded once: the arrays are mapped from the cache, keyed by what made them, whole or not there at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dlcat import document
from dlcat.catalog import Dataset, validate
from dlcat.errors import DiskError, InvalidError, UsageError, VerificationError
from dlcat.readers import Examples, prepare
from dlcat.registry import Choice

DIGESTS = {"toys.bin": "0" * 64}


@pytest.fixture
def dataset(entry: Callable[..., dict[str, Any]]) -> Dataset:
    """Three images of idx for training, one for testing."""
    raw = entry(reader="idx", classes=["a", "b"], splits={"train": 3, "test": 1, "odd": None})
    return validate.datasets(document.parse(yaml.safe_dump({"toy": raw})))["toy"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    for prefix, count in (("train", 3), ("t10k", 1)):
        images = bytes([0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 2, 0, 0, 0, 2])
        (data / f"{prefix}-images-idx3-ubyte").write_bytes(images + bytes(range(4 * count)))
        labels = bytes([0, 0, 8, 1, 0, 0, 0, count])
        (data / f"{prefix}-labels-idx1-ubyte").write_bytes(labels + bytes([1] * count))
    return data


@pytest.fixture
def prepared(dataset: Dataset, folder: Path, tmp_path: Path) -> Callable[..., Examples]:
    """prepared(split, dataset=..., digests=...): as the workspace calls it."""

    def call(split: str = "train", *, dataset: Dataset = dataset, digests: dict[str, str] = DIGESTS) -> Examples:
        return prepare.prepare(dataset, split, folder=folder, digests=digests, cache=tmp_path / "prepared")

    return call


def _folders(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "prepared" / "toy").iterdir())


def test_arrays_are_mapped_and_cannot_be_written(prepared: Callable[..., Examples]) -> None:
    examples = prepared()
    assert isinstance(examples.inputs, np.memmap)
    assert isinstance(examples.targets, np.memmap)
    assert not examples.inputs.flags.writeable
    assert (examples.inputs.shape, examples.targets.tolist()) == ((3, 1, 2, 2), [1, 1, 1])
    assert examples.classes == ("a", "b")
    assert len(prepared("test")) == 1


def test_the_second_time_nothing_is_decoded(prepared: Callable[..., Examples], folder: Path) -> None:
    first = np.array(prepared().inputs)
    for path in folder.iterdir():
        path.unlink()
    assert np.array_equal(prepared().inputs, first)


def test_the_folder_is_named_by_split_and_key(
    prepared: Callable[..., Examples], dataset: Dataset, tmp_path: Path
) -> None:
    prepared()
    assert [path.name for path in _folders(tmp_path)] == [f"train-{prepare.key(dataset, DIGESTS)}"]


def test_other_bytes_or_another_decoder_have_another_key(
    prepared: Callable[..., Examples], dataset: Dataset, tmp_path: Path
) -> None:
    prepared()
    prepared(digests={"toys.bin": "1" * 64})
    prepared(dataset=replace(dataset, reader=Choice(name="idx", options={"train": "train"})))
    prepared("test")
    assert len(_folders(tmp_path)) == 4
    prepared()
    assert len(_folders(tmp_path)) == 4


def test_a_wrong_number_of_examples_is_refused_and_leaves_nothing(
    prepared: Callable[..., Examples], dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(InvalidError, match="toy, split train: expected 4 examples, found 3 in"):
        prepared(dataset=replace(dataset, splits={"train": 4}))
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize("shape", [[2, 2], [1, 2, 3], [1, 2, 2, 1]], ids=str)
def test_examples_of_another_shape_than_the_catalog_says_are_refused_and_leave_nothing(
    shape: list[int], prepared: Callable[..., Examples], dataset: Dataset, tmp_path: Path
) -> None:
    prepared()
    with pytest.raises(InvalidError) as caught:
        prepared(dataset=replace(dataset, sample=replace(dataset.sample, shape=shape)))
    assert f"toy, split train: expected examples of shape {shape}, found [1, 2, 2]" in caught.value.message
    assert len(_folders(tmp_path)) == 1


@pytest.mark.parametrize("shape", [[], [1, "height", 2]], ids=str)
def test_a_shape_that_is_not_told_is_not_held_against_the_data(
    shape: list[int | str], prepared: Callable[..., Examples], dataset: Dataset
) -> None:
    assert len(prepared(dataset=replace(dataset, sample=replace(dataset.sample, shape=shape)))) == 3


def test_a_number_that_is_not_published_is_not_held_against_the_data(
    prepared: Callable[..., Examples], dataset: Dataset
) -> None:
    assert len(prepared(dataset=replace(dataset, splits={"train": None}))) == 3


def test_a_damaged_file_is_refused_and_leaves_nothing(
    prepared: Callable[..., Examples], folder: Path, tmp_path: Path
) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(b"no idx")
    with pytest.raises(VerificationError, match=r"train-images-idx3-ubyte: expected idx magic"):
        prepared()
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_an_interruption_leaves_nothing_half(
    stop: type[BaseException], prepared: Callable[..., Examples], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, *_: Any, **__: Any) -> None:
        path.write_bytes(b"half")
        raise stop

    with monkeypatch.context() as patched:
        patched.setattr(np, "save", interrupted)
        with pytest.raises(stop):
            prepared()
    assert _folders(tmp_path) == []
    assert len(prepared()) == 3
    assert len(_folders(tmp_path)) == 1


def test_what_another_process_made_meanwhile_is_used(
    prepared: Callable[..., Examples], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = np.save

    def slower_than_the_other(path: Path, array: Any, **options: Any) -> None:
        monkeypatch.setattr(np, "save", save)
        prepared()  # the other process, which finishes first
        save(path, array * 0, **options)

    monkeypatch.setattr(np, "save", slower_than_the_other)
    monkeypatch.setattr("os.getpid", iter([1, 2]).__next__)
    examples = prepared()
    assert examples.inputs.reshape(-1).tolist() == list(range(12))
    assert len(_folders(tmp_path)) == 1


def _mended(prepared: Callable[..., Examples], tmp_path: Path) -> None:
    """The examples are what they were, and what lies in the cache is that again, and nothing else."""
    examples = prepared()
    assert (examples.inputs.dtype, examples.targets.dtype) == (np.uint8, np.int64)
    assert examples.inputs.reshape(-1).tolist() == list(range(12))
    assert (examples.inputs.shape, examples.targets.tolist()) == ((3, 1, 2, 2), [1, 1, 1])
    (folder,) = _folders(tmp_path)
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert sorted(times) == ["inputs.npy", "meta.json", "targets.npy"]
    prepared()
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == times


@pytest.mark.parametrize("name", ["inputs.npy", "targets.npy"])
@pytest.mark.parametrize("length", [0, 1, 9, 64, 127, 128, 129, -1], ids=str)
def test_an_array_cut_short_is_prepared_anew(
    name: str, length: int, prepared: Callable[..., Examples], tmp_path: Path
) -> None:
    prepared()
    path = _folders(tmp_path)[0] / name
    path.write_bytes(path.read_bytes()[:length])
    _mended(prepared, tmp_path)


@pytest.mark.parametrize("name", ["inputs.npy", "targets.npy"])
def test_an_array_whose_header_lost_a_bit_is_prepared_anew(
    name: str, prepared: Callable[..., Examples], tmp_path: Path
) -> None:
    """With the time it had: a disk that loses a bit does not say so."""
    for bit in range(0, 128 * 8, 7):
        prepared()
        path = _folders(tmp_path)[0] / name
        found = path.stat()
        content = bytearray(path.read_bytes())
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        examples = prepared()
        assert examples.inputs.tolist() == [[[[0, 1], [2, 3]]], [[[4, 5], [6, 7]]], [[[8, 9], [10, 11]]]]
        assert examples.targets.tolist() == [1, 1, 1]
    _mended(prepared, tmp_path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "array gone": lambda folder: (folder / "inputs.npy").unlink(),
    "array longer": lambda folder: os.truncate(folder / "inputs.npy", 141),
    "array of another": lambda folder: np.save(folder / "inputs.npy", np.zeros((3, 1, 2, 2), np.uint8)),
    "array of objects": lambda folder: np.save(folder / "targets.npy", np.array([{}]), allow_pickle=True),
    "array a folder": lambda folder: ((folder / "inputs.npy").unlink(), (folder / "inputs.npy").mkdir()),
    "an array in the place of the other": lambda folder: (folder / "inputs.npy").rename(folder / "targets.npy"),
    "meta gone": lambda folder: (folder / "meta.json").unlink(),
    **{
        f"meta {content[:12]!r}": lambda folder, content=content: (folder / "meta.json").write_bytes(content)  # type: ignore[misc]
        for content in (
            b"",
            b"{",
            b"[]",
            b"null",
            b"3",
            b"{}",
            b'{"files": 3}',
            b'{"files": []}',
            b"\xff",
            b"[" * 10**5,
        )
    },
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_is_prepared_anew(
    damage: Callable[[Path], object], prepared: Callable[..., Examples], tmp_path: Path
) -> None:
    prepared()
    damage(_folders(tmp_path)[0])
    _mended(prepared, tmp_path)


def test_damaged_arrays_stay_until_new_ones_are_there(
    prepared: Callable[..., Examples], folder: Path, tmp_path: Path
) -> None:
    prepared()
    kept = _folders(tmp_path)[0] / "inputs.npy"
    kept.write_bytes(b"damaged")
    (folder / "train-images-idx3-ubyte").unlink()
    with pytest.raises(VerificationError):
        prepared()
    assert kept.read_bytes() == b"damaged"


def test_what_cannot_be_mended_is_a_disk_error(prepared: Callable[..., Examples], tmp_path: Path) -> None:
    prepared()
    (found,) = _folders(tmp_path)
    shutil.rmtree(found)
    found.write_text("a file where the folder should be")
    with pytest.raises(DiskError, match=rf"{found.name}: Not a directory"):
        prepared()
    assert _folders(tmp_path) == [found]


def _squares(dataset: Dataset, folder: Path, side: int) -> Dataset:
    """The dataset with images of another size, which are now in the folder."""
    header = bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, side, 0, 0, 0, side])
    (folder / "train-images-idx3-ubyte").write_bytes(header + bytes(3 * side * side))
    return replace(dataset, sample=replace(dataset.sample, shape=[1, side, side]))


@pytest.mark.parametrize("keeps_time", [False, True])
def test_a_large_array_damaged_at_its_end_is_prepared_anew(
    keeps_time: bool, prepared: Callable[..., Examples], dataset: Dataset, folder: Path, tmp_path: Path
) -> None:
    large = _squares(dataset, folder, 200)
    prepared(dataset=large)
    path = _folders(tmp_path)[0] / "inputs.npy"
    found, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-1] if keeps_time else content[:-1] + b"x")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + (not keeps_time)))
    assert not prepared(dataset=large).inputs.any()
    assert path.read_bytes() == content


@pytest.mark.parametrize("side", [2, 200])
def test_a_full_disk_is_a_disk_error_and_leaves_nothing_half(
    side: int, dataset: Dataset, folder: Path, small_disk: Callable[[int], Path]
) -> None:
    squares, disk = _squares(dataset, folder, side), small_disk(1)
    with pytest.raises(DiskError, match=r"toy/train-\w+: no space left"):
        prepare.prepare(squares, "train", folder=folder, digests=DIGESTS, cache=disk)
    assert [path.name for path in disk.rglob("*")] == ["toy"]


def test_a_cache_that_cannot_be_written_is_a_disk_error(prepared: Callable[..., Examples], tmp_path: Path) -> None:
    (tmp_path / "prepared").write_text("a file")
    with pytest.raises(DiskError, match=r"toy/train-\w+: Not a directory"):
        prepared()


def test_an_unknown_split_is_met_with_the_closest(prepared: Callable[..., Examples]) -> None:
    with pytest.raises(UsageError) as caught:
        prepared("tset")
    assert caught.value.hint == "did you mean 'test'?"


@pytest.mark.parametrize("reader", [None, Choice(name="no_such_reader")])
def test_a_dataset_without_a_reader_is_refused_with_where_its_files_are(
    reader: Choice | None, prepared: Callable[..., Examples], dataset: Dataset, folder: Path
) -> None:
    with pytest.raises(InvalidError) as caught:
        prepared(dataset=replace(dataset, reader=reader))
    assert str(folder) in caught.value.hint


@pytest.mark.parametrize("name", ["idx", "cifar_binary", "digits"])
def test_a_split_that_the_format_does_not_have_is_refused(
    name: str, prepared: Callable[..., Examples], dataset: Dataset, folder: Path
) -> None:
    inside = folder / "cifar-10-batches-bin"
    inside.mkdir()
    (inside / "test_batch.bin").write_bytes(bytes(3073))
    (folder / "digits.csv").write_text(",".join(["0"] * 65))
    with pytest.raises(InvalidError, match="no split named 'odd'"):
        prepared("odd", dataset=replace(dataset, reader=Choice(name=name)))


@pytest.mark.parametrize(("classes", "names"), [(3, ("0", "1", "2")), (["x", "y"], ("x", "y")), (None, ())])
def test_class_names_come_from_the_catalog(
    classes: Any, names: tuple[str, ...], prepared: Callable[..., Examples], dataset: Dataset
) -> None:
    assert prepared(dataset=replace(dataset, classes=classes)).classes == names
