"""Mel filters: what of each frequency of a spectrum belongs to which of some bands that are as wide as hearing has them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

MelScale = Literal["slaney", "htk"]
"""How frequency becomes pitch; see `to_mel`."""
Area = Literal["equal", "growing"]
"""Whether the filters have equal areas, so that white noise is as strong in every band (Slaney 1998), or peaks of 1."""

Numbers = NDArray[np.float64]

# Slaney's scale: 3 mel for 200 Hz up to 1000 Hz, and 27 mel for each factor of 6.4 above.
_HERTZ_A_MEL = 200 / 3
_BREAK_HERTZ = 1000.0
_BREAK_MEL = _BREAK_HERTZ / _HERTZ_A_MEL
_LOG_STEP = np.log(6.4) / 27


def mel_filters(
    rate_hertz: int,
    points: int,
    *,
    bands: int,
    lowest_hertz: float = 0.0,
    highest_hertz: float | None = None,
    scale: MelScale = "slaney",
    area: Area = "equal",
) -> Numbers:
    """Triangles over the frequencies of a Fourier transform, (bands, points // 2 + 1).

    Their feet and peaks are `bands` + 2 pitches at equal distances from `lowest_hertz` to `highest_hertz`, half the rate
    where that is None; each triangle begins and ends at the peaks of its neighbours.

    Raises:
        ValueError: the highest frequency is not above the lowest or is above half the rate; or some triangle lies between
            two frequencies of the transform and would hear nothing.
    """
    highest = rate_hertz / 2 if highest_hertz is None else highest_hertz
    if not 0 <= lowest_hertz < highest <= rate_hertz / 2:
        raise ValueError(
            f"expected frequencies from low to high, and up to half the rate of {rate_hertz} Hz; "
            f"found {lowest_hertz:g} Hz to {highest:g} Hz"
        )

    def triangles(count: int) -> Numbers:
        return _triangles(rate_hertz, points, count, lowest_hertz, highest, scale)

    filters = triangles(bands)
    if not _all_hear(filters):
        fitting = next((count for count in range(bands - 1, 0, -1) if _all_hear(triangles(count))), 0)
        raise ValueError(
            f"{bands} bands do not fit into {lowest_hertz:g} Hz to {highest:g} Hz: a transform of {points} points has a "
            f"frequency every {rate_hertz / points:g} Hz, and some bands lie between two. Expected at most {fitting} "
            f"bands, or more points"
        )
    return filters * _heights(bands, lowest_hertz, highest, scale)[:, None] if area == "equal" else filters


def to_mel(hertz: Any, scale: MelScale) -> Any:
    """The pitch of a frequency.

    Htk: 2595 log10(1 + f / 700) (O'Shaughnessy 1987; Young et al., The HTK Book). Slaney: linear up to 1000 Hz,
    logarithmic above (Slaney 1998, Auditory Toolbox).
    """
    if scale == "htk":
        return 2595 * np.log10(1 + np.asarray(hertz) / 700)
    above = _BREAK_MEL + np.log(np.maximum(hertz, _BREAK_HERTZ) / _BREAK_HERTZ) / _LOG_STEP
    return np.where(np.less(hertz, _BREAK_HERTZ), np.divide(hertz, _HERTZ_A_MEL), above)


def to_hertz(mel: Any, scale: MelScale) -> Any:
    """The frequency of a pitch; see `to_mel`."""
    if scale == "htk":
        return 700 * (10 ** (np.asarray(mel) / 2595) - 1)
    above = _BREAK_HERTZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(np.less(mel, _BREAK_MEL), np.multiply(mel, _HERTZ_A_MEL), above)


def _corners(bands: int, lowest: float, highest: float, scale: MelScale) -> Numbers:
    """The frequencies at which triangles begin, peak and end: (bands + 2,)."""
    pitches = np.linspace(to_mel(lowest, scale), to_mel(highest, scale), bands + 2)
    corners: Numbers = to_hertz(pitches, scale)
    return corners


def _triangles(rate: int, points: int, bands: int, lowest: float, highest: float, scale: MelScale) -> Numbers:
    """(bands, points // 2 + 1), with peaks of 1."""
    frequencies = np.arange(points // 2 + 1) * (rate / points)
    corners = _corners(bands, lowest, highest, scale)
    widths = np.diff(corners)
    away = corners[:, None] - frequencies  # (bands + 2, frequencies)
    rising, falling = -away[:-2] / widths[:-1, None], away[2:] / widths[1:, None]
    return np.maximum(0, np.minimum(rising, falling))


def _heights(bands: int, lowest: float, highest: float, scale: MelScale) -> Numbers:
    """How high triangles of area 1 are: (bands,)."""
    corners = _corners(bands, lowest, highest, scale)
    heights: Numbers = 2 / (corners[2:] - corners[:-2])
    return heights


def _all_hear(filters: Numbers) -> bool:
    return bool((filters > 0).any(1).all())
