"""Encoded pictures to pixels: where the bytes of one lie, which part of it a network sees, and decoding that part alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from dlcat.errors import VerificationError

LIMIT_PIXELS = 200_000_000
"""More are taken for a bomb: a small file that fills the memory."""
RATIOS = (3 / 4, 4 / 3)
"""Width to height of random crops."""
TRIES = 10
"""Random crops that are drawn before one that does not fit gives way to the centre."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of one picture lie."""

    path: str
    """A file of its own, or one that holds many."""
    offset: int = 0
    """Of its first byte."""
    length: int = -1
    """Of its bytes; -1: to the file's end."""
    name: str = ""
    """What it is called inside a file that holds many."""

    def read(self) -> bytes:
        """The encoded picture.

        Raises:
            VerificationError: it is not there, or shorter than it should be.
        """
        try:
            with open(self.path, "rb") as stream:
                stream.seek(self.offset)
                content = stream.read(self.length)
        except OSError as error:
            raise VerificationError(
                f"{self}: cannot be read: {error.strerror}", hint="`dlcat verify NAME` says what is missing"
            ) from error
        if len(content) < self.length:
            raise VerificationError(f"{self}: expected {self.length} bytes, found {len(content)}")
        return content

    def __str__(self) -> str:
        return f"{self.path}, {self.name}" if self.name else self.path


@dataclass(frozen=True, slots=True)
class Crops:
    """The part of a picture that a network sees, always a square of the same size."""

    size: int
    """Pixels of its side."""
    channels: int
    """1: grey, 3: red, green, blue."""
    least_area: float
    """Share of a picture's area that a random crop takes at least; 1: the centre crop in training, too."""
    center: float
    """Side of the centre crop as a share of the picture's shorter side."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.size, self.size)

    def box(self, width: int, height: int, chance: tuple[int, int] | None) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the part, in pixels of the whole picture.

        Args:
            width: of the picture.
            height: of the picture.
            chance: two numbers that decide a random crop (Szegedy et al. 2015, arXiv:1409.4842); None: the centre.
        """
        if chance is not None and self.least_area < 1:
            random = np.random.default_rng(chance)
            for _ in range(TRIES):
                area = width * height * random.uniform(self.least_area, 1)
                ratio = math.exp(random.uniform(math.log(RATIOS[0]), math.log(RATIOS[1])))
                across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
                if 0 < across <= width and 0 < down <= height:
                    left, top = int(random.integers(width - across + 1)), int(random.integers(height - down + 1))
                    return left, top, left + across, top + down
        side = self.center * min(width, height)
        return (width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2


def decode(content: bytes, crops: Crops, chance: tuple[int, int] | None) -> np.ndarray[Any, Any]:
    """The part of an encoded picture that the crops ask for, (C, size, size) uint8.

    Of a JPEG no more detail is decoded than the part needs. A tag that says how the camera was held (EXIF) is left alone, as
    the tools did with which the published results on such datasets were made.

    Raises:
        ValueError: it is no picture with 8 bits a channel that Pillow can read, or a bomb.
    """
    try:
        with Image.open(BytesIO(content)) as picture:
            return _part(picture, crops, chance)
    except UnidentifiedImageError as error:  # its own words are an address in memory
        raise ValueError(f"cannot be decoded: it begins {content[:12]!r}") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot be decoded: {error}") from error


def decode_at(place: Place, crops: Crops, chance: tuple[int, int] | None) -> np.ndarray[Any, Any]:
    """As `decode`, of the picture that lies there.

    Raises:
        VerificationError: names the file and what is wrong with it.
    """
    try:
        return decode(place.read(), crops, chance)
    except ValueError as error:
        raise VerificationError(
            f"{place}: expected a picture, found one that {error}", hint="`dlcat verify NAME` says what is damaged"
        ) from error


def _part(picture: Image.Image, crops: Crops, chance: tuple[int, int] | None) -> np.ndarray[Any, Any]:
    width, height = picture.size
    if width * height > LIMIT_PIXELS:
        raise ValueError(f"has {width} × {height} pixels, more than {LIMIT_PIXELS:,}")
    if picture.mode.startswith(("I", "F")):
        raise ValueError(f"has more than 8 bits a channel (mode {picture.mode})")
    mode = "L" if crops.channels == 1 else "RGB"
    left, top, right, bottom = crops.box(width, height, chance)
    shrink = min((right - left), (bottom - top)) / crops.size
    if shrink > 1:
        picture.draft(mode, (math.ceil(width / shrink), math.ceil(height / shrink)))
    across, down = picture.width / width, picture.height / height  # a draft is a half, a quarter or an eighth
    box = (left * across, top * down, min(right * across, picture.width), min(bottom * down, picture.height))
    cut = picture.convert(mode).resize((crops.size, crops.size), Image.Resampling.BILINEAR, box=box)
    rows = np.asarray(cut).reshape(crops.size, crops.size, crops.channels)
    return np.ascontiguousarray(rows.transpose(2, 0, 1))
