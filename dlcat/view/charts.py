"""Charts as SVG text to put inside a page: their colours are the page's CSS variables, so they follow light and dark.

matplotlib is imported by the functions (0.5 s), used without pyplot, and never reads the user's matplotlibrc colours.
"""

from __future__ import annotations

import math
import re
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

from dlcat import units
from dlcat.view.page import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELLS_LIMIT = 20
"""Up to this many classes a confusion matrix shows its counts; above it only colours."""

# matplotlib knows no CSS variables: it draws in these colours, which `_svg` then replaces.
INK, MUTED, LINE = "#010203", "#010204", "#010205"
FIRST, SECOND = "#010206", "#010207"
SERIES = tuple(f"#0102{number:02x}" for number in range(0x10, 0x18))
"""For lines that stand for one thing each."""
_VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", FIRST: "--first", SECOND: "--second"}
_VARIABLES |= {color: f"--series-{number}" for number, color in enumerate(SERIES)}
_RIGHT, _WRONG = (0x25, 0x63, 0xEB), (0xC2, 0x41, 0x0C)
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dlcat",
    "svg.image_inline": True,
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "text.color": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
}


def curves(epochs: Sequence[Mapping[str, Any]], metric: str) -> str:
    """A metric of training and validation over epochs, as SVG; points where it is not finite are left out."""
    numbers = [epoch["epoch"] for epoch in epochs]
    train = [_finite(epoch["train"].get(metric)) for epoch in epochs]
    validation = [_finite((epoch["validation"] or {}).get(metric)) for epoch in epochs]
    share = metric in ("accuracy", "top5")
    with drawing(f"curves-{metric}") as (figure, svg):
        axes = line_axes(figure)
        _line(axes, numbers, train, SECOND, "train", dashed=True)
        _line(axes, numbers, validation, FIRST, "validation")
        _epoch_ticks(axes, numbers)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:g} %" if share else f"{value:g}")
        _legend(axes)
        return svg(_curve_description(metric, numbers, train, validation))


def learning_rate(points: Sequence[Sequence[float]]) -> str:
    """The learning rate over optimizer steps, as SVG; `points` are (step, rate)."""
    steps, rates = [point[0] for point in points], [_finite(point[1]) for point in points]
    with drawing("learning-rate") as (figure, svg):
        axes = line_axes(figure)
        _line(axes, steps, rates, FIRST, "")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(lambda value, _: units.count(value))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("step")
        known = [rate for rate in rates if math.isfinite(rate)]
        peak = f", at most {units.decimal(max(known))}" if known else ""
        return svg(f"Line chart of the learning rate over {units.count(steps[-1])} steps{peak}.")


def throughput(epochs: Sequence[Mapping[str, Any]]) -> str:
    """Examples per second of training over epochs, as SVG; the scale begins at 0."""
    numbers = [epoch["epoch"] for epoch in epochs]
    speeds = [_finite(epoch["examples_per_second"]) for epoch in epochs]
    with drawing("throughput") as (figure, svg):
        axes = line_axes(figure)
        _line(axes, numbers, speeds, FIRST, "train")
        _epoch_ticks(axes, numbers)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: units.count(value))
        ends = f"{units.count(min(speeds))} to {units.count(max(speeds))}"
        return svg(f"Line chart of training speed over {len(numbers)} epochs: {ends} examples per second.")


def norms(layers: Sequence[Mapping[str, Any]]) -> str:
    """What norms are given and give, as SVG: a row a layer, mean and standard deviation, the first layer on top.

    `layers` have a `layer`, and as `given` and `gives` each a `mean` and a `std`.
    """
    rows = range(len(layers))
    with drawing("norms", width=6.0, height=1.0 + 0.16 * len(layers)) as (figure, svg):
        for position, (side, color) in enumerate((("given", SECOND), ("gives", FIRST))):
            axes = figure.add_subplot(1, 2, position + 1)
            axes.grid(axis="x")
            axes.set_axisbelow(True)
            axes.spines["left"].set_visible(False)
            means, spreads = ([_finite(layer[side][moment]) for layer in layers] for moment in ("mean", "std"))
            axes.errorbar(means, rows, xerr=spreads, fmt="o", color=color, markersize=3, capsize=2, linewidth=1)
            axes.set(title=side, ylim=(len(layers) - 0.4, -0.6))
            axes.set_yticks(
                rows, [shortened(layer["layer"], 22) for layer in layers] if position == 0 else [], fontsize=7
            )
        return svg(f"Mean and standard deviation of what {len(layers)} norms are given and give.")


