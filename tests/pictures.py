"""Small pictures of noise, for tests that need files that decode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def noise(draw: np.random.Generator, least: int = 16, most: int = 40) -> Image.Image:
    """A picture in colour, of any size between."""
    height, width = (int(side) for side in draw.integers(least, most + 1, 2))
    return Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))


def write_jpeg(path: Path, draw: np.random.Generator) -> None:
    """Whatever its name ends with."""
    noise(draw).save(path, "JPEG")
