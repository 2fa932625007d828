"""A person's own picture: whatever its size, colours and file format, what it shows is what counts."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from dlcat.errors import InvalidError
from dlcat.run import Run
from dlcat.train.batches import InputStatistics, resident
from dlcat.train.loop import outputs_of
from dlcat.train.predict import Prediction, as_input, predict
from dlcat.train.trained import restore
from dlcat.workspace import Workspace

TRIED = 12
MOSTLY = 10


@pytest.fixture(scope="session")
def restored(trained: Run, place: Workspace) -> Any:
    return restore(place.recipe(str(trained.recipe_path)), trained, "cpu")


@pytest.fixture(scope="session")
def shown(restored: Any, place: Workspace) -> list[tuple[np.ndarray, str]]:
    """Test digits as (8, 8) bytes, 255 for ink, each with what the network says of the array itself."""
    built, known = restored
    test = place.examples(place.catalog["digits"], "test")
    said = outputs_of(built, resident(test, None, built.device, known.statistics)).argmax(1)
    pixels = (np.asarray(test.inputs[:TRIED, 0], np.float64) * 255 / 16).round().astype(np.uint8)
    return [(image, known.classes[number]) for image, number in zip(pixels, said[:TRIED], strict=True)]


@pytest.fixture
def ask(restored: Any) -> Callable[[Path], Prediction]:
    built, known = restored
    return lambda path: predict(path, built, known)


def _grey(pixels: np.ndarray, scale: int = 1) -> Image.Image:
    return Image.fromarray(pixels).resize((8 * scale, 8 * scale), Image.Resampling.NEAREST)


def _on_paper(pixels: np.ndarray, scale: int = 10) -> Image.Image:
    """Large, with a margin, as a scan would be; ink is still bright."""
    return ImageOps.expand(_grey(pixels, scale), border=4 * scale, fill=0)


def _sixteen_bits(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.asarray(_on_paper(pixels)).astype(np.uint16) * 257)


def _transparent(pixels: np.ndarray) -> Image.Image:
    drawing = Image.new("RGBA", _on_paper(pixels).size, (20, 20, 120, 0))
    drawing.putalpha(_on_paper(pixels))
    return drawing


WAYS: dict[str, tuple[str, Callable[[np.ndarray], Image.Image]]] = {
    "as it is": ("png", _grey),
    "ten times as large": ("png", lambda pixels: _grey(pixels, 10)),
    "with a margin": ("png", _on_paper),
    "off the middle": ("png", lambda pixels: ImageOps.expand(_grey(pixels, 10), border=(200, 10, 20, 90), fill=0)),
    "black on white": ("png", lambda pixels: ImageOps.invert(_on_paper(pixels))),
    "red, green, blue": ("png", lambda pixels: _on_paper(pixels).convert("RGB")),
    "palette": ("png", lambda pixels: _on_paper(pixels).convert("P")),
    "palette, black on white": ("gif", lambda pixels: ImageOps.invert(_on_paper(pixels)).convert("P")),
    "sixteen bits": ("png", _sixteen_bits),
    "grey with alpha": ("png", lambda pixels: ImageOps.invert(_on_paper(pixels)).convert("LA")),
    "ink on nothing": ("png", _transparent),
    "jpeg": ("jpg", lambda pixels: ImageOps.invert(_on_paper(pixels)).convert("RGB")),
    "bmp": ("bmp", _on_paper),
}


@pytest.mark.parametrize(("ending", "draw"), WAYS.values(), ids=WAYS)
def test_a_picture_of_a_digit_is_that_digit_however_it_is_drawn(
    ending: str,
    draw: Callable[[np.ndarray], Image.Image],
    shown: list[tuple[np.ndarray, str]],
    ask: Callable[[Path], Prediction],
    tmp_path: Path,
) -> None:
    path = tmp_path / f"digit.{ending}"
    right = 0
    for pixels, said in shown:
        draw(pixels).save(path)
        right += ask(path).classes[0][0] == said
    assert right >= (TRIED if draw is _grey else MOSTLY)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_tag_says(
    orientation: int, shown: list[tuple[np.ndarray, str]], restored: Any, tmp_path: Path
) -> None:
    upright = _on_paper(shown[0][0]).convert("RGB")
    undo = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
            7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    stored = upright.transpose(Image.Transpose[undo[orientation]]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    upright.save(tmp_path / "upright.png")
    found = [as_input(tmp_path / name, restored[1].statistics, (1, 8, 8))[0] for name in ("turned.png", "upright.png")]
    assert np.array_equal(*found)


def test_sixteen_bits_say_the_same_as_eight(shown: list[tuple[np.ndarray, str]], restored: Any, tmp_path: Path) -> None:
    _on_paper(shown[0][0]).save(tmp_path / "8.png")
    _sixteen_bits(shown[0][0]).save(tmp_path / "16.png")
    assert np.array_equal(
        *[as_input(tmp_path / name, restored[1].statistics, (1, 8, 8))[0] for name in ("8.png", "16.png")]
    )


def test_the_note_says_what_was_done(
    shown: list[tuple[np.ndarray, str]], ask: Callable[[Path], Prediction], tmp_path: Path
) -> None:
    pixels = shown[0][0]
    _grey(pixels).save(tmp_path / "same.png")
    ImageOps.invert(_on_paper(pixels)).save(tmp_path / "other.png")
    assert ask(tmp_path / "same.png").note == ""
    note = ask(tmp_path / "other.png").note
    assert all(words in note for words in ("inverted", "cut to the ink", "resized"))


def test_predictions_are_the_most_probable_classes_best_first(
    shown: list[tuple[np.ndarray, str]], ask: Callable[[Path], Prediction], tmp_path: Path
) -> None:
    _grey(shown[0][0]).save(tmp_path / "digit.png")
    found = ask(tmp_path / "digit.png")
    probabilities = [probability for _, probability in found.classes]
    assert len(found.classes) == 3
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) <= 1.0001
    assert found.plain()["predictions"][0]["class"] == found.classes[0][0]


@pytest.mark.parametrize("paper", [0, 100, 255])
@pytest.mark.parametrize("size", [(8, 8), (1, 1), (300, 2), (2, 300), (640, 480)])
def test_an_empty_sheet_is_still_a_picture(
    paper: int, size: tuple[int, int], ask: Callable[[Path], Prediction], tmp_path: Path
) -> None:
    Image.new("L", size, paper).save(tmp_path / "empty.png")
    assert np.isfinite([probability for _, probability in ask(tmp_path / "empty.png").classes]).all()


def test_a_colour_network_gets_colours_in_its_own_size(tmp_path: Path) -> None:
    statistics = InputStatistics([0.0] * 3, [1.0] * 3, 255.0, 100.0, 1.0)
    Image.new("RGB", (64, 48), (10, 20, 30)).save(tmp_path / "photo.png")
    values, note = as_input(tmp_path / "photo.png", statistics, (3, 32, 32))
    assert values.shape == (3, 32, 32)
    assert [int(value) for value in values[:, 5, 5]] == [10, 20, 30]
    assert note == "resized from 64×48 to 32×32"


def _png() -> bytes:
    stream = BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (16, 16)).astype(np.uint8)
    Image.fromarray(noise).save(stream, "png")
    return stream.getvalue()


def _encoded(kind: str) -> bytes:
    stream = BytesIO()
    picture = Image.fromarray(np.arange(768, dtype=np.uint16).astype(np.uint8).reshape(16, 16, 3))
    picture.save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"hello\n", b"\x89PNG\r\n\x1a\n", _png()[:60], _png()[:200], b"%PDF-1.4", bytes(1000)],
    ids=["empty", "text", "signature", "header", "half", "pdf", "zeros"],
)
def test_a_file_that_is_no_picture_is_refused_by_name(content: bytes, restored: Any, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(InvalidError) as caught:
        as_input(path, restored[1].statistics, (1, 8, 8))
    assert caught.value.message.startswith(f"{path}: not a picture that can be read")


@pytest.mark.parametrize("name", ["missing.png", "."])
def test_a_file_that_is_not_there_is_refused(name: str, restored: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidError):
        as_input(tmp_path / name, restored[1].statistics, (1, 8, 8))


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded(restored: Any, tmp_path: Path) -> None:
    raw = bytearray(_png())
    raw[16:24] = (60_000).to_bytes(4, "big") * 2  # the header's width and height
    raw[29:33] = zlib.crc32(raw[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(raw)
    with pytest.raises(InvalidError, match=r"bomb\.png"):
        as_input(tmp_path / "bomb.png", restored[1].statistics, (1, 8, 8))


@pytest.mark.filterwarnings("ignore")  # Pillow warns of damage that it can live with
@given(
    kind=st.sampled_from(["png", "gif", "bmp", "jpeg", "tiff", "webp", "ppm", "ico", "tga"]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
    keep=st.floats(0.2, 1),
)
@settings(max_examples=150)
def test_a_damaged_picture_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, kind: str, changes: list[tuple[float, int]], keep: float
) -> None:
    raw = bytearray(_encoded(kind))
    for place, value in changes:
        raw[int(place * len(raw))] = value
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    path.write_bytes(raw[: int(keep * len(raw)) + 1])
    statistics = InputStatistics([5.0], [6.0], 16.0, 2.0, 1.0)
    try:
        values, _ = as_input(path, statistics, (1, 8, 8))
    except InvalidError as error:
        assert str(path) in error.message  # noqa: PT017 - or it was read
    else:
        assert values.shape == (1, 8, 8)
