"""Charts of many runs: spreads, curves with bands over seeds, a metric along an axis, and against what it costs."""

from __future__ import annotations

from itertools import product
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from dlcat import units
from dlcat.view.charts import FIRST, INK, SECOND, SERIES, drawing, line_axes
from dlcat.view.page import shortened
from dlcat.view.results import SHARES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

LOG_FROM = 8
"""Where the largest value on an axis is more than so many times the least, the axis is logarithmic."""
NAME_CELLS = 40
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))


def spreads(rows: Sequence[tuple[str, Sequence[float]]], metric: str) -> str:
    """A metric of some groups, as SVG: a line each, with a dot for every value and their mean and spread."""
    with drawing("spreads", height=0.9 + 0.3 * len(rows)) as (figure, svg):
        axes = figure.add_subplot()
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        for row, (_, values) in enumerate(rows):
            spread = stdev(values) if len(values) > 1 else 0.0
            axes.plot(values, [row] * len(values), "o", color=SECOND, markersize=3, alpha=0.6)
            axes.errorbar(fmean(values), row, xerr=spread, fmt="o", color=FIRST, markersize=5, capsize=3)
        axes.set_yticks(range(len(rows)), [shortened(name, NAME_CELLS) for name, _ in rows], fontsize=8)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        _scale(axes.xaxis, metric)
        told = ", ".join(f"{name} {fmean(values):.4g}" for name, values in rows)
        return svg(f"{metric} of {len(rows)} groups, mean and standard deviation: {told}.")


def bands(series: Mapping[str, Sequence[Mapping[str, Any]]], metric: str) -> str:
    """Curves over epochs, as SVG: of each name the mean as a line, and from lowest to highest as a band behind it."""
    with drawing(f"bands-{metric}", height=_height(series)) as (figure, svg):
        axes = line_axes(figure)
        for (name, points), (color, dash) in zip(series.items(), _styles(), strict=False):
            across = [point["epoch"] for point in points]
            low, high = [point["low"] for point in points], [point["high"] for point in points]
            axes.fill_between(across, low, high, color=color, alpha=0.15, linewidth=0)
            marker = "o" if len(points) == 1 else ""
            means = [point["mean"] for point in points]
            axes.plot(
                across, means, color=color, linestyle=dash, linewidth=1.5, marker=marker, markersize=3, label=name
            )
        _whole_ticks(axes)
        _scale(axes.yaxis, metric)
        _legend(figure, axes)
        ends = ", ".join(f"{name} {points[-1]['mean']:.4g}" for name, points in series.items())
        return svg(f"Curves of {metric} over epochs with the span of all runs; at their ends: {ends}.")


def sweep(lines: Mapping[str, Sequence[tuple[float, float, float | None]]], axis: str, metric: str, name: str) -> str:
    """A metric along an axis of numbers, as SVG: a line for each name through its (place, mean, spread)."""
    places = sorted({place for points in lines.values() for place, *_ in points})
    with drawing(f"sweep-{name}", height=_height(lines)) as (figure, svg):
        axes = line_axes(figure)
        for (label, points), (color, dash) in zip(lines.items(), _styles(), strict=False):
            across, means = [point[0] for point in points], [point[1] for point in points]
            spread = [point[2] or 0.0 for point in points]
            axes.errorbar(
                across, means, yerr=spread, color=color, linestyle=dash, linewidth=1.5, fmt="o", markersize=3.5,
                capsize=3, label=label,
            )  # fmt: skip
        _log_where_wide(axes, places)
        axes.set_xticks(_some(places), [f"{place:g}" for place in _some(places)])
        axes.minorticks_off()
        axes.set_xlabel(axis)
        _scale(axes.yaxis, metric)
        if any(lines):
            _legend(figure, axes)
        said = "; ".join(
            f"{label or metric}: " + ", ".join(f"{mean:.4g} at {place:g}" for place, mean, _ in points)
            for label, points in lines.items()
        )
        return svg(f"{metric} by {axis}. {said}.")


def tradeoff(points: Sequence[tuple[str, float, Mapping[str, Any]]], label: str, metric: str, name: str) -> str:
    """A metric against what it costs, as SVG: a dot for each (name, cost, mean and spread)."""
    with drawing(f"tradeoff-{name}", height=_height(points)) as (figure, svg):
        axes = line_axes(figure)
        for (each, cost, value), (color, _) in zip(points, _styles(), strict=False):
            spread = value["std"] or 0.0
            axes.errorbar(cost, value["mean"], yerr=spread, fmt="o", color=color, markersize=5, capsize=3, label=each)
        _log_where_wide(axes, [cost for _, cost, _ in points])
        axes.xaxis.set_major_formatter(lambda cost, _: units.magnitude(round(cost)) if cost >= 1 else f"{cost:g}")
        axes.minorticks_off()
        axes.set_xlabel(label)
        _scale(axes.yaxis, metric)
        _legend(figure, axes)
        told = ", ".join(f"{each} {value['mean']:.4g} at {cost:.4g}" for each, cost, value in points)
        return svg(f"{metric} against {label}: {told}.")


def _styles() -> Iterator[tuple[str, Any]]:
    """A colour and a dash for each line, as many as can be told apart; further lines are left out."""
    yield from ((color, dash) for dash, color in product(_DASHES, SERIES))


def _height(lines: Sequence[Any] | Mapping[str, Any]) -> float:
    """Inches, with room for a legend of so many lines."""
    return 2.75 + 0.17 * max(0, len(lines) - 1)


def _scale(axis: Axis, metric: str) -> None:
    axis.set_major_formatter(lambda value, _: f"{value * 100:g} %" if metric in SHARES else f"{value:g}")


def _log_where_wide(axes: Axes, places: Sequence[float]) -> None:
    if min(places) > 0 and max(places) / min(places) >= LOG_FROM:
        axes.set_xscale("log")


def _some(places: Sequence[float]) -> Sequence[float]:
    """Few enough of them to be written side by side."""
    return places[:: -(-len(places) // 8)]


def _whole_ticks(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")


def _legend(figure: Figure, axes: Axes) -> None:
    """Below the axes, one name a line: names of groups are long."""
    handles, names = axes.get_legend_handles_labels()
    short = [shortened(name, NAME_CELLS + 10) for name in names]
    columns = 1 if max(map(len, short)) > 18 else 2
    figure.legend(
        handles, short, loc="outside lower left", ncols=columns, frameon=False, labelcolor=INK, fontsize=8,
        handlelength=2.2, labelspacing=0.3,
    )  # fmt: skip
