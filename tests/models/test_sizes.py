"""Forms follow the size of the input, channels the width."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.models.sizes import Stem, is_small, scaled, starts_large


@pytest.mark.parametrize(
    ("stem", "shape", "small"),
    [
        ("auto", (1, 28, 28), True),
        ("auto", (3, 64, 64), True),
        ("auto", (3, 96, 96), False),
        ("auto", (1, 40, 101), False),
        ("auto", (1, 16000), False),
        ("cifar", (3, 224, 224), True),
        ("imagenet", (3, 32, 32), False),
    ],
)
def test_auto_takes_the_small_form_up_to_64_positions_a_side(stem: Stem, shape: tuple[int, ...], small: bool) -> None:
    assert is_small(stem, shape) == small


@pytest.mark.parametrize(
    ("stem", "stages", "large"), [("auto", 3, False), ("auto", 4, True), ("cifar", 4, False), ("imagenet", 3, True)]
)
def test_auto_takes_the_large_stem_before_four_stages(stem: Stem, stages: int, large: bool) -> None:
    assert starts_large(stem, stages) == large


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4096), st.floats(0.01, 8.0))
def test_scaled_channels_are_multiples_of_8_near_what_was_asked_for(channels: int, width: float) -> None:
    found, exact = scaled(channels, width), channels * width
    assert found % 8 == 0
    assert found >= max(8, 0.9 * exact)
    assert found <= max(8, exact + 8)


@pytest.mark.parametrize(
    ("channels", "width", "expected"), [(64, 1.0, 64), (24, 0.5, 16), (96, 0.75, 72), (16, 0.1, 8)]
)
def test_scaled_channels_are_those_of_mobilenet(channels: int, width: float, expected: int) -> None:
    assert scaled(channels, width) == expected
