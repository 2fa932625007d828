"""Pictures of explanations: one figure per part, as PNG, or as SVG to stand inside a page.

matplotlib is imported by the functions (0.5 s), used without pyplot, and never reads the user's matplotlibrc.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from io import BytesIO, StringIO
from itertools import product
from typing import TYPE_CHECKING, Any

from dlcat.view.charts import only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Facts = Mapping[str, Any]
    Corners = list[tuple[float, float]]

_INK, _MUTED, _PAPER = "#1f2328", "#8c959f", "#ffffff"
_FIRST, _SECOND, _PROBE = "#2563eb", "#c2410c", "#c2410c"
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dlcat",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.edgecolor": _MUTED,
    "axes.linewidth": 0.6,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "legend.frameon": False,
    "figure.facecolor": _PAPER,
}
_LEVELS = 14
_DEPTH = (0.45, 0.35)
"""How far to the right and up one example stands behind the one before, in a drawing of a batch."""


def png(facts: Facts) -> bytes:
    """The picture of an explanation, 150 dots to the inch."""
    found = BytesIO()
    with _drawn(facts) as figure:
        figure.savefig(found, format="png", dpi=150, metadata={"Software": None})
    return found.getvalue()


def svg(facts: Facts, name: str) -> str:
    """The picture of an explanation as an SVG element; `name` sets its ids apart from those of others on the page."""
    found = StringIO()
    with _drawn(facts) as figure:
        figure.savefig(found, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = found.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)


@contextmanager
def _drawn(facts: Facts) -> Iterator[Figure]:
    from matplotlib.figure import Figure

    with only(_SETTINGS):
        figure = Figure(layout="constrained")
        _FAMILIES[facts["part"]["family"]](figure, facts)
        yield figure


def _conv(figure: Figure, facts: Facts) -> None:
    names = [f"{number} {step['name']}" for number, step in enumerate(facts["steps"], 1)]
    every = [*zip(names, facts["steps"], strict=True), ("all together" if names else "", facts)]
    figure.set_size_inches(2.2 * len(every) + 0.6, 4.2)
    for column, (name, step) in enumerate(every):
        channels, window = (
            figure.add_subplot(2, len(every), column + 1),
            figure.add_subplot(2, len(every), len(every) + column + 1),
        )
        channels.set_title(name)
        if step["reads"]:
            _cells(channels, step["reads"]["channels"], "input channels", "output channels")
            _cells(window, step["reads"]["window"], "window", "")
        else:
            channels.set_axis_off()
            window.set_axis_off()


def _cells(axes: Axes, rows: Sequence[Sequence[float]], across: str, down: str) -> None:
    axes.pcolormesh([[float(cell) for cell in row] for row in rows], cmap="Blues", vmin=0, vmax=1.3, edgecolors=_PAPER)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(across)
    axes.set_ylabel(down)


def _norm(figure: Figure, facts: Facts) -> None:
    figure.set_size_inches(8.0, 3.4)
    batch, effects = figure.subplots(1, 2, width_ratios=(1.5, 1))
    _batch(batch, facts["training"]["maps"], facts["channel"])
    _effects(effects, facts["batches"])


def _batch(axes: Axes, maps: Sequence[Sequence[str]], channel: int) -> None:
    """The batch as a box: channels to the right, positions down, examples to the back (Wu & He 2018, figure 2).

    The front shows the first example, the top the first position of every map, the side the last channel.
    """
    examples, channels, positions = len(maps), len(maps[0]), len(maps[0][0])
    front = (
        (_front(channel_at, position, channels, positions), maps[0][channel_at][position])
        for channel_at, position in product(range(channels), range(positions))
    )
    top = (
        (_top(channel_at, example, channels), maps[example][channel_at][0])
        for channel_at, example in product(range(channels), range(examples))
    )
    side = (
        (_side(example, position, positions), maps[example][-1][position])
        for example, position in product(range(examples), range(positions))
    )
    for faces in (front, top, side):
        _fill(axes, faces)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.text(1.5, -2.15, f"C: {channels} channels", ha="center", va="top")
    axes.text(-0.1, -1.0, f"positions: {positions}", ha="right", va="center", rotation=90)
    axes.text(-0.1, 0.25, f"N: {examples}", ha="right", va="bottom")
    axes.set_title(f"blue: what the output at red (channel {channel}) is computed from")


def _front(channel: int, position: int, channels: int, positions: int) -> Corners:
    """The front is 3 wide and 2 high, whatever the channels and positions."""
    left, right = 3 * channel / channels, 3 * (channel + 1) / channels
    upper, lower = -2 * position / positions, -2 * (position + 1) / positions
    return [(left, upper), (right, upper), (right, lower), (left, lower)]


def _top(channel: int, example: int, channels: int) -> Corners:
    left, right = 3 * channel / channels, 3 * (channel + 1) / channels
    near, far = _behind(example), _behind(example + 1)
    return [(left + near[0], near[1]), (right + near[0], near[1]), (right + far[0], far[1]), (left + far[0], far[1])]


def _side(example: int, position: int, positions: int) -> Corners:
    upper, lower = -2 * position / positions, -2 * (position + 1) / positions
    near, far = _behind(example), _behind(example + 1)
    return [
        (3 + near[0], upper + near[1]),
        (3 + far[0], upper + far[1]),
        (3 + far[0], lower + far[1]),
        (3 + near[0], lower + near[1]),
    ]


def _behind(example: int) -> tuple[float, float]:
    return example * _DEPTH[0], example * _DEPTH[1]


def _fill(axes: Axes, faces: Iterable[tuple[Corners, str]]) -> None:
    from matplotlib.collections import PolyCollection

    corners, signs = zip(*faces, strict=True)
    colors = [{"@": _PROBE, "#": _FIRST, ".": _PAPER}[sign] for sign in signs]
    axes.add_collection(PolyCollection(list(corners), facecolors=colors, edgecolors=_MUTED, linewidths=0.3))
    axes.autoscale_view()


def _effects(axes: Axes, batches: Sequence[Mapping[str, Any]]) -> None:
    known = [effect for effect in batches if effect["spread"] is not None]
    sizes = [effect["batch"] for effect in known]
    axes.plot(
        sizes, [effect["spread"] for effect in known], "o-", color=_FIRST, markersize=3, label="spread over batches"
    )
    axes.plot(
        sizes, [effect["distance"] for effect in known], "s--", color=_SECOND, markersize=3, label="from a large batch"
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_ylim(bottom=0, top=max([0.1, *(1.05 * effect["distance"] for effect in known)]))
    axes.set_xlabel("batch size")
    axes.set_title("how an example's outputs move with its batch")
    axes.legend()


def _optimizer(figure: Figure, facts: Facts) -> None:
    scenes = facts["scenes"]
    figure.set_size_inches(3.4 * len(scenes), 3.6)
    for place, scene in enumerate(scenes):
        _scene(figure.add_subplot(1, len(scenes), place + 1), scene)


def _scene(axes: Axes, scene: Mapping[str, Any]) -> None:
    import numpy as np
    from matplotlib.ticker import NullLocator

    heights = np.asarray(scene["heights"])  # (rows, columns)
    rows, columns = heights.shape
    (left, right), (low, high) = scene["across"], scene["up"]
    across, up = np.linspace(left, right, columns), np.linspace(low, high, rows)
    levels = np.unique(np.quantile(heights, np.linspace(0.01, 0.97, _LEVELS)))
    axes.contour(across, up, heights, levels=levels, colors=_MUTED, linewidths=0.5)
    styles = [(_FIRST, "o-", 3), (_SECOND, "s-", 2)]
    for (color, style, layer), descent in reversed(list(zip(styles, scene["descents"], strict=False))):
        axes.plot(
            *zip(*descent["points"], strict=True),
            style,
            color=color,
            markersize=2.2,
            linewidth=0.8,
            zorder=layer,
            label=_named(descent),
        )
    axes.plot(*zip(*scene["minima"], strict=True), "x", color=_INK, markersize=6)
    axes.set_xlim(*scene["across"])
    axes.set_ylim(*scene["up"])
    axes.xaxis.set_major_locator(NullLocator())
    axes.yaxis.set_major_locator(NullLocator())
    axes.set_title(f"{scene['name']}: {scene['formula']}")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0))


def _named(descent: Mapping[str, Any]) -> str:
    gradients = f"{descent['gradients']} gradients"
    rate = f", lr {descent['options']['lr']:g}" if "lr" in descent["options"] else ""
    return f"{descent['name']}{rate}: {gradients}" + ("" if descent["reached"] else ", not there")


def _activation(figure: Figure, facts: Facts) -> None:
    figure.set_size_inches(4.8, 3.2)
    axes = figure.add_subplot()
    places = [point[0] for point in facts["points"]]
    axes.plot(places, [point[1] for point in facts["points"]], color=_FIRST, label="value")
    axes.plot(places, [point[2] for point in facts["points"]], color=_SECOND, linestyle="--", label="slope")
    _plain_axes(axes, "x")
    axes.legend()


def _schedule(figure: Figure, facts: Facts) -> None:
    figure.set_size_inches(4.8, 3.2)
    axes = figure.add_subplot()
    axes.plot(*zip(*facts["points"], strict=True), color=_FIRST, label="of the base rate")
    if facts["losses"]:
        axes.plot(*zip(*facts["losses"], strict=True), color=_SECOND, linestyle="--", label="validation loss, made up")
    axes.set_ylim(bottom=0)
    _plain_axes(axes, "progress of the run")
    axes.legend()


def _plain_axes(axes: Axes, across: str) -> None:
    axes.grid(color=_MUTED, linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(across)


_FAMILIES: dict[str, Callable[[Figure, Facts], None]] = {
    "conv": _conv,
    "norm": _norm,
    "optimizer": _optimizer,
    "activation": _activation,
    "schedule": _schedule,
}
