"""dhcd: handwritten Devanagari characters, a folder of small PNG files per class, or the authors' npz (Acharya et al. 2015)."""

from __future__ import annotations

import os
import zipfile
import zlib
from io import BytesIO
from math import prod
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np

from dlcat.errors import DlcatError
from dlcat.readers.examples import expect, for_split, read_bytes, reader

if TYPE_CHECKING:
    from pathlib import Path

LETTERS = [
    "ka",
    "kha",
    "ga",
    "gha",
    "kna",
    "cha",
    "chha",
    "ja",
    "jha",
    "yna",
    "taamatar",
    "thaa",
    "daa",
    "dhaa",
    "adna",
    "tabala",
    "tha",
    "da",
    "dha",
    "na",
    "pa",
    "pha",
    "ba",
    "bha",
    "ma",
    "yaw",
    "ra",
    "la",
    "waw",
    "motosaw",
    "petchiryakha",
    "patalosaw",
    "ha",
    "chhya",
    "tra",
    "gya",
]
CLASSES = [f"character_{number}_{name}" for number, name in enumerate(LETTERS, 1)] + [f"digit_{n}" for n in range(10)]
"""The folders' names; a label is a position among them."""
SIDE = 32
HEADER_BYTES = 10_000
"""The longest header of an array that is believed."""
ARRAY_BYTES = 1 << 30
"""The longest array that is believed; the dataset's has 80 MB."""


@reader
def dhcd(
    folder: Path,
    split: str,
    *,
    inside: str = "DevanagariHandwrittenCharacterDataset",
    source: Literal["png", "npz"] = "png",
    first_label: Literal[0, 1] = 1,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Grey characters of 32 × 32 pixels: <inside>/Train/<class>/*.png and Test, or the arrays of <inside>/dataset.npz.

    The npz numbers classes as the folders' names do, from `first_label`: 1 in the script of the dataset's authors.
    """
    if source == "npz":
        return _arrays(folder / inside / "dataset.npz", split, first_label)
    top = folder / inside / for_split(split, {"train": "Train", "test": "Test"})
    expect(top.is_dir(), top, f"a folder with {len(CLASSES)} folders", "none")
    found = {each.name for each in os.scandir(top) if each.is_dir()}
    expect(found == set(CLASSES), top, f"{len(CLASSES)} folders, {CLASSES[0]} to {CLASSES[-1]}", _difference(found))
    paths = [(path, label) for label, name in enumerate(CLASSES) for path in _pictures(top / name)]
    pixels = np.empty((len(paths), 1, SIDE, SIDE), np.uint8)
    for position, (path, _) in enumerate(paths):
        pixels[position, 0] = _decoded(path)
    return pixels, np.array([label for _, label in paths], np.int64)


def _difference(found: set[str]) -> str:
    """What is missing or too many."""
    said = [f"no {name}" for name in CLASSES if name not in found] + sorted(found - set(CLASSES))
    return said[0] if said else "them"


def _pictures(folder: Path) -> list[Path]:
    found = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=os.fsencode)
    expect(len(found) > 0, folder, "pictures", "none")
    return found


def _decoded(path: Path) -> np.ndarray[Any, Any]:
    """The grey levels of one PNG, (32, 32) uint8; of another format or size none is decoded."""
    from PIL import Image

    expected = f"a PNG of {SIDE} × {SIDE} pixels"
    try:
        with Image.open(BytesIO(read_bytes(path))) as picture:
            what = f"{picture.format} of {picture.width} × {picture.height}, mode {picture.mode}"
            is_expected = picture.format == "PNG" and picture.size == (SIDE, SIDE) and picture.mode[0] not in "IF"
            expect(is_expected, path, expected, what)
            return np.asarray(picture.convert("L"))
    except DlcatError:
        raise
    except Exception as error:  # Pillow raises many kinds on what is damaged
        reason = "no picture" if "cannot identify" in str(error) else f"one that cannot be decoded: {error}"
        expect(False, path, expected, reason)
        raise


def _arrays(path: Path, split: str, first_label: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """What the authors' script writes: arr_0 to arr_3, pictures and labels of training, then of test."""
    pictures, labels = for_split(split, {"train": ("arr_0", "arr_1"), "test": ("arr_2", "arr_3")})
    try:
        with zipfile.ZipFile(path) as archive:
            pixels, numbers = (_array(archive, f"{name}.npy", path) for name in (pictures, labels))
    except FileNotFoundError:
        expect(False, path, "a file", "none")
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        expect(False, path, "arrays in a zip file", f"one that cannot be read: {error}")
        raise
    is_expected = pixels.dtype == np.uint8 and pixels.shape == (len(numbers), SIDE, SIDE) and numbers.ndim == 1
    expect(is_expected, path, f"{pictures} of shape (N, 32, 32), {labels} (N,)", f"{pixels.shape}, {numbers.shape}")
    positions = numbers.astype(np.int64) - first_label
    known = (positions >= 0) & (positions < len(CLASSES))
    expected = f"labels {first_label} to {first_label + len(CLASSES) - 1}"
    expect(bool(known.all()), path, expected, f"label {numbers[~known][:1]}")
    return pixels[:, None], positions


def _array(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray[Any, Any]:
    """One array of whole numbers, unpickling nothing; its header is held against the length of what was packed."""
    expect(name in archive.namelist(), path, name, ", ".join(archive.namelist()[:9]) or "nothing")
    with archive.open(name) as stream:
        shape, fortran, kind = _header(stream, path)
        length, known = prod(shape) * kind.itemsize, archive.getinfo(name).file_size
        expect(kind.kind in "iu" and not fortran, path, f"{name} of whole numbers, by rows", kind)
        expect(length <= ARRAY_BYTES, path, f"at most {ARRAY_BYTES:,} bytes in {name}", f"{length:,}")
        expect(0 <= known - length <= HEADER_BYTES, path, f"{length:,} bytes for shape {shape} in {name}", f"{known:,}")
        raw = stream.read(length)
    expect(len(raw) == length, path, f"{length:,} bytes in {name}", f"{len(raw):,}")
    return np.frombuffer(raw, kind).reshape(shape)


def _header(stream: IO[bytes], path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"version {version}")
        return np.lib.format.read_array_header_1_0(stream, max_header_size=HEADER_BYTES)
    except Exception as error:  # what the header says is evaluated as a literal, which fails in many ways
        expect(False, path, "the header of an array", str(error).partition("\n")[0])
        raise
