"""The command that trains a recipe many times."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlcat import __version__, units, waiting
from dlcat.cli import out
from dlcat.cli.app import TRAINING, Cache, Catalogs, Device, Json, Mirrors, Out, Overrides, app
from dlcat.errors import DivergedError

if TYPE_CHECKING:
    from dlcat.study.trainings import Ended


@app.command(rich_help_panel=TRAINING)
def study(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe by path or name.")],
    over: Annotated[
        list[str], typer.Option("--over", metavar="KEY=VALUE,VALUE", help="What to vary: norm=batch,group. Repeatable.")
    ],
    seeds: Annotated[int, typer.Option(min=1, help="How often to train each, with seeds from 0.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time; they share the cores.")] = 1,
    metric: Annotated[str, typer.Option(help="Of the test split.")] = "accuracy",
    set_: Overrides = None,
    device: Device = "auto",
    out_: Out = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with the table and a figure.")] = None,
    mirror: Mirrors = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Train a recipe over values of its keys and over seeds, and compare; what is trained already is not trained again."""
    waiting.choose()
    from dlcat.study.axes import axis, cells
    from dlcat.study.groups import grouped
    from dlcat.study.trainings import Order, orders, trainings
    from dlcat.view import compare as view

    place = out.workspace(catalog, cache)
    template = Order(recipe, tuple(set_ or ()), device, out_)
    dataset, ordered = orders(place, template, cells([axis(text) for text in over]), seeds)
    out.draw(place.install(dataset, mirrors=tuple(mirror or ())))
    ended = []
    for each in trainings(place, ordered, jobs=jobs):
        ended.append(each)
        print(f"{len(ended)} of {len(ordered)}: {_said(each, metric)}", file=sys.stderr)
    ended.sort(key=lambda each: ordered.index(each.order))
    groups = grouped([each.run for each in ended if each.run], metric)
    told = [group.plain(groups[0]) for group in groups]
    failures = [" ".join([*each.order.overrides, each.failure]) for each in ended if not each.run]
    if html:
        _write(html, view.page(recipe, told, metric, failures, version=__version__))
    if json:
        out.document({"recipe": recipe, "metric": metric, "split": "test", "groups": told, "failures": failures})
    else:
        out.text(view.compared(told, metric, out.console()))
    if failures:
        raise DivergedError("\n".join([f"{len(failures)} of {len(ordered)} trainings came to no end:", *failures]))


def _write(path: Path, content: str) -> None:
    from dlcat.run import writing

    with writing(path) as file:
        file.write_text(content, encoding="utf-8")


def _said(ended: "Ended", metric: str) -> str:
    """One line on a training that ended."""
    from dlcat.view import tables

    name = " ".join(ended.order.overrides)
    if ended.run is None:
        return f"{name}: {ended.failure.splitlines()[0]}"
    result = ended.run.result()
    value = result["metrics"]["test"].get(metric)
    told = "none" if value is None else tables.score(metric, value)
    return f"{name}: {metric} {told}, {units.duration(result['seconds'])}"
