"""Drawings in characters: curves, contour maps with a path, matrices of shares, and blocks of lines side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Point = Sequence[float]
    Range = Sequence[float]
    Block = list[str]

WIDTH = 80
SHADES = ".░▒▓█"
"""Of nothing, of up to a third, of up to two thirds, of less than all, of all."""
LEVELS = (0.02, 0.12, 0.35, 0.65)
"""Contours of a map go through these shares of its heights, from the lowest up: as many more where it is flat."""


def curve(
    points: Iterable[Point], *, width: int = 64, height: int = 15, others: Iterable[Point] = (), sign: str = "*"
) -> Block:
    """A curve through points (x, y) with its axes; `others`, such as a slope, are drawn beneath as small dots."""
    points, others = list(points), list(others)
    every = points + others
    across = (min(point[0] for point in every), max(point[0] for point in every))
    up = _widened(min(point[1] for point in every), max(point[1] for point in every))
    canvas = [[" "] * width for _ in range(height)]
    for spots, mark in ((others, "·"), (points, sign)):
        for x, y in spots:
            column, row = _cell(x, across, width), _cell(y, up, height)
            if column is not None and row is not None:
                canvas[height - 1 - row][column] = mark
    labels = {0: _number(up[1]), height - 1: _number(up[0])}
    margin = max(map(len, labels.values()))
    lines = [f"{labels.get(row, ''):>{margin}} |{''.join(cells).rstrip()}" for row, cells in enumerate(canvas)]
    left, right = _number(across[0]), _number(across[1])
    return [*lines, f"{'':{margin}} +{'-' * width}", f"{'':{margin}}  {left}{right:>{width - len(left)}}"]


def contour_map(
    heights: Sequence[Sequence[float]],
    across: Range,
    up: Range,
    *,
    path: Sequence[Point],
    minima: Sequence[Point],
    width: int = 38,
    height: int = 17,
) -> Block:
    """A function of two weights from above: contours `.`, a path of `o` from `S`, minima `X`, in a frame.

    `heights` are samples of it, the lowest row first, the ends of the ranges included. Points outside are left out.
    """
    canvas = _contours(heights, width, height)
    for spots, mark in ((path, "o"), (minima, "X"), (path[:1], "S")):
        for x, y in spots:
            column, row = _cell(x, across, width), _cell(y, up, height)
            if column is not None and row is not None:
                canvas[height - 1 - row][column] = mark
    edge = f"+{'-' * width}+"
    return [edge, *(f"|{''.join(cells)}|" for cells in canvas), edge]


def matrix(shares: Sequence[Sequence[float]]) -> Block:
    """A line per row of shares from 0 to 1, a sign of `SHADES` for each."""
    return ["".join(_shade(share) for share in row) for row in shares]


def grid(rows: Sequence[Sequence[bool]]) -> Block:
    """A line per row of truths, apart so that a square looks like one."""
    return [" ".join("#" if cell else "." for cell in row) for row in rows]


def beside(blocks: Iterable[Block], *, gap: int = 3, width: int = WIDTH) -> Block:
    """Blocks of lines from left to right, and in further rows of blocks where they do not fit the width."""
    lines: Block = []
    row: list[Block] = []
    for block in blocks:
        if row and sum(_width(each) + gap for each in row) + _width(block) > width:
            lines += [*_joined(row, gap), ""]
            row = []
        row.append(block)
    return lines + _joined(row, gap)


def _joined(blocks: list[Block], gap: int) -> Block:
    tall = max(map(len, blocks), default=0)
    columns = [[line.ljust(_width(block)) for line in block + [""] * (tall - len(block))] for block in blocks]
    return [(" " * gap).join(cells).rstrip() for cells in zip(*columns, strict=True)]


def _width(block: Block) -> int:
    return max(map(len, block), default=0)


def _contours(heights: Sequence[Sequence[float]], width: int, height: int) -> list[list[str]]:
    """A canvas, its top row first, with a dot wherever a level lies between a cell and the one right of or below it."""
    ordered = sorted(value for row in heights for value in row)
    levels = [ordered[int(share * (len(ordered) - 1))] for share in LEVELS]
    rows = [heights[_sample(row, height, len(heights))] for row in reversed(range(height))]
    bands = [
        [sum(row[_sample(column, width, len(row))] > level for level in levels) for column in range(width)]
        for row in rows
    ]
    return [
        [
            "." if any(band != other for other in _neighbours(bands, row, column)) else " "
            for column, band in enumerate(bands[row])
        ]
        for row in range(height)
    ]


def _neighbours(bands: list[list[int]], row: int, column: int) -> list[int]:
    right = bands[row][column + 1 : column + 2]
    below = [bands[row + 1][column]] if row + 1 < len(bands) else []
    return right + below


def _sample(cell: int, cells: int, samples: int) -> int:
    """Which of the samples, whose first and last lie on the edges, is nearest to the middle of a cell."""
    return round((cell + 0.5) / cells * (samples - 1))


def _cell(value: float, limits: Range, cells: int) -> int | None:
    """The cell in which a value lies, or None outside of the limits, which count as inside."""
    low, high = limits
    if not low <= value <= high:
        return None
    return min(cells - 1, int((value - low) / (high - low) * cells))


def _widened(low: float, high: float) -> tuple[float, float]:
    """The limits, or where they are one, some room around."""
    return (low, high) if high > low else (low - 1, high + 1)


def _shade(share: float) -> str:
    if share <= 0:
        return SHADES[0]
    return SHADES[-1] if share >= 1 else SHADES[1 + int(3 * share)]


def _number(value: float) -> str:
    return f"{value:.3g}"