def range_test(rows: Sequence[Sequence[float]], steepest: float | None, tenth: float | None) -> str:
    """Losses over learning rates, as SVG; `rows` are (rate, loss of one batch, mean loss), marks are drawn where given."""
    rates, losses, means = zip(*rows, strict=True)
    with drawing("range-test", width=6.4, height=3.2) as (figure, svg):
        axes = line_axes(figure)
        axes.set_xscale("log")
        axes.plot(rates, losses, "o", color=SECOND, markersize=2, alpha=0.5)
        axes.plot(rates, means, color=FIRST, linewidth=1.8)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        for mark, label in ((steepest, "falls fastest"), (tenth, "a tenth of the lowest")):
            if mark is not None:
                axes.axvline(mark, color=INK, linewidth=1, linestyle=(0, (2, 2)))
                bottom = axes.get_xaxis_transform()  # up: from 0 to 1, whatever the losses are
                axes.text(mark, 0.02, f"{label} ", va="bottom", ha="right", rotation=90, fontsize=7, transform=bottom)
        # Single batches may lie far above what matters.
        axes.set_ylim(top=max(means) + 0.15 * (max(means) - min(means) or 1))
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss")
        fastest = f", falling fastest at {steepest:.2g}" if steepest is not None else ""
        return svg(
            f"Line chart of the training loss over learning rates from {rates[0]:.2g} to {rates[-1]:.2g}{fastest}."
        )


def mixtures(layers: Sequence[Mapping[str, Any]]) -> str:
    """What norms that mix statistics have learned, as SVG: a bar a layer, one column for means and one for variances.

    `layers` have a name and, as `mean` and `variance`, the share of each statistic; the first layer is drawn on top.
    """
    rows = range(len(layers))
    with drawing("mixtures", width=6.0, height=1.3 + 0.16 * len(layers)) as (figure, svg):
        for position, moment in enumerate(("mean", "variance")):
            axes = figure.add_subplot(1, 2, position + 1)
            left = [0.0] * len(layers)
            for statistic, color in zip(layers[0][moment], (FIRST, SECOND, LINE), strict=False):
                shares = [layer[moment][statistic] for layer in layers]
                axes.barh(rows, shares, left=left, height=0.8, color=color, label=statistic)
                left = [start + share for start, share in zip(left, shares, strict=True)]
            axes.set(title=moment, xlim=(0, 1), xticks=[0, 0.5, 1], xticklabels=["0", "50 %", "100 %"])
            axes.set_yticks(
                rows, [shortened(layer["name"], 22) for layer in layers] if position == 0 else [], fontsize=7
            )
            axes.invert_yaxis()
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
        return svg(f"Bars of the statistics that {len(layers)} norms mix: {_mean_shares(layers)}.")


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """A confusion matrix as SVG: true classes down, predictions across; right cells blue, wrong ones red.

    The colour is the square root of the cell's share of its row: rare mistakes stay visible.
    """
    number, shown = len(counts), len(counts) <= CELLS_LIMIT
    side = 2.2 + 0.34 * number if shown else 7.0
    with drawing("confusion", width=max(4.4, side), height=max(4.2, side - 0.3)) as (figure, svg):
        axes = figure.add_subplot()
        axes.imshow(_cell_colors(counts), interpolation="none", aspect="equal")
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        if shown:
            _name_cells(axes, [shortened(name, 14) for name in classes])
            _write_counts(axes, counts)
        right = sum(row[position] for position, row in enumerate(counts))
        total = sum(map(sum, counts))
        return svg(
            f"Confusion matrix of {number} classes: "
            f"{units.count(right)} of {units.count(total)} examples lie on the diagonal."
        )


@contextmanager
def only(settings: Mapping[Any, Any]) -> Iterator[None]:
    """Draw with matplotlib's defaults and these settings, whatever a matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        yield


@contextmanager
def drawing(name: str, *, width: float = 4.4, height: float = 2.75) -> Iterator[tuple[Figure, Callable[[str], str]]]:
    """A figure under our settings, sizes in inches, and the function that ends it: description to SVG text."""
    from matplotlib.figure import Figure

    with only(_SETTINGS), catch_warnings():
        # The measuring font lacks Chinese signs; the browser that writes the text has them.
        simplefilter("ignore", UserWarning)
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, lambda description: _inline(_saved(figure), name, description)


def _saved(figure: Figure) -> str:
    text = StringIO()
    unsigned = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(text, format="svg", transparent=True, metadata=unsigned)
    return text.getvalue()


def _inline(svg: str, name: str, description: str) -> str:
    """SVG as part of an HTML page: no prolog, ids of its own, a description, CSS variables for colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    size = re.match(r'<svg[^>]*? width="([\d.]+)pt"', svg)
    width = f' style="max-width:{float(size[1]) * 1.5:.0f}px"' if size else ""
    head = f'<svg class="chart" role="img" aria-label="{escape(description)}"{width}'
    svg = re.sub(r'^<svg([^>]*?) width="[\d.]+pt"', r"<svg\1", svg)
    svg = re.sub(r'^<svg([^>]*?) height="[\d.]+pt"', r"<svg\1", svg)
    return head + svg.removeprefix("<svg")


