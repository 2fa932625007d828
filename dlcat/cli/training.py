"""Training commands: train, eval, predict, runs, report."""

import os
import shlex
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dlcat import waiting
from dlcat.cli import out
from dlcat.cli.app import TRAINING, Cache, Catalogs, Device, Json, Mirrors, Out, Overrides, app
from dlcat.errors import DivergedError, StoppedError, UsageError
from dlcat.locations import launched
from dlcat.run import CHECKPOINT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.cost import Cost
    from dlcat.recipe import Recipe
    from dlcat.run import Run
    from dlcat.train.distributed import World
    from dlcat.train.session import Started
    from dlcat.workspace import Workspace

UNITS = {"image": "images", "nlp": "texts", "audio": "sounds"}
"""What is counted per second, by the dataset's domain."""

RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's name or folder, or 'last'.")]


@app.command(rich_help_panel=TRAINING)
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe by path or name.")],
    set_: Overrides = None,
    device: Device = "auto",
    out_: Out = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the recipe and its cost; no data.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with this recipe's newest run, if it is unfinished.")
    ] = False,
    checkpoint: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="How often to keep where it stands; 0 after every step."),
    ] = CHECKPOINT_SECONDS,
    nproc: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes of this machine that train it together.")
    ] = 1,
    shard: Annotated[
        bool, typer.Option("--shard", help="Divide the weights over the processes: FSDP, for what one cannot hold.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out examples that cannot be read, and name them in the report.")
    ] = False,
    allow_leak: Annotated[
        bool,
        typer.Option("--allow-leak", help="Train although the test or validation split leaks; the report says so."),
    ] = False,
    mirror: Mirrors = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Train a recipe; its data are fetched first where they are missing."""
    started = launched()
    if not started:  # processes that start together would take each other for strangers
        waiting.choose()
    if shard and nproc == started.get("WORLD_SIZE", 1) == 1:
        raise UsageError("--shard: one process has nothing to divide weights over", hint="--nproc 2, or torchrun")
    if nproc > 1 and not dry_run:
        _launch(nproc, started)
    place = out.workspace(catalog, cache)
    set_ = [*(set_ or ()), *(["skip_bad=true"] if skip_bad else []), *(["split.allow_leak=true"] if allow_leak else [])]
    checked = place.recipe(recipe, tuple(set_))
    if checked.study is not None:
        print(f"one training, without the recipe's study; `dlcat study {recipe}` trains that", file=sys.stderr)
    _, cost = place.trainable(checked)
    if dry_run:
        _dry_run(checked, cost, json)
        return
    out.draw(place.provide(checked, mirrors=tuple(mirror or ())))
    if not started.get("LOCAL_RANK"):  # the first process decodes; the others find it done
        out.hear(place.hear(checked))
    from dlcat.train.distributed import joined

    with joined(shard=shard) as world:
        run = world.from_first(lambda: _to_resume(place, checked, out_, resume, started))
        if run is None or not run.finished:
            run = _train(
                place,
                checked,
                cost,
                device=device,
                folder=out_,
                command=_command(recipe, set_, device, nproc, shard),
                resume=run,
                checkpoint_seconds=checkpoint,
                world=world,
            )
        if run is not None and world.is_first:
            _tell(run, json)


@app.command("eval", rich_help_panel=TRAINING)
def eval_(
    run: RunName,
    split: Annotated[str, typer.Option(help="Which split.")] = "test",
    best: Annotated[bool, typer.Option("--best", help="With the weights of the best epoch, not of the last.")] = False,
    device: Device = "auto",
    out_: Out = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Measure a finished run again, on the split it was tested on or another."""
    waiting.choose()
    from dlcat.train import trained
    from dlcat.train.placing import batches_of
    from dlcat.view import results

    place = out.workspace(catalog, cache)
    found = _find(place, run, out_)
    recipe = place.recipe(str(found.recipe_path))
    form = place.form(recipe)
    built, known = trained.restore(recipe, found, device, form=form, best=best)
    out.draw(place.provide(recipe))
    examples = place.split(recipe, split, known)
    measured = trained.evaluate(built, batches_of(examples, None, built.device, known.statistics, form))
    if json:
        out.document(
            {"run": str(found.path), "split": split, "weights": "best" if best else "last", "metrics": measured}
        )
    else:
        out.text("".join(f"{split} {name}  {value}\n" for name, value in results.scores(measured)))


