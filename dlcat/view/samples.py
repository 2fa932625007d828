"""Examples to look at: pictures as half blocks, sounds as waveform and spectrogram, texts, records; or as a page."""

from __future__ import annotations

import io
import json
import wave
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat import units
from dlcat.view.page import Page, clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console
    from rich.text import Text

    from dlcat.readers.showing import Shown

    Pixels = np.ndarray[Any, np.dtype[np.uint8]]

PICTURE_CELLS = 32
"""Columns of a picture in a terminal; half as many rows, for a cell is twice as high as wide."""
SOUND_CELLS = 64
"""Columns of a waveform and a spectrogram."""
TEXT_SIGNS = 600
"""A longer text is cut off there."""
RAMP = " .:-=+*#%@"
"""From dark to bright, where there are no colours."""
BARS = " ▁▂▃▄▅▆▇█"
WINDOW = 256
"""Samples of a spectrogram's frame."""


def examples(name: str, split: str, shown: Iterable[Shown], console: Console | None = None) -> str:
    """Examples under each other, each with its number and its target."""
    page = Page(console)
    for each in shown:
        page.line(clean(f"{name} {split}[{each.number}]" + (f"  {each.target}" if each.target else "")), "bold")
        _example(page, each, console)
        page.gap()
    return page.text()


def _example(page: Page, each: Shown, console: Console | None) -> None:
    if each.picture is not None:
        _picture(page, each.picture, PICTURE_CELLS, console)
        page.line(f"{each.picture.shape[1]} × {each.picture.shape[0]} pixels", "dim")
    if each.waveform is not None:
        page.block([envelope(each.waveform, SOUND_CELLS)])
        _picture(page, spectrogram(each.waveform), SOUND_CELLS, console)
        page.line(f"{len(each.waveform) / each.rate_hertz:.2f} s at {units.count(each.rate_hertz)} Hz", "dim")
    if each.text is not None:
        page.paragraph(clean(_cut(each.text)))
    if each.numbers is not None:
        page.paragraph(" ".join(f"{value:.4g}" for value in each.numbers[:100]))
    if each.record is not None:
        page.pairs([(clean(str(key)), clean(_cut(_plain(value)))) for key, value in each.record.items()])


def _picture(page: Page, pixels: Pixels, columns: int, console: Console | None) -> None:
    small = shrunk(pixels, columns)
    if console is None or console.no_color:
        page.block(ramp(small))
    else:
        page.drawing(half_blocks(small))


def shrunk(pixels: Pixels, columns: int) -> Pixels:
    """(H, W, 3) to at most so many columns, and an even number of rows."""
    from PIL import Image

    height, width = pixels.shape[:2]
    across = min(columns, width)
    down = max(2, round(height * across / width))
    image = Image.fromarray(pixels).resize((across, down + down % 2), Image.Resampling.BOX)
    return np.asarray(image)


def half_blocks(pixels: Pixels) -> Text:
    """Two rows of pixels on each line: the upper one in the sign's colour, the lower one in its background's."""
    from rich.text import Text

    drawn = Text(no_wrap=True)
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
            drawn.append("▀", f"rgb({','.join(map(str, above))}) on rgb({','.join(map(str, below))})")
        drawn.append("\n")
    return drawn


def ramp(pixels: Pixels) -> list[str]:
    """A line for two rows of pixels, brighter signs for brighter pixels."""
    grey = pixels.mean(axis=2)
    pairs = (grey[::2] + grey[1::2]) / 2
    steps = (pairs / 256 * len(RAMP)).astype(int)
    return ["".join(RAMP[step] for step in row).rstrip() for row in steps]


def envelope(waveform: np.ndarray[Any, Any], columns: int) -> str:
    """How loud a waveform is from left to right, the loudest part as a full bar."""
    parts = np.array_split(np.abs(waveform.astype(np.float64)), min(columns, max(1, len(waveform))))
    peaks = np.array([part.max(initial=0) for part in parts])
    steps = np.ceil(peaks / max(peaks.max(initial=0), 1e-12) * (len(BARS) - 1)).astype(int)
    return "".join(BARS[step] for step in steps)


def spectrogram(waveform: np.ndarray[Any, Any]) -> Pixels:
    """(H, W, 3) the level of frequencies over time, low ones below, from 60 dB under the loudest on."""
    samples = np.zeros(max(WINDOW, len(waveform)))
    samples[: len(waveform)] = waveform
    starts = np.linspace(0, len(samples) - WINDOW, 2 * SOUND_CELLS).astype(int)
    frames = samples[starts[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, axis=1))[:, 1:] ** 2
    bands = power.reshape(len(power), 32, -1).sum(axis=2).T[::-1]  # (32, frames), high ones above
    levels = 10 * np.log10(np.maximum(bands, 1e-12))
    share = ((levels - levels.max()) / 60 + 1).clip(0, 1)
    colours = np.stack([share**0.7 * 255, share**1.6 * 255, (0.25 + 0.75 * share) * share**0.4 * 160], axis=2)
    return colours.round().clip(0, 255).astype(np.uint8)


def plain(each: Shown) -> dict[str, Any]:
    """An example for JSON: what pictures and sounds are, without their pixels and samples."""
    told: dict[str, Any] = {"number": each.number, "target": each.target or None}
    if each.picture is not None:
        told["pixels"] = list(each.picture.shape[1::-1])
    if each.waveform is not None:
        told |= {"samples": len(each.waveform), "rate_hertz": each.rate_hertz}
    parts = {"text": each.text, "numbers": each.numbers and list(each.numbers), "record": each.record}
    return told | {key: value for key, value in parts.items() if value is not None}


def page(name: str, split: str, shown: Iterable[Shown], *, title: str, version: str) -> str:
    """Examples as one HTML page that needs nothing else: pictures to see, sounds to hear."""
    from dlcat.view.templates import library

    pages, style = library()
    cards = [_card(each) for each in shown]
    content = {"name": name, "split": split, "title": title, "version": version, "style": style, "cards": cards}
    return pages.get_template("samples.html.jinja").render(content)


def _card(each: Shown) -> Mapping[str, Any]:
    from dlcat.view.pictures import embedded

    picture = each.picture if each.waveform is None else spectrogram(each.waveform)
    said = each.text if each.text is not None else None
    if each.numbers is not None:
        said = " ".join(f"{value:.4g}" for value in each.numbers)
    return {
        "number": each.number,
        "target": each.target,
        "picture": None if picture is None else embedded(picture, 256),
        "sound": None if each.waveform is None else _wav(each.waveform, each.rate_hertz),
        "text": said,
        "record": None if each.record is None else [(key, _plain(value)) for key, value in each.record.items()],
    }


def _wav(waveform: np.ndarray[Any, Any], rate_hertz: int) -> str:
    """A WAV file in a data URI."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((1, 2, rate_hertz, 0, "NONE", ""))
        file.writeframes(waveform.astype("<i2").tobytes())
    return f"data:audio/wav;base64,{b64encode(stream.getvalue()).decode()}"


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= TEXT_SIGNS else f"{flat[:TEXT_SIGNS]}…"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