def line_axes(figure: Figure) -> Axes:
    """Axes for lines, with a grid to read heights by."""
    axes = figure.add_subplot()
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.margins(x=0.02, y=0.08)
    return axes


def _line(
    axes: Axes, across: Sequence[float], values: Sequence[float], color: str, label: str, *, dashed: bool = False
) -> None:
    if any(math.isfinite(value) for value in values):
        marker = "o" if len(values) <= 15 and label else ""
        style = (0, (4, 2)) if dashed else "-"
        axes.plot(across, values, color=color, linestyle=style, linewidth=1.6, marker=marker, markersize=3, label=label)


def _epoch_ticks(axes: Axes, numbers: Sequence[int]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    # The same span for every metric, also where the last epochs have no finite value.
    reach = 0.02 * (numbers[-1] - numbers[0]) or 1
    axes.set_xlim(numbers[0] - reach, numbers[-1] + reach)


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, labelcolor=INK, handlelength=2.2, borderaxespad=0.2)


def _curve_description(metric: str, numbers: Sequence[int], train: Sequence[float], validation: Sequence[float]) -> str:
    ends = ", ".join(
        f"{name} ends at {units.percent(values[-1]) if metric in ('accuracy', 'top5') else units.decimal(values[-1])}"
        for name, values in (("train", train), ("validation", validation))
        if math.isfinite(values[-1])
    )
    return f"Line chart of {metric} over {len(numbers)} epochs" + (f": {ends}." if ends else ".")


def _mean_shares(layers: Sequence[Mapping[str, Any]]) -> str:
    """'means 31 % instance, ...; variances ...', averaged over the layers."""
    said = []
    for moment in ("mean", "variance"):
        shares = {name: sum(layer[moment][name] for layer in layers) / len(layers) for name in layers[0][moment]}
        said.append(f"{moment}s " + ", ".join(f"{units.percent(share, 0)} {name}" for name, share in shares.items()))
    return "; ".join(said)


def _cell_colors(counts: Sequence[Sequence[int]]) -> Any:
    import numpy as np

    matrix = np.asarray(counts, dtype=np.float64)  # (true, predicted)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    colors = np.empty((*matrix.shape, 4), dtype=np.uint8)  # (true, predicted, RGBA)
    colors[..., :3] = _WRONG
    diagonal = np.arange(len(matrix))
    colors[diagonal, diagonal, :3] = _RIGHT
    # A trace of colour where there is nothing: it shows how far the matrix reaches.
    colors[..., 3] = np.round(255 * np.maximum(np.sqrt(shares), 0.03))
    return colors


def _name_cells(axes: Axes, names: Sequence[str]) -> None:
    places = range(len(names))
    steep = max(map(len, names), default=0) > 3
    axes.set_xticks(
        places, names, rotation=60 if steep else 0, ha="right" if steep else "center", rotation_mode="anchor"
    )
    axes.set_yticks(places, names)
    if not steep:
        axes.tick_params(axis="x", pad=11)


def _write_counts(axes: Axes, counts: Sequence[Sequence[int]]) -> None:
    for true, predicted, count, share in _cells(counts):
        if count:
            color = "#ffffff" if math.sqrt(share) > 0.6 else INK
            axes.text(predicted, true, str(count), ha="center", va="center", color=color, fontsize=8)


def _cells(counts: Sequence[Sequence[int]]) -> Iterator[tuple[int, int, int, float]]:
    for true, row in enumerate(counts):
        total = max(sum(row), 1)
        for predicted, count in enumerate(row):
            yield true, predicted, count, count / total


def _finite(value: float | None) -> float:
    """The value, or nan (which leaves a gap) where there is none or it is infinite."""
    return float(value) if value is not None and math.isfinite(value) else math.nan
