"""The trainings of a study, each found again where it was finished before, in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from dlcat.errors import DlcatError
from dlcat.machine import cores
from dlcat.run import Run
from dlcat.study.axes import Cell
from dlcat.study.design import Draw
from dlcat.study.trials import FOLD, FOLDS, SEED, Trial, trial
from dlcat.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from dlcat.recipe import Recipe
    from dlcat.study.design import Design

Outcome = tuple[Path | None, str]
"""The folder of a finished run, or why there is none."""

_stop = Event()
"""Of a process that trains."""


@dataclass(frozen=True, slots=True)
class Template:
    """What all trainings of a study have in common."""

    recipe: str
    overrides: tuple[str, ...] = ()
    device: str = "auto"
    folder: Path | None = None
    """For runs; that of the workspace if None."""


@dataclass(frozen=True, slots=True)
class Order:
    """One recipe, with its overrides, to be trained."""

    template: Template
    cell: Cell
    draw: Draw

    @property
    def overrides(self) -> tuple[str, ...]:
        """The template's, then the cell's, then those of what is drawn."""
        drawn = [f"{SEED}={self.draw.seed}"]
        if self.draw.folds is not None:
            drawn += [f"{FOLDS}={self.draw.folds}", f"{FOLD}={self.draw.fold}", "train.validation=0"]
        return (*self.template.overrides, *self.cell.overrides, *drawn)

    @property
    def command(self) -> str:
        """What repeats it, for the report."""
        words = [word for override in self.overrides for word in ("--set", override)]
        device = () if self.template.device == "auto" else ("--device", self.template.device)
        return shlex.join(["dlcat", "train", self.template.recipe, *words, *device])


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of an order."""

    order: Order
    run: Run | None
    failure: str = ""
    """Why there is no run."""

    @classmethod
    def with_outcome(cls, order: Order, outcome: Outcome) -> Ended:
        """As `finish` told."""
        path, failure = outcome
        return cls(order, Run(path) if path else None, failure)


def check(place: Workspace, template: Template, design: Design) -> list[Recipe]:
    """The recipe of every cell with the first of its draws, known to be sound.

    Raises:
        InvalidError: every fault of the first cell that has any.
        UsageError: there is no such recipe.
    """
    from dlcat.train.contradictions import require_consistent

    recipes = [place.recipe(template.recipe, Order(template, cell, design.draws[0]).overrides) for cell in design.cells]
    for recipe in recipes:
        require_consistent(recipe)
    for recipe in {_network(recipe): recipe for recipe in recipes}.values():
        place.trainable(recipe)
    return recipes


def _network(recipe: Recipe) -> str:
    """All of a recipe that its network and its cost depend on: cells that differ in something else have one in common."""
    settings = recipe.train
    batch = (settings.batch_size, settings.micro_batch_size, settings.precision)
    return repr((recipe.dataset, recipe.inputs, recipe.task, recipe.model, batch))


def carry_out(
    template: Template, design: Design, train: Callable[[Sequence[Order]], Iterator[Ended]]
) -> Iterator[Ended]:
    """Train all that a design asks for, and say how each training ended, as they end.

    Args:
        template: what they have in common.
        design: where it tunes an axis, the first seed's trainings decide which others there are.
        train: what trains orders: `on_this_machine`, or `cluster.on_ray`.
    """
    trials: dict[Cell, list[Trial]] = {}
    for ended in train([Order(template, cell, draw) for cell in design.cells for draw in design.first]):
        yield ended
        if ended.run is not None:
            trials.setdefault(ended.order.cell, []).append(measured(ended.run, ended.order, design))
    later = design.draws[len(design.first) :]
    if later:
        yield from train([Order(template, cell, draw) for cell in design.chosen(trials) for draw in later])


def measured(run: Run, order: Order, design: Design) -> Trial:
    """What a finished run of a study found."""
    drawn = order.draw
    return trial(run, design.measure, seed=drawn.seed, fold=drawn.fold, folds=drawn.folds)


