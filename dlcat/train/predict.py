"""What a trained network says of a person's own picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from dlcat.errors import InvalidError
from dlcat.readers.pixels import Crops, decode
from dlcat.train.batches import INK_CONTRAST

if TYPE_CHECKING:
    from pathlib import Path

    from dlcat.recipe import Inputs
    from dlcat.train.batches import InputStatistics
    from dlcat.train.experiment import Experiment

LIMIT_PIXELS = 200_000_000


@dataclass(frozen=True, slots=True)
class Prediction:
    """The most probable classes for one file, best first."""

    file: str
    classes: list[tuple[str, float]]
    """(class name, probability)."""
    note: str
    """What was done to the picture so that it looks like the training data."""

    def plain(self) -> dict[str, Any]:
        ranked = [{"class": name, "probability": probability} for name, probability in self.classes]
        return {"file": self.file, "predictions": ranked, "note": self.note}


@torch.inference_mode()
def predict(
    path: Path,
    experiment: Experiment,
    statistics: InputStatistics,
    shape: tuple[int, ...],
    classes: list[str],
    top: int = 3,
) -> Prediction:
    """Classify one image file.

    Raises:
        InvalidError: the file is missing, or no picture that Pillow can read.
    """
    read = experiment.recipe.inputs
    values, note = as_input(path, statistics, shape) if read is None else centre(path, statistics, read, shape)
    channels = (1, -1, 1, 1)
    mean, std = torch.tensor(statistics.mean).view(channels), torch.tensor(statistics.std).view(channels)
    inputs = experiment.device.place((torch.from_numpy(values)[None] - mean) / std)  # (1, C, H, W)
    experiment.model.eval()
    outputs = experiment.outputs(inputs)
    probabilities, positions = outputs.softmax(1)[0].topk(min(top, outputs.shape[1]))
    ranked = [
        (classes[position], float(probability)) for probability, position in zip(probabilities, positions, strict=True)
    ]
    return Prediction(str(path), ranked, note)


def as_input(path: Path, statistics: InputStatistics, shape: tuple[int, ...]) -> tuple[np.ndarray[Any, Any], str]:
    """A picture as the network was trained on them: (C, H, W) float32 in 0..peak, and what was done to it.

    Grey-scale networks (handwritten characters) also need ink and paper the right way round, and the ink in the middle.
    """
    channels, height, width = shape
    picture = _open(path).convert("L" if channels == 1 else "RGB")
    notes: list[str] = []
    if channels == 1 and picture.size != (width, height):
        picture, notes = _like_training_ink(picture, statistics)
    if picture.size != (width, height):
        notes.append(f"resized from {picture.width}×{picture.height} to {width}×{height}")
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    values = np.asarray(picture, np.float32).reshape(height, width, channels).transpose(2, 0, 1)
    return values * np.float32(statistics.peak / 255), "; ".join(notes)


def centre(
    path: Path, statistics: InputStatistics, read: Inputs, shape: tuple[int, ...]
) -> tuple[np.ndarray[Any, Any], str]:
    """A picture as a network is evaluated that was trained on pictures decoded on the way: see `as_input`."""
    try:
        values = decode(path.read_bytes(), Crops(read.size, shape[0], read.least_area, read.center), None)
    except FileNotFoundError:
        raise InvalidError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InvalidError(f"{path}: {error}", hint="PNG and JPEG files work") from error
    note = f"the middle {read.center:.0%} of its shorter side, as {read.size}×{read.size}"
    return values * np.float32(statistics.peak / 255), note


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > LIMIT_PIXELS:
                raise InvalidError(f"{path}: {picture.width}×{picture.height} pixels are more than {LIMIT_PIXELS:,}")
            # Photos are turned by a tag; transparent drawings stand on white paper.
            upright = ImageOps.exif_transpose(picture)
            if "A" in upright.getbands() or "transparency" in upright.info:
                paper = Image.new("RGBA", upright.size, "white")
                return Image.alpha_composite(paper, upright.convert("RGBA"))
            if upright.mode.startswith("I"):  # 16 bits: converting would cut off all but the darkest values
                return Image.fromarray((np.asarray(upright) >> 8).clip(0, 255).astype(np.uint8))
            return upright.copy()
    except FileNotFoundError:
        raise InvalidError(f"{path}: no such file") from None
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidError(
            f"{path}: not a picture that can be read: {error}", hint="PNG and JPEG files work"
        ) from error


def _like_training_ink(picture: Image.Image, statistics: InputStatistics) -> tuple[Image.Image, list[str]]:
    """Ink and paper turned round where they differ from the training data, the ink cut out and set in a square."""
    notes = []
    values = np.asarray(picture, np.float32)
    paper = float(np.median(np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])))
    if (paper > 127) != (statistics.background / max(statistics.peak, 1e-12) > 0.5):
        picture, paper = ImageOps.invert(picture), 255 - paper
        notes.append("inverted to match the training data")
    ink = np.abs(np.asarray(picture, np.float32) - paper) > 255 * INK_CONTRAST
    if ink.any():
        rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        cut = picture.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
        side = max(round(max(cut.size) / max(statistics.ink, 0.1)), *cut.size)
        square = Image.new("L", (side, side), round(paper))
        square.paste(cut, ((side - cut.width) // 2, (side - cut.height) // 2))
        picture = square
        notes.append("cut to the ink and centred")
    return picture, notes
