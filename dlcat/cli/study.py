"""The command that trains a recipe many times."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dlcat import __version__, units, waiting
from dlcat.cli import out
from dlcat.cli.app import TRAINING, Cache, Catalogs, Device, Json, Mirrors, Out, Overrides, app
from dlcat.errors import DivergedError
from dlcat.run import writing

if TYPE_CHECKING:
    from dlcat.study.trainings import Ended
    from dlcat.study.trials import Measure


@app.command(rich_help_panel=TRAINING)
def study(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe by path or name.")],
    over: Annotated[
        list[str] | None,
        typer.Option(
            "--over",
            metavar="KEY=VALUE,VALUE",
            help="What to vary, instead of the recipe's: norm=batch,group. Repeatable.",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How often to train each, with seeds from 0; else 3.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Cross-validate: hold out each of so many parts of the training split.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="What is compared: accuracy, error, loss, ...")] = None,
    split: Annotated[
        Literal["test", "validation"] | None, typer.Option(help="Where; test by default, with folds validation.")
    ] = None,
    on: Annotated[Literal["here", "ray"], typer.Option(help="This machine, or a Ray cluster.")] = "here",
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time on a machine; they share the cores.")] = 1,
    set_: Overrides = None,
    device: Device = "auto",
    out_: Out = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Where to write the page; RECIPE-study.html among the runs by default."),
    ] = None,
    mirror: Mirrors = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Train a recipe over values of its keys and over seeds, and compare; what is trained already is not trained again."""
    waiting.choose()
    from dlcat.study.design import design
    from dlcat.study.results import results
    from dlcat.study.trainings import Template, carry_out, check
    from dlcat.view import compare as view

    place = out.workspace(catalog, cache)
    template = Template(recipe, tuple(set_ or ()), device, out_)
    loaded = place.recipe(recipe, template.overrides)
    planned = design(loaded, over=over or (), seeds=seeds, folds=folds, metric=metric, split=split)
    sound = check(place, template, planned)
    out.draw(record for each in sound for record in place.provide(each, mirrors=tuple(mirror or ())))
    ended = []
    with _stopping():
        for each in carry_out(template, planned, partial(_trainer(on), place, jobs=jobs)):
            ended.append(each)
            print(f"{len(ended)} of {planned.trainings}: {_said(each, planned.measure)}", file=sys.stderr)
    told = {"recipe": loaded.name, "question": loaded.question, **results(planned, ended)}
    path = html or (out_ or place.locations.runs) / f"{loaded.name}-study.html"
    with writing(path) as file:
        file.write_text(view.page(told, path, recipe=loaded.to_yaml(), version=__version__), encoding="utf-8")
    if json:
        out.document(told | {"page": str(path)})
    else:
        out.text(view.compared(told, out.console()) + f"page  {path}\n")
    # Where an axis is tuned, a rate that diverges is a finding, and no failure.
    missing = [each for group in told["groups"] if group["chosen"] for each in group["failures"]]
    if missing:
        raise DivergedError(
            "\n".join([f"{len(missing)} of {len(ended)} trainings came to no end:", *(each["why"] for each in missing)])
        )


@contextmanager
def _stopping() -> Iterator[None]:
    """A batch system that takes the machine back stops a study as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _trainer(on: str) -> Any:
    """What trains the orders of a study."""
    from dlcat.study import cluster, trainings

    return {"here": trainings.on_this_machine, "ray": cluster.on_ray}[on]


def _said(ended: "Ended", measure: "Measure") -> str:
    """One line on a training that ended."""
    from dlcat.view import results

    name = " ".join(ended.order.overrides)
    if ended.run is None:
        return f"{name}: {ended.failure.splitlines()[0]}"
    result = ended.run.result()
    found = results.score(measure.metric, measure.of(ended.run, result))
    return f"{name}: {measure.metric} {found}, {units.duration(result['seconds'])}"