def on_this_machine(place: Workspace, ordered: Sequence[Order], *, jobs: int = 1) -> Iterator[Ended]:
    """Train what is not trained yet, and say of each order how it ended, as they end.

    A run that was stopped is gone on with. One that diverges, or whose process dies, is told; the others go on.

    Args:
        place: whose catalog, cache and recipes are used; the dataset is installed.
        ordered: sound ones.
        jobs: how many at a time; they share the cores.
    """
    # A pool for each place: where a process dies, its pool is lost with all that was handed to it, which is one order.
    with _pools(jobs) as (pools, renew):
        waiting = iter(ordered)
        free, running = list(range(jobs)), dict[Future[Outcome], tuple[Order, int]]()
        while True:
            for number, order in zip(free, waiting, strict=False):
                running[pools[number].submit(finish, Workspace(place.locations), order)] = order, number
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            free = []
            for future in done:
                order, number = running.pop(future)
                free.append(number)
                try:
                    yield Ended.with_outcome(order, future.result())
                except BrokenProcessPool:
                    pools[number] = renew()
                    yield Ended(order, None, "its process ended before it did")


def threads(jobs: int) -> int:
    """How many threads each of so many trainings at a time has on this machine."""
    return max(1, cores() // jobs)


def finish(place: Workspace, order: Order) -> Outcome:
    """Train an order in this process, unless it is trained already."""
    if _stop.is_set():  # handed over before the study was stopped
        return None, "interrupted"
    try:
        return finished(place, place.recipe(order.template.recipe, order.overrides), order, _stop).path, ""
    except DlcatError as error:
        return None, error.message


def finished(place: Workspace, recipe: Recipe, order: Order, stop: Event | None = None) -> Run:
    """Its newest run if that is finished; else a training from where it is, with its report.

    Raises:
        InvalidError, UsageError, DiskError, DivergedError: see `Workspace.train`.
        StoppedError: `stop` was set.
    """
    from dlcat.train.session import Finished
    from dlcat.view import report

    chosen = order.template
    run = place.latest(recipe, chosen.folder)
    if run is not None and run.finished:
        return run
    _, cost = place.trainable(recipe)
    events = place.train(
        recipe, cost, device=chosen.device, folder=chosen.folder, command=order.command, resume=run, stop=stop
    )
    run = [event for event in events if isinstance(event, Finished)][-1].run
    run.write_text(run.report_path.name, report.render(run))
    return run


def begin(threads: int, several: bool) -> None:
    """What every process that trains does before its first training."""
    if several:  # threads that spin take the cores of the other trainings
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.set_num_threads(threads)


@contextmanager
def _pools(jobs: int) -> Iterator[tuple[list[ProcessPoolExecutor], Callable[[], ProcessPoolExecutor]]]:
    """So many pools of one process each, and what makes another; at the end trainings are stopped after their step."""
    # Started anew and not forked: threads of torch do not survive that.
    spawning = multiprocessing.get_context("spawn")
    # Not an event: to set one waits for all who wait for it, and who was killed never answers.
    heard, held = spawning.Pipe(duplex=False)

    def pool() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, spawning, _begin, (heard, threads(jobs), jobs > 1))

    pools = [pool() for _ in range(jobs)]
    try:
        yield pools, pool
    finally:
        held.close()
        for each in pools:
            each.shutdown(cancel_futures=True)


def _begin(heard: Connection, threads: int, several: bool) -> None:
    """What every process of a pool does first; the other end of what is `heard` is closed as the study ends, or is killed."""
    # Ctrl-C reaches all, a batch system may: the training keeps its step and ends.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _stop.set())
    Thread(target=_follow, args=(heard,), daemon=True).start()
    begin(threads, several)


def _follow(heard: Connection) -> None:
    """Stop as soon as the study does."""
    with suppress(EOFError, OSError):
        heard.recv()
    _stop.set()
