"""Pictures inside a report: the worst mistakes, and the filters of the first layer."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from dlcat import units
from dlcat.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dlcat.run import Run

MISTAKES_LIMIT = 24
THUMBNAIL_PIXELS = 160
"""Longest side of an embedded picture; larger ones are scaled down."""
FILTERS_LIMIT = 64
FILTER_COLUMNS = 16
FILTER_PIXELS = 44
"""How wide a filter is shown."""
PIXELATED_BELOW = 65
"""Pictures with shorter sides are shown with hard pixel edges, larger ones smoothly."""


def class_name(position: int, classes: Sequence[str]) -> str:
    """Its name, or its number where there is none."""
    return classes[position] if 0 <= position < len(classes) else str(position)


def mistakes(path: Path, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The worst errors as captioned pictures; none where the inputs are not pictures."""
    if not path.is_file():
        return
    inputs, targets, predictions, confidences = _arrays(path)
    if inputs.ndim != 4 or inputs.dtype.name != "uint8" or inputs.shape[1] not in (1, 3):
        return
    rows = zip(inputs, targets.tolist(), predictions.tolist(), confidences.tolist(), strict=True)
    for pixels, target, prediction, confidence in list(rows)[:MISTAKES_LIMIT]:
        true, predicted = class_name(int(target), classes), class_name(int(prediction), classes)
        share = units.percent(float(confidence), 0)
        yield {
            **_picture(pixels),
            "true": true,
            "predicted": predicted,
            "confidence": share,
            "alt": f"Test example of class {true} that was taken for {predicted}",
        }


def filters(run: Run, layer: str | None) -> dict[str, Any] | None:
    """The filters of a layer as one picture; None where there are none to look at, or no weights."""
    if not layer or not run.weights_path.is_file():
        return None
    weights = _weights(run.weights_path, f"{layer}.weight")
    pixels, columns = contact_sheet(weights)
    shape = " x ".join(map(str, weights.shape[2:]))
    return {
        **embedded(pixels, max(pixels.shape)),
        "layer": layer,
        "shown": min(len(weights), FILTERS_LIMIT),
        "all": len(weights),
        "shape": shape,
        "pixels": columns * FILTER_PIXELS,
    }


def _weights(path: Path, name: str) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stored:
            return stored.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise InvalidError(f"{path}: expected {name}; cannot be read: {error}") from error


def contact_sheet(weights: Any) -> tuple[Any, int]:
    """Filters (O, C, h, w) side by side as pixels (H, W, 4) uint8, a transparent pixel between; and how many in a row.

    Each is scaled by its own largest weight: grey is 0, or with three colours, no colour.
    """
    import numpy as np

    chosen = weights[:FILTERS_LIMIT].transpose(0, 2, 3, 1).astype(np.float64)  # (O, h, w, C)
    count, height, width, _ = chosen.shape
    largest = np.maximum(np.abs(chosen).max(axis=(1, 2, 3), keepdims=True), 1e-12)
    columns = min(count, FILTER_COLUMNS)
    rows = -(-count // columns)
    sheet = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, 4), np.uint8)
    for position, pixels in enumerate(np.round(127.5 + 127.5 * chosen / largest)):
        top, left = position // columns * (height + 1), position % columns * (width + 1)
        sheet[top : top + height, left : left + width, :3] = pixels  # one channel is repeated
        sheet[top : top + height, left : left + width, 3] = 255
    return sheet, columns


def _arrays(path: Path) -> tuple[Any, Any, Any, Any]:
    import numpy as np

    try:
        # Opened here: np.load leaves a damaged file open.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return stored["inputs"], stored["targets"], stored["predictions"], stored["confidences"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InvalidError(
            f"{path}: expected inputs, targets, predictions, confidences; cannot be read: {error}"
        ) from error


def _picture(pixels: Any) -> dict[str, Any]:
    """One image, uint8 (C, H, W), as a PNG in a data URI."""
    return embedded(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0).copy(), THUMBNAIL_PIXELS)


def embedded(pixels: Any, longest_side: int) -> dict[str, Any]:
    """Pixels (H, W) or (H, W, channels), uint8, as a PNG in a data URI, scaled down where they are larger."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((longest_side, longest_side))
    stream = BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return {
        "source": f"data:image/png;base64,{b64encode(stream.getvalue()).decode()}",
        "width": image.width,
        "height": image.height,
        "small": max(image.size) < PIXELATED_BELOW,
    }
