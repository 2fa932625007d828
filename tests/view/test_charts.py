"""Charts are SVG that belongs to a page: described, coloured by its variables, with ids of their own."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from dlcat.view import charts
from dlcat.view.page import shortened

SVG = "{http://www.w3.org/2000/svg}"


MIXTURES = [
    {
        "name": f"stages.{number}.norm",
        "mean": {"instance": 0.2, "layer": 0.3, "batch": 0.5},
        "variance": {"instance": 0.1, "layer": number / 10, "batch": 0.9 - number / 10},
    }
    for number in range(8)
]


def drawings(fabricate: Any) -> dict[str, str]:
    epochs = [fabricate.epoch(number) for number in range(1, 13)]
    return {
        "loss": charts.curves(epochs, "loss"),
        "accuracy": charts.curves(epochs, "accuracy"),
        "rate": charts.learning_rate([(0, 0.1), (50, 0.05), (100, 0.0)]),
        "confusion": charts.confusion(fabricate.confusion(10), fabricate.DIGITS),
        "mixtures": charts.mixtures(MIXTURES),
    }


def words(svg: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", ["loss", "accuracy", "rate", "confusion", "mixtures"])
def test_a_chart_is_described_and_follows_the_colours_of_the_page(fabricate: Any, name: str) -> None:
    svg = drawings(fabricate)[name]
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    assert len(root.get("aria-label") or "") > 20
    assert "var(--muted)" in svg
    assert "#0102" not in svg
    assert root.get("width") is None


def test_no_two_charts_of_a_page_share_an_id(fabricate: Any) -> None:
    ids = [found for svg in drawings(fabricate).values() for found in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(ids) == len(set(ids)) > 20


@pytest.mark.parametrize("name", ["loss", "confusion"])
def test_every_reference_inside_a_chart_has_its_target(fabricate: Any, name: str) -> None:
    svg = drawings(fabricate)[name]
    targets = set(re.findall(r'\bid="([^"]+)"', svg))
    references = re.findall(r'(?:url\(#|href="#)([^)"]+)', svg)
    assert references
    assert set(references) <= targets


def test_the_same_numbers_give_the_same_chart(fabricate: Any) -> None:
    assert drawings(fabricate) == drawings(fabricate)


def test_what_a_user_has_set_for_matplotlib_changes_no_chart(fabricate: Any) -> None:
    import matplotlib as mpl

    before = drawings(fabricate)
    with mpl.rc_context({"axes.grid": True, "lines.linewidth": 7.0, "font.size": 20.0, "axes.titlesize": 30.0}):
        assert drawings(fabricate) == before
        assert mpl.rcParams["lines.linewidth"] == 7.0


def test_curves_say_where_they_end(fabricate: Any) -> None:
    svg = charts.curves([fabricate.epoch(1), fabricate.epoch(2, train={"loss": 0.25}, validation=None)], "loss")
    assert 'aria-label="Line chart of loss over 2 epochs: train ends at 0.250."' in svg


def test_a_loss_that_is_not_finite_leaves_a_gap(fabricate: Any) -> None:
    bad = [
        fabricate.epoch(n, train={"loss": value}, validation=None) for n, value in enumerate((1, math.nan, math.inf), 1)
    ]
    svg = charts.curves(bad, "loss")
    assert "nan" not in svg
    assert "epoch" in words(svg)


@pytest.mark.parametrize("epochs", [1, 2, 200])
def test_curves_are_drawn_for_any_number_of_epochs(fabricate: Any, epochs: int) -> None:
    lines = [fabricate.epoch(number, epochs, validation=None) for number in range(1, epochs + 1)]
    assert "train" in words(charts.curves(lines, "loss"))
    assert "validation" not in words(charts.curves(lines, "loss"))


def test_a_small_confusion_matrix_shows_counts_and_names() -> None:
    shown = words(charts.confusion([[30, 2], [0, 41]], ["cat", "dog"]))
    assert {"cat", "dog", "30", "2", "41"} <= set(shown)
    assert "0" not in shown


def test_a_large_confusion_matrix_is_only_a_picture(fabricate: Any) -> None:
    svg = charts.confusion(fabricate.confusion(100), [f"class {number}" for number in range(100)])
    assert "class" not in words(svg)
    assert "data:image/png" in svg
    assert len(svg) < 200_000


def test_a_confusion_matrix_with_an_empty_class_is_drawn() -> None:
    assert "<image" in charts.confusion([[3, 0], [0, 0]], ["a", "b"])


def test_colours_are_blue_where_right_and_red_where_wrong() -> None:
    colors = charts._cell_colors([[9, 1], [0, 4]])
    assert colors[0, 0].tolist()[:3] == list(charts._RIGHT)
    assert colors[0, 1].tolist()[:3] == list(charts._WRONG)
    assert colors[1, 1, 3] == 255
    assert colors[0, 0, 3] > colors[0, 1, 3] > colors[1, 0, 3]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a$b$", "飞机", "&amp;", "%s {x}"])
def test_class_names_are_text_whatever_they_hold(name: str) -> None:
    shown = words(charts.confusion([[1, 0], [0, 1]], [name, "x"]))
    assert shortened(name, 14) in shown


def test_mixtures_name_every_norm_and_every_statistic() -> None:
    said = words(charts.mixtures(MIXTURES))
    assert {"mean", "variance", "instance", "layer", "batch"} <= set(said)
    assert [layer["name"] for layer in MIXTURES] == [text for text in said if text.startswith("stages.")]
    description = ET.fromstring(charts.mixtures(MIXTURES)).attrib["aria-label"]
    assert "means 20 % instance, 30 % layer, 50 % batch; variances 10 % instance, 35 % layer, 55 % batch" in description
