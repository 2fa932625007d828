"""Groups of runs side by side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dlcat import units
from dlcat.view.page import Column, drawn, literal, plain_table, rich_table
from dlcat.view.tables import SHARES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

NOTE = "mean ± standard deviation over seeds; difference to the first, seed by seed ± its 95 % interval"


def compared(groups: Sequence[Mapping[str, Any]], metric: str, console: Console | None = None) -> str:
    """A line a group, for `dlcat compare`; shares in per cent."""
    first, *rest = _headings(metric)
    columns = [Column(first, shrinks=True, style="bold"), *(Column(name, right=True) for name in rest)]
    cells = [_cells(group, metric) for group in groups]
    note = NOTE if any(group["difference"] for group in groups) else ""
    if console is None:
        return plain_table(columns, cells) + (f"{note}\n" if note else "")
    return drawn(console, rich_table(console, columns, cells), *([literal(note, "dim")] if note else []))


def page(
    recipe: str, groups: Sequence[Mapping[str, Any]], metric: str, failures: Sequence[str], *, version: str
) -> str:
    """The same as one HTML file with a figure, which needs nothing else."""
    from markupsafe import Markup

    from dlcat.view import charts
    from dlcat.view.report import library

    rows = [(_changes(group), [trial["value"] for trial in group["trials"]]) for group in groups]
    pages, style = library()
    return pages.get_template("study.html.jinja").render(
        style=style,
        recipe=recipe,
        metric=metric,
        columns=_headings(metric),
        rows=[_cells(group, metric) for group in groups],
        figure=Markup(charts.spreads(rows, metric)) if rows else "",
        note=NOTE if any(group["difference"] for group in groups) else "",
        failures=failures,
        version=version,
    )


def _headings(metric: str) -> list[str]:
    unit = ", %" if metric in SHARES else ""
    return ["what differs", "runs", f"test {metric}{unit}", "difference", "time", "params", "MACs"]


def _changes(group: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.rpartition('.')[2]}={_word(each)}" for key, each in group["changes"].items()) or "nothing"


def _cells(group: Mapping[str, Any], metric: str) -> list[str]:
    percent = 100 if metric in SHARES else 1
    value, apart = group["value"], group["difference"]
    return [
        _changes(group),
        str(len(group["trials"])),
        _spread(percent * value["mean"], value["std"] and percent * value["std"]),
        "" if apart is None else _interval(percent * apart["mean"], apart["high"] and percent * apart["high"]),
        units.duration(group["seconds"]["mean"]),
        units.magnitude(group["parameters"]),
        units.magnitude(group["macs"]),
    ]


def _spread(mean: float, std: float | None) -> str:
    return f"{mean:.2f}" if std is None else f"{mean:.2f} ± {std:.2f}"


def _interval(mean: float, high: float | None) -> str:
    """The mean, and how far the interval reaches to both sides of it."""
    return f"{mean:+.2f}" if high is None else f"{mean:+.2f} ± {high - mean:.2f}"


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
