"""A learning-rate range test: a sketch with what it suggests for the terminal, a figure on a page of its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dlcat.view import charts, sketch
from dlcat.view.page import Page
from dlcat.view.templates import library

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

HEADROOM = 1.15
"""The sketch and the figure end where the loss, after its lowest, is so many times what it was at first."""


def text(told: Mapping[str, Any], console: Console | None = None) -> str:
    """The test as a page of text.

    Args:
        told: what `dlcat lr --json` prints.
        console: from `page.terminal`.
    """
    page = Page(console)
    page.line(f"{told['recipe']}: the loss while the learning rate of {told['optimizer']} grows", "bold")
    page.gap()
    page.block(sketch.curve([(math.log10(rate), mean) for rate, _, mean in seen(told)]))
    page.line("across: the rate, as a power of ten", "dim")
    page.gap()
    page.pairs(facts(told))
    return page.text()


def page(told: Mapping[str, Any], *, version: str) -> str:
    """The test as one HTML file that needs nothing else."""
    from markupsafe import Markup

    pages, style = library()
    return pages.get_template("rates.html.jinja").render(
        recipe=told["recipe"],
        optimizer=told["optimizer"],
        # Only our own drawing becomes markup; every word of it was escaped when it was drawn.
        figure=Markup(charts.range_test(seen(told), told["steepest"], told["tenth"])),
        facts=[fact for fact in facts(told) if fact[1]],
        style=style,
        version=version,
    )


def seen(told: Mapping[str, Any]) -> list[tuple[float, float, float]]:
    """Rate, loss and mean loss of the steps up to where the loss bursts."""
    rows = [(probe["rate"], probe["loss"], mean) for probe, mean in zip(told["probes"], told["losses"], strict=True)]
    turn = min(range(len(rows)), key=lambda at: rows[at][2])
    return rows[: next((at for at in range(turn, len(rows)) if rows[at][2] > HEADROOM * rows[0][2]), len(rows))]


def facts(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the test says, as (label, text); the text is empty where there is nothing to say."""
    tried, last = len(told["probes"]), told["probes"][-1]["rate"]
    end = "" if tried == told["steps"] else f" of {told['steps']}: there the loss had burst"
    nothing = "nothing: at none of these rates the loss falls by as much as 5 %" if told["steepest"] is None else ""
    return [
        ("suggested", nothing),
        ("where the loss falls fastest", _set(told["steepest"])),
        ("a tenth of where it is lowest", _set(told["tenth"])),
        ("the recipe has", "" if told["rate"] is None else f"{told['rate']:g}"),
        ("lowest at", f"{told['lowest']:.2g}"),
        ("tried", f"{told['from']:g} to {last:.2g} in {tried} steps{end}"),
        ("means over", f"{told['window']} steps, with as many before as after"),
    ]


def _set(rate: float | None) -> str:
    return "" if rate is None else f"--set optimizer.lr={rate:.2g}"
