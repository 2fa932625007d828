"""Groups of runs side by side, as a table and as a page with curves."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from dlcat import units
from dlcat.view.page import Column, drawn, literal, plain_table, rich_table
from dlcat.view.results import SHARES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console


WIDE = 0.05
"""Costs that differ by more than this share are worth a figure."""


def compared(told: Mapping[str, Any], console: Console | None = None) -> str:
    """A line a group, for `dlcat study` and `dlcat compare`; shares in per cent."""
    columns = _columns(told)
    heads = [
        Column(name, shrinks=True, style="bold") if position == 0 else Column(name, right=True)
        for position, name in enumerate(columns)
    ]
    rows = [[cell(group) for cell in columns.values()] for group in told["groups"]]
    notes = list(_notes(told))
    if console is None:
        return plain_table(heads, rows) + "".join(f"{note}\n" for note in notes)
    return drawn(console, rich_table(console, heads, rows), *(literal(note, "dim") for note in notes))


def page(told: Mapping[str, Any], path: Path, *, recipe: str = "", version: str) -> str:
    """The same as one HTML file with figures, which needs nothing else.

    Args:
        told: what was found.
        path: where the page will be; its links to the runs' own pages start there.
        recipe: what all trainings have in common, as YAML.
        version: of dlcat.
    """
    from markupsafe import Markup

    from dlcat.view.templates import library

    columns = _columns(told) | {"gradient passes": _gradient_passes}  # a page has room for those, too
    pages, style = library()
    return pages.get_template("study.html.jinja").render(
        style=style,
        title=told.get("recipe") or "Runs side by side",
        question=told.get("question", ""),
        columns=list(columns),
        rows=[
            {
                "cells": [cell(group) for cell in columns.values()],
                "links": _links(group, path),
                "dim": not _is_chosen(group),
            }
            for group in told["groups"]
        ],
        figures=[{"title": title, "svg": Markup(svg), "note": note} for title, svg, note in _figures(told)],
        curves=[{"title": title, "svg": Markup(svg), "note": note} for title, svg, note in _curves(told)],
        notes=list(_notes(told)),
        failures=[
            f"{_name(group)}, {_drawn(each)}: {each['why']}" for group in told["groups"] for each in group["failures"]
        ],
        axes=[(_short(name), ", ".join(variants)) for name, variants in told.get("axes", {}).items()],
        recipe=recipe,
        version=version,
    )


def _columns(told: Mapping[str, Any]) -> dict[str, Callable[[Mapping[str, Any]], str]]:
    """Heading to what stands below it."""
    metric = told["metric"]
    percent = 100 if metric in SHARES else 1
    value = f"{told['split']} {metric}{', %' if metric in SHARES else ''}"
    has_paper = any(group["paper"] is not None for group in told["groups"])
    return {
        "what differs": _name,
        "runs": _runs,
        value: lambda group: _spread(group["value"], percent),
        **({"paper": lambda group: "" if group["paper"] is None else f"{group['paper']:g}"} if has_paper else {}),
        "difference": lambda group: _interval(group["difference"], percent),
        "time": lambda group: units.duration(group["seconds"]["mean"]) if group["seconds"] else "",
        "params": lambda group: "" if group["parameters"] is None else units.magnitude(group["parameters"]),
        "MACs": lambda group: "" if group["macs"] is None else units.magnitude(group["macs"]),
    }


def _notes(told: Mapping[str, Any]) -> Iterator[str]:
    groups = told["groups"]
    drawn = "folds" if any(each["fold"] is not None for group in groups for each in group["trials"]) else "seeds"
    bases = [group["difference"]["to"] for group in groups if group["difference"]]
    if bases:
        to = "the first"
        if told.get("axes") and len(told["axes"]) > (told["tuned"] is not None) + 1:
            name = next(name for name in told["axes"] if name != told["tuned"])
            to = f"{_short(name)}={bases[0][name]}, the rest alike"
        yield f"mean ± standard deviation over {drawn}; difference to {to}, run by run ± its 95 % interval"
    if told.get("tuned"):
        yield f"{_short(told['tuned'])} chosen on the validation split with the first seed (*), then trained with the others"
    if told.get("paper"):
        yield f"paper: {told['paper']}"


def _name(group: Mapping[str, Any]) -> str:
    return ", ".join(f"{_short(key)}={_word(each)}" for key, each in group["changes"].items()) or "the recipe"


def _short(key: str) -> str:
    return key.rpartition(".")[2]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_chosen(group: Mapping[str, Any]) -> bool:
    """Whether it was trained in full: all groups, where nothing is tuned."""
    return bool(group.get("chosen", True))


def _runs(group: Mapping[str, Any]) -> str:
    done, failed = len(group["trials"]), len(group["failures"])
    return f"{done} of {done + failed}" if failed else str(done)


def _spread(value: Mapping[str, Any] | None, percent: int) -> str:
    if value is None:
        return "no end"
    mean, std = percent * value["mean"], value["std"]
    return f"{mean:.2f}" if std is None else f"{mean:.2f} ± {percent * std:.2f}"


def _interval(apart: Mapping[str, Any] | None, percent: int) -> str:
    """The mean, and how far the interval reaches to both sides of it."""
    if apart is None:
        return ""
    mean, high = percent * apart["mean"], apart["high"]
    return f"{mean:+.2f}" if high is None else f"{mean:+.2f} ± {percent * high - mean:.2f}"


def _gradient_passes(group: Mapping[str, Any]) -> str:
    return "" if group["gradient_passes"] is None else units.decimal(group["gradient_passes"]["mean"])


def _drawn(trial: Mapping[str, Any]) -> str:
    """Which of a group's trials it is."""
    return f"seed {trial['seed']}" + (f" fold {trial['fold']}" if trial["fold"] is not None else "")