@app.command(rich_help_panel=TRAINING)
def predict(
    run: RunName,
    files: Annotated[list[Path], typer.Argument(help="Pictures, sounds or texts, as it was trained on.")],
    device: Device = "auto",
    out_: Out = None,
    json: Json = False,
    catalog: Catalogs = None,
) -> None:
    """Say what a trained network sees, hears or reads in your own files."""
    from dlcat.train import trained
    from dlcat.train.predict import predict as classify

    place = out.workspace(catalog, None)
    found = _find(place, run, out_)
    recipe = place.recipe(str(found.recipe_path))
    built, known = trained.restore(recipe, found, device, form=place.form(recipe))
    predictions = [classify(path, built, known) for path in files]
    if json:
        out.document({"run": str(found.path), "files": [prediction.plain() for prediction in predictions]})
        return
    for prediction in predictions:
        ranked = ", ".join(f"{name} {value:.1%}" if name else f"{value:g}" for name, value in prediction.classes)
        note = f"  ({prediction.note})" if prediction.note else ""
        out.text(f"{prediction.file}: {ranked}{note}")


@app.command(rich_help_panel=TRAINING)
def runs(out_: Out = None, json: Json = False) -> None:
    """List the runs, oldest first."""
    from dlcat import run
    from dlcat.view import results

    every = list(run.listed(out_ or out.workspace(None, None).locations.runs))
    if json:
        out.document({"runs": [_summary(found) for found in every]})
    else:
        out.text(results.runs(every, out.console()))


@app.command(rich_help_panel=TRAINING)
def report(
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN...", help="Runs; the last one by default.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Where to write it; the run's folder by default.")] = None,
    out_: Out = None,
) -> None:
    """Write a run's report again and print where it is."""
    place = out.workspace(None, None)
    every = [_find(place, name, out_) for name in names or ["last"]]
    if html and len(every) > 1:
        raise UsageError("--html names one file, but several runs are given", hint="one run at a time")
    for found in every:
        out.text(str(_report(found, html)))


@app.command(rich_help_panel=TRAINING)
def compare(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Finished runs; the first is compared to.")],
    metric: Annotated[str, typer.Option(help="accuracy, error, loss, ...")] = "accuracy",
    split: Annotated[Literal["test", "validation"], typer.Option(help="Where it was measured.")] = "test",
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with curves.")] = None,
    out_: Out = None,
    json: Json = False,
) -> None:
    """Put runs side by side: what differs in their recipes, and mean and spread over their seeds."""
    from dlcat import __version__
    from dlcat.run import writing
    from dlcat.study.groups import grouped
    from dlcat.study.trials import Measure
    from dlcat.view import compare as view

    place = out.workspace(None, None)
    groups = grouped((_find(place, name, out_) for name in names), Measure(metric, split))
    told = {"metric": metric, "split": split, "groups": [group.plain(groups[0], metric) for group in groups]}
    if html:
        with writing(html) as file:
            file.write_text(view.page(told, html, version=__version__), encoding="utf-8")
    if json:
        out.document(told)
    else:
        out.text(view.compared(told, out.console()))


def _find(place: "Workspace", name: str, folder: Path | None) -> "Run":
    from dlcat import run

    return run.find(folder or place.locations.runs, name)


def _tell(run: "Run", json: bool) -> None:
    """Write a finished run's report, and say what came out."""
    from dlcat.view import results

    path = _report(run)
    if json:
        out.document(run.result())
    else:
        out.text(results.result(run.result(), path, out.console()))


def _launch(processes: int, started: dict[str, int]) -> None:
    """Run this command in so many processes, and end as they do; one of them goes on."""
    from dlcat.train import launch

    if started:
        launch.end_with_parent()
        return
    words = [sys.executable, "-m", "dlcat", *sys.argv[1:]]
    with _stopping(silent=True) as stop:  # the first of them says it
        for event in launch.launch(words, processes, stop):
            match event:
                case launch.Killed(rank, signal_name, restart):
                    print(
                        f"warning: process {rank} was killed by {signal_name}; all start again from the last checkpoint "
                        f"(restart {restart} of {launch.MOST_RESTARTS})",
                        file=sys.stderr,
                    )
                case launch.Ended(code, said):
                    sys.stderr.write(said)
    raise SystemExit(code)


def _to_resume(
    place: "Workspace", recipe: "Recipe", folder: Path | None, resume: bool, started: dict[str, int]
) -> "Run | None":
    """The run to go on with: the one that --resume means, or that of the processes which these ones replace."""
    if resume:
        return _latest(place, recipe, folder)
    if not started.get("TORCHELASTIC_RESTART_COUNT"):
        return None
    found = place.latest(recipe, folder)
    return None if found is None or found.finished else found


