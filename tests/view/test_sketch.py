"""Drawings in characters."""

from __future__ import annotations

import pytest

from dlcat.view import sketch


def test_a_curve_rises_from_corner_to_corner() -> None:
    lines = sketch.curve([(step / 9, step / 9) for step in range(10)], width=10, height=10)
    assert [line.rpartition("|")[2].index("*") for line in lines[:10]] == list(range(9, -1, -1))
    assert lines[0].startswith("1 |")
    assert lines[9].startswith("0 |")
    assert lines[-1].split() == ["0", "1"]


def test_a_flat_curve_has_room() -> None:
    lines = sketch.curve([(0, 3), (1, 3)], width=5, height=5)
    assert [line.count("*") for line in lines] == [0, 0, 2, 0, 0, 0, 0]


def test_others_lie_beneath_the_curve() -> None:
    lines = sketch.curve([(0, 0), (1, 1)], others=[(0, 0), (1, 0)], width=2, height=2)
    assert [line.partition("|")[2] for line in lines[:2]] == [" *", "*·"]


def test_a_map_shows_contours_path_and_minimum() -> None:
    heights = [[float(column) for column in range(41)] for _ in range(21)]
    path = [(0.0, 0.0), (5.0, 5.0), (50.0, 5.0)]
    lines = sketch.contour_map(heights, (0, 10), (0, 10), path=path, minima=[(10.0, 10.0)], width=20, height=10)
    inside = [line[1:-1] for line in lines[1:-1]]
    assert inside[-1][0] == "S"
    assert inside[0][-1] == "X"
    assert sum(line.count("o") for line in inside) == 1  # the last one is outside of the map
    # Heights rise to the right: contours go straight up, one per level, the lowest of which lies on the edge.
    assert inside[2].count(".") == len(sketch.LEVELS) - 1
    assert inside[2] == inside[7]


@pytest.mark.parametrize(("share", "sign"), [(0, "."), (0.01, "░"), (0.34, "▒"), (0.7, "▓"), (0.99, "▓"), (1, "█")])
def test_shares_are_shades(share: float, sign: str) -> None:
    assert sketch.matrix([[share]]) == [sign]


def test_blocks_stand_beside_each_other_until_the_width_is_used() -> None:
    blocks = [["aa", "a"], ["b"], ["cc"]]
    assert sketch.beside(blocks, gap=1, width=20) == ["aa b cc", "a"]
    assert sketch.beside(blocks, gap=1, width=5) == ["aa b", "a", "", "cc"]
    assert sketch.beside([], gap=1) == []