def _links(group: Mapping[str, Any], path: Path) -> list[tuple[str, str]]:
    """Of each run its name and the way to its page from this one."""
    from urllib.parse import quote

    here = path.absolute().parent
    return [
        (_drawn(trial), quote(os.path.relpath(os.path.abspath(trial["report"]), here).replace(os.sep, "/")))
        for trial in group["trials"]
    ]


def _figures(told: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Title, SVG and a note of each figure of what came out."""
    from dlcat.view import study_charts as charts

    metric, value = told["metric"], f"{told['split']} {told['metric']}"
    trained = [group for group in told["groups"] if group["value"]]
    if not trained:
        return
    axis = _numeric(told)
    if axis is not None:
        lines = _lines(trained, axis, lambda group: (group["value"]["mean"], group["value"]["std"]))
        yield (
            f"{value} by {_short(axis)}",
            charts.sweep(lines, _short(axis), metric, "sweep"),
            "mean ± standard deviation",
        )
        with_paper = [group for group in told["groups"] if group["paper"] is not None]
        if with_paper:
            scale = 100 if metric in SHARES else 1
            lines = _lines(with_paper, axis, lambda group: (group["paper"] / scale, None))
            yield (
                f"{metric} by {_short(axis)}, in the paper",
                charts.sweep(lines, _short(axis), metric, "paper"),
                told["paper"],
            )
    chosen = [group for group in trained if _is_chosen(group)]
    rows = [(_name(group), [trial["value"] for trial in group["trials"]]) for group in chosen]
    yield f"{value} of each run", charts.spreads(rows, metric), "dots are runs; mean ± standard deviation"
    for what in ("macs", "parameters", "seconds"):
        costs = [group["seconds"]["mean"] if what == "seconds" else group[what] for group in chosen]
        if len(chosen) > 1 and max(costs) > (1 + WIDE) * min(costs) and min(costs) > 0:
            points = [(_name(group), cost, group["value"]) for group, cost in zip(chosen, costs, strict=True)]
            label = {"macs": "multiply-accumulates an example", "seconds": "seconds of training"}.get(what, what)
            yield (
                f"{value} against {what if what != 'macs' else 'MACs'}",
                charts.tradeoff(points, label, metric, what),
                "",
            )


def _numeric(told: Mapping[str, Any]) -> str | None:
    """The axis to draw along: of those whose variants are numbers the one with the most, but at least three."""
    along = {name: len(variants) for name, variants in told.get("axes", {}).items() if all(map(_is_number, variants))}
    if told.get("tuned") in along:
        return str(told["tuned"])
    best = max(along, key=lambda name: along[name], default=None)
    return best if best is not None and along[best] > 2 else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lines(
    groups: Sequence[Mapping[str, Any]], axis: str, what: Callable[[Mapping[str, Any]], tuple[float, float | None]]
) -> dict[str, list[tuple[float, float, float | None]]]:
    """Points along an axis, a line for each combination of the others."""
    lines: dict[str, list[tuple[float, float, float | None]]] = {}
    for group in groups:
        others = {key: each for key, each in group["changes"].items() if key != axis}
        name = ", ".join(map(_word, others.values()))
        lines.setdefault(name, []).append((float(group["changes"][axis]), *what(group)))
    return {name: sorted(points) for name, points in lines.items()}


def _curves(told: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """A figure of curves for the metric and one for the loss, of the groups that were trained in full."""
    from dlcat.view import study_charts as charts

    chosen = [group for group in told["groups"] if group["trials"] and _is_chosen(group)]
    for metric in dict.fromkeys((told["metric"], "loss")):
        series = {_name(group): group["curves"][metric] for group in chosen if group["curves"][metric]}
        if series:
            split = next(iter(series.values()))[0]["split"]
            yield f"{split} {metric} per epoch", charts.bands(series, metric), "mean, and the span of all runs"