def _report(run: "Run", path: Path | None = None) -> Path:
    from dlcat.run import writing
    from dlcat.view import report

    target = path or run.report_path
    content = report.render(run)
    with writing(target) as file:
        file.write_text(content, encoding="utf-8")
    return target


def _latest(place: "Workspace", recipe: "Recipe", folder: Path | None) -> "Run | None":
    """The run that --resume means."""
    found = place.latest(recipe, folder)
    if found is None:
        print("no run of this recipe as it is now; a new one begins", file=sys.stderr)
    elif found.finished:
        print(f"{found.name}: finished already", file=sys.stderr)
    return found


def _train(place: "Workspace", recipe: "Recipe", cost: "Cost", *, world: "World", **how: Any) -> "Run | None":
    """Train and draw what happens; `how` is that of `Workspace.train`. Of several processes, the first has the run."""
    if not world.is_first:
        _assist(place, recipe, cost, world=world, **how)
        return None
    from dlcat.train.loop import Epoch
    from dlcat.train.session import Finished, Started
    from dlcat.view.progress import TrainProgress

    unit = UNITS[place.catalog[recipe.dataset.name].domain]
    with _stopping() as stop, TrainProgress(sys.stderr, unit=unit) as progress:
        for event in place.train(recipe, cost, stop=stop, world=world, **how):
            match event:
                case Started():
                    _introduce(event)
                case Epoch():
                    progress.show(event.plain())
                case Finished(run, _):
                    pass
    return run


def _assist(place: "Workspace", recipe: "Recipe", cost: "Cost", **how: Any) -> None:
    """Train with the first process, which says what all of them meet together."""
    with _stopping(silent=True) as stop:
        try:
            for _ in place.train(recipe, cost, stop=stop, **how):
                pass
        except (DivergedError, StoppedError) as error:
            raise SystemExit(error.exit_code) from error


def _introduce(started: "Started") -> None:
    """One line on what is about to run, and where it is kept."""
    device = started.device
    together = f", {started.processes} processes" if started.processes > 1 else ""
    print(
        f"{started.run.name}: {started.parameters:,} parameters, {started.macs:,} MACs; train {started.train:,}, "
        f"validation {started.validation:,}, test {started.test:,}; {device.device} {device.precision} {device.layout}"
        f"{' compiled' if device.compiled else ''}{together}",
        file=sys.stderr,
    )
    epochs, steps = started.at
    if epochs or steps:
        print(f"goes on after {epochs} epochs and {steps} steps", file=sys.stderr)
    for remark in started.remarks:
        print(f"warning: {remark}", file=sys.stderr)


@contextmanager
def _stopping(*, silent: bool = False) -> "Iterator[Event]":
    """An event that Ctrl-C, or a batch system that takes the machine back, sets; a second Ctrl-C ends it at once."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _: object) -> None:
        stop.set()
        if not launched():  # torchrun and a batch system may each say it, and mean it once
            signal.signal(number, before[signal.Signals(number)])
        # Not by print, in the middle of which the signal may have come.
        if not silent:
            os.write(2, b"stopping after this step; once more to end at once\n")

    wanted = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in wanted:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number in wanted:
            signal.signal(number, before[number])


def _dry_run(recipe: "Recipe", cost: "Cost", json: bool) -> None:
    from dataclasses import asdict

    from dlcat.train import families

    resolved = families.resolve(recipe)
    if json:
        out.document({"recipe": resolved.plain(), "cost": asdict(cost)})
    else:
        out.text(
            f"{resolved.to_yaml()}# {cost.parameters:,} parameters, {cost.macs:,} multiply-accumulates per example"
        )


def _command(recipe: str, overrides: list[str] | None, device: str, processes: int, shard: bool) -> str:
    """What repeats this run."""
    words = ["dlcat", "train", recipe, *(word for text in overrides or () for word in ("--set", text))]
    words += ["--device", device] if device != "auto" else []
    words += ["--nproc", str(processes)] if processes > 1 else []
    return shlex.join([*words, *(["--shard"] if shard else [])])


def _summary(run: "Run") -> dict[str, Any]:
    summary: dict[str, Any] = {"run": str(run.path), "finished": run.finished}
    return summary | ({"result": run.result()} if run.finished else {"epochs": len(run.epochs())})
