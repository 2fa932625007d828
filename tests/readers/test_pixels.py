"""Decoding: the part that is asked for, held against a decoder that takes the whole picture; and what is refused."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dlcat.errors import VerificationError
from dlcat.readers import pixels
from dlcat.readers.pixels import Crops, Place, decode, decode_at

CENTER = Crops(16, 3, 1.0, 0.875)


def _picture(width: int, height: int, seed: int = 0) -> Image.Image:
    corners = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)


def _encoded(image: Image.Image, kind: str) -> bytes:
    stream = BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


@given(
    width=st.integers(1, 300), height=st.integers(1, 300), seed=st.integers(0, 2**62), position=st.integers(0, 10**7)
)
@settings(max_examples=100)
def test_a_random_crop_lies_in_the_picture_and_has_the_area_and_ratio_it_may(
    width: int, height: int, seed: int, position: int
) -> None:
    crops = Crops(8, 3, 0.3, 0.875)
    box = crops.box(width, height, (seed, position))
    left, top, right, bottom = box
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert crops.box(width, height, (seed, position)) == box
    if box != crops.box(width, height, None):
        across, down = right - left, bottom - top
        slack = (across + 1) * (down + 1) / (across * down)  # a side is rounded to whole pixels
        assert 0.3 / slack <= across * down / (width * height) <= slack
        assert 0.75 / slack <= across / down <= 4 / 3 * slack


def test_random_crops_differ_by_seed_and_by_position() -> None:
    crops = Crops(8, 3, 0.08, 0.875)
    boxes = {crops.box(200, 100, (seed, position)) for seed in range(5) for position in range(5)}
    assert len(boxes) == 25


def test_the_centre_crop_is_a_share_of_the_shorter_side() -> None:
    assert CENTER.box(100, 40, None) == (32.5, 2.5, 67.5, 37.5)
    assert CENTER.box(100, 40, (1, 2)) == CENTER.box(100, 40, None)  # least_area 1 draws nothing


@pytest.mark.parametrize("size", [(40, 30), (333, 500), (64, 64), (17, 90)])
def test_without_loss_the_part_is_that_of_the_whole_picture(size: tuple[int, int]) -> None:
    image = _picture(*size)
    expected = image.resize((16, 16), Image.Resampling.BILINEAR, box=CENTER.box(*size, None))
    found = decode(_encoded(image, "PNG"), CENTER, None)
    assert (found.shape, found.dtype) == ((3, 16, 16), np.uint8)
    assert np.array_equal(found.transpose(1, 2, 0), np.asarray(expected))


@pytest.mark.parametrize("size", [(400, 300), (333, 500), (131, 257)])
def test_of_a_jpeg_less_is_decoded_and_the_part_looks_the_same(size: tuple[int, int]) -> None:
    content = _encoded(_picture(*size), "JPEG")
    with Image.open(BytesIO(content)) as whole:
        expected = whole.resize((16, 16), Image.Resampling.BILINEAR, box=CENTER.box(*size, None))
    found = decode(content, CENTER, None).transpose(1, 2, 0).astype(int)
    assert np.abs(found - np.asarray(expected).astype(int)).max() <= 16
    assert np.abs(found - np.asarray(expected).astype(int)).mean() <= 3


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_colour_becomes_three_channels_or_one(mode: str) -> None:
    content = _encoded(_picture(30, 30).convert(mode), "JPEG" if mode == "CMYK" else "PNG")
    assert decode(content, CENTER, None).shape == (3, 16, 16)
    assert decode(content, Crops(16, 1, 1.0, 0.875), None).shape == (1, 16, 16)


REFUSED = {
    "no picture": (b"<html>", "cannot be decoded: it begins b'<html>'"),
    "nothing": (b"", "cannot be decoded: it begins b''"),
    "a bomb": (_encoded(Image.new("1", (20_000, 20_000)), "PNG"), r"Image size \(400000000 pixels\) exceeds limit"),
    "cut off": (_encoded(_picture(60, 60), "JPEG")[:400], "cannot be decoded"),
    "16 bits": (_encoded(Image.fromarray(np.zeros((9, 9), np.uint16)), "PNG"), "more than 8 bits"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_decoded_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.jpg"
    path.write_bytes(content)
    with pytest.raises(VerificationError, match=rf"odd\.jpg: expected a picture, found one that .*{reason}"):
        decode_at(Place(str(path)), CENTER, None)


def test_the_bytes_decide_the_format_and_the_name_does_not(tmp_path: Path) -> None:
    """ImageNet has a PNG among its files named .JPEG."""
    (tmp_path / "n02105855_2933.JPEG").write_bytes(_encoded(_picture(30, 20), "PNG"))
    found = decode_at(Place(str(tmp_path / "n02105855_2933.JPEG")), CENTER, None)
    assert np.array_equal(found, decode(_encoded(_picture(30, 20), "PNG"), CENTER, None))


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "LIMIT_PIXELS", 100)
    with pytest.raises(ValueError, match="30 × 20 pixels, more than 100"):
        decode(_encoded(_picture(30, 20), "PNG"), CENTER, None)


def test_a_file_that_is_gone_or_short_is_named(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"gone\.jpg: cannot be read: No such file"):
        Place(str(tmp_path / "gone.jpg")).read()
    (tmp_path / "s.tar").write_bytes(b"12345")
    assert Place(str(tmp_path / "s.tar"), 1, 3).read() == b"234"
    with pytest.raises(VerificationError, match=r"s\.tar, picture 7: expected 9 bytes, found 4"):
        Place(str(tmp_path / "s.tar"), 1, 9, "picture 7").read()
