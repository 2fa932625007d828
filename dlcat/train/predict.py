"""What a trained network says of a person's own picture, sound or text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from dlcat.errors import InvalidError, VerificationError
from dlcat.inputs import Pictures, Sounds, Tokens
from dlcat.readers.pixels import decode
from dlcat.readers.ragged import Ragged
from dlcat.readers.waveforms import waveform
from dlcat.train.batches import INK_CONTRAST
from dlcat.train.heard import cut, listening

if TYPE_CHECKING:
    from pathlib import Path

    from dlcat.readers.pixels import Crops
    from dlcat.train.batches import InputStatistics
    from dlcat.train.experiment import Experiment
    from dlcat.train.trained import Known

LIMIT_PIXELS = 200_000_000


@dataclass(frozen=True, slots=True)
class Prediction:
    """The most probable classes for one file, best first."""

    file: str
    classes: list[tuple[str, float]]
    """(class name, probability); where a number is predicted, one without a name."""
    note: str
    """What was done to the file so that it is like the training data."""

    def plain(self) -> dict[str, Any]:
        if self.classes and not self.classes[0][0]:
            return {"file": self.file, "value": self.classes[0][1], "note": self.note}
        ranked = [{"class": name, "probability": probability} for name, probability in self.classes]
        return {"file": self.file, "predictions": ranked, "note": self.note}


@torch.inference_mode()
def predict(path: Path, experiment: Experiment, known: Known, top: int = 3) -> Prediction:
    """Say what the network sees in an image, hears in a sound, or reads in a text file.

    Raises:
        InvalidError: the file is missing, or nothing that the network takes.
    """
    inputs, note = _inputs(path, known)
    experiment.model.eval()
    outputs = experiment.outputs(experiment.device.place(inputs.to(experiment.device.device)))
    said = experiment.task.decode(outputs)[0]
    if experiment.task.targets == "numbers":
        return Prediction(str(path), [("", float(said))], note)
    probabilities, positions = said.topk(min(top, len(said)))
    ranked = [
        (known.classes[position], float(probability))
        for probability, position in zip(probabilities, positions, strict=True)
    ]
    return Prediction(str(path), ranked, note)


def _inputs(path: Path, known: Known) -> tuple[torch.Tensor, str]:
    """What the network gets of a file, (1, ...), and what was done to the file."""
    match known.form:
        case Sounds() as form:
            stretch, note = _heard(path, form)
            heard = listening(form, torch.device("cpu"))(torch.from_numpy(stretch))
            return _centred(heard, known.statistics), note
        case Tokens() as form:
            assert known.encoder is not None
            text = np.frombuffer(_read(path), np.uint8)
            tokens = form.restore(known.encoder).encode(Ragged.of(text, np.array([len(text)])))
            return torch.from_numpy(tokens).long(), ""
        case Pictures() as form:
            values, note = centre(path, known.statistics, form.crops)
        case _:
            values, note = as_input(path, known.statistics, known.shape)
    return _centred(torch.from_numpy(values)[None], known.statistics), note


def _centred(values: torch.Tensor, statistics: InputStatistics) -> torch.Tensor:
    channels = (1, -1, *[1] * (values.dim() - 2))
    return (values - torch.tensor(statistics.mean).view(channels)) / torch.tensor(statistics.std).view(channels)


def _heard(path: Path, form: Sounds) -> tuple[np.ndarray[Any, Any], str]:
    """The middle stretch of a sound (1, 1, samples), and what there was of it."""
    if not path.is_file():
        raise InvalidError(f"{path}: no such file")
    try:
        sound = waveform(path, form.rate_hertz)
    except VerificationError as error:
        raise InvalidError(error.message, hint="WAV, FLAC, Ogg and MP3 files work") from error
    stretch = np.zeros((1, 1, form.samples), np.int16)
    cut(sound, stretch[0, 0], 0.5)
    seconds = len(sound) / form.rate_hertz
    return stretch, f"the middle {form.samples / form.rate_hertz:g} s of {seconds:.2f}" if seconds else "silence"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidError(f"{path}: cannot be read: {error.strerror}") from error


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


def centre(path: Path, statistics: InputStatistics, crops: Crops) -> tuple[np.ndarray[Any, Any], str]:
    """A picture as a network is evaluated that was trained on pictures decoded on the way: see `as_input`."""
    try:
        values = decode(path.read_bytes(), crops, None)
    except FileNotFoundError:
        raise InvalidError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InvalidError(f"{path}: {error}", hint="PNG and JPEG files work") from error
    note = f"the middle {crops.center:.0%} of its shorter side, as {crops.size}×{crops.size}"
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
