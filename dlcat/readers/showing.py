"""Some examples of a split, to be looked at: pictures, sounds, texts, numbers or records, each with its target in words."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat.errors import VerificationError
from dlcat.readers.encoded import EncodedExamples
from dlcat.readers.examples import Bad, Examples, reader
from dlcat.readers.streaming import NONE
from dlcat.readers.unread import SoundExamples, TextExamples
from dlcat.readers.waveforms import about, waveform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlcat.catalog import Dataset
    from dlcat.readers.prepare import Prepared

LONGEST_SIDE = 512
"""Pixels; larger pictures are shown smaller."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One example; of what it is not, None."""

    number: int
    """Its place in the split, from 0."""
    target: str
    """In words; empty where there is none."""
    picture: np.ndarray[Any, np.dtype[np.uint8]] | None = None
    """(H, W, 3)."""
    waveform: np.ndarray[Any, np.dtype[np.int16]] | None = None
    """(T,)."""
    rate_hertz: int = 0
    """Of the waveform."""
    text: str | None = None
    numbers: tuple[float, ...] | None = None
    record: dict[str, Any] | None = None


def chosen(examples: Prepared, count: int, seed: int) -> Iterator[Shown]:
    """So many examples, drawn by the seed, in their order.

    Raises:
        VerificationError: one cannot be decoded; names the file.
    """
    drawn = np.random.default_rng(seed).permutation(len(examples))[:count]
    for number in sorted(drawn.tolist()):
        target = told(examples.targets[number], examples.classes)
        match examples:
            case Examples(inputs=inputs) if inputs.ndim == 4:
                yield Shown(number, target, picture=_coloured(inputs[number]))
            case Examples(inputs=inputs):
                yield Shown(number, target, numbers=tuple(float(value) for value in inputs[number].ravel()))
            case EncodedExamples():
                (place,) = examples.storage.places([number])
                yield Shown(number, target, picture=_decoded(place.read(), str(place)))
            case SoundExamples(folder=folder, paths=paths):
                path = folder / os.fsdecode(paths[number])
                rate = about(path).rate_hertz
                yield Shown(number, target, waveform=waveform(path, rate), rate_hertz=rate)
            case TextExamples(texts=texts):
                yield Shown(number, target, text=texts[number].tobytes().decode("utf-8", "replace"))


def first_records(dataset: Dataset, split: str, folder: Path, count: int) -> Iterator[Shown]:
    """The first records of a split that can be used: of a stream nobody knows the end.

    Raises:
        DlcatError: the reader refuses the files.
    """
    assert dataset.reader is not None
    read = (each for each in reader.bind(dataset.reader)(folder, split) if not isinstance(each, Bad))
    for number, each in enumerate(islice(read, count)):
        target = "" if each.target is None else str(each.target)
        yield Shown(number, target, record=dict(each.input) if isinstance(each.input, dict) else {"": each.input})


def told(target: Any, classes: tuple[str, ...]) -> str:
    """A target in words: its class, its classes, or a number."""
    if np.ndim(target):
        return ", ".join(name for name, there in zip(classes, target, strict=True) if there == 1)
    if np.issubdtype(np.asarray(target).dtype, np.floating):
        return "" if np.isnan(target) else f"{float(target):g}"
    if int(target) == NONE:
        return ""
    return classes[int(target)] if classes else str(int(target))


def _coloured(image: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(C, H, W) of any range to (H, W, 3) bytes: bytes stay as they are, but where the brightest is dark all is lifted."""
    values = np.asarray(image, np.float64)
    peak = values.max(initial=0)
    if image.dtype != np.uint8 or peak <= 32:  # the digits of scikit-learn end at 16
        values = values * (255 / max(peak, 1e-12))
    pixels = values.round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]


def _decoded(content: bytes, name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    from PIL import Image

    from dlcat.readers.pixels import LIMIT_PIXELS

    try:
        with Image.open(BytesIO(content)) as picture:
            if picture.width * picture.height > LIMIT_PIXELS:
                raise ValueError(f"{picture.width} × {picture.height} pixels are more than {LIMIT_PIXELS:,}")
            picture.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
            small = picture.convert("RGB")
            small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            return np.asarray(small)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise VerificationError(f"{name}: expected a picture, found one that cannot be decoded: {error}") from error
