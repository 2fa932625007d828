"""The trainings of a study, each found again where it was finished before, in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING

from dlcat.errors import DlcatError
from dlcat.run import Run
from dlcat.study.groups import SEED
from dlcat.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dlcat.catalog import Dataset
    from dlcat.recipe import Recipe


_stop = Event()
"""Of a process of the pool."""


@dataclass(frozen=True, slots=True)
class Order:
    """One recipe, with its overrides, to be trained."""

    recipe: str
    overrides: tuple[str, ...]
    device: str
    folder: Path | None
    """For runs; that of the workspace if None."""
    command: str = ""
    """What repeats it, for the report."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of an order."""

    order: Order
    run: Run | None
    failure: str
    """Why there is no run."""


def orders(
    place: Workspace, template: Order, cells: Sequence[tuple[str, ...]], seeds: int
) -> tuple[Dataset, list[Order]]:
    """An order for every cell and every seed from 0, all of them sound, and the dataset they need.

    Args:
        place: as for `trainings`.
        template: what all have in common; a cell's overrides come after its own.
        cells: overrides each.
        seeds: how many.

    Raises:
        InvalidError: every fault of the first cell that has any.
        UsageError: there is no such recipe.
    """
    made = []
    for cell in cells:
        overrides = (*template.overrides, *cell)
        dataset, _ = place.trainable(place.recipe(template.recipe, overrides))
        for seed in range(seeds):
            seeded = (*overrides, f"{SEED}={seed}")
            words = [word for override in seeded for word in ("--set", override)]
            command = shlex.join(["dlcat", "train", template.recipe, *words])
            made.append(replace(template, overrides=seeded, command=command))
    return dataset, made


def trainings(place: Workspace, ordered: Sequence[Order], *, jobs: int = 1) -> Iterator[Ended]:
    """Train what is not trained yet, and say of each order how it ended, as they end.

    A run that was stopped is gone on with. One that diverges, or whose process dies, is told; the others go on.

    Args:
        place: whose catalog, cache and recipes are used; the dataset is installed.
        ordered: sound ones.
        jobs: how many at a time; they share the cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Started anew and not forked: threads of torch do not survive that.
    spawning = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, spawning, _begin, (max(1, cores // jobs), jobs > 1))
    try:
        waiting = {pool.submit(_train, Workspace(place.locations), order): order for order in ordered}
        for future in as_completed(waiting):
            try:
                path, failure = future.result()
            except BrokenProcessPool:
                path, failure = None, "its process ended before it did"
            yield Ended(waiting[future], Run(path) if path else None, failure)
    finally:
        pool.shutdown(cancel_futures=True)


def finished(place: Workspace, recipe: Recipe, order: Order, stop: Event | None = None) -> Run:
    """Its newest run if that is finished; else a training from where it is, with its report.

    Raises:
        InvalidError, UsageError, DiskError, DivergedError: see `Workspace.train`.
        StoppedError: `stop` was set.
    """
    from dlcat.train.session import Finished
    from dlcat.view import report

    run = place.latest(recipe, order.folder)
    if run is not None and run.finished:
        return run
    _, cost = place.trainable(recipe)
    events = place.train(
        recipe, cost, device=order.device, folder=order.folder, command=order.command, resume=run, stop=stop
    )
    run = [event for event in events if isinstance(event, Finished)][-1].run
    run.write_text(run.report_path.name, report.render(run))
    return run


def _begin(threads: int, several: bool) -> None:
    """What every process of the pool does first."""
    signal.signal(signal.SIGINT, lambda *_: _stop.set())  # Ctrl-C reaches all: the training keeps its step and ends
    if several:  # threads that spin take the cores of the other trainings
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.set_num_threads(threads)


def _train(place: Workspace, order: Order) -> tuple[Path | None, str]:
    if _stop.is_set():  # handed over before the others were cancelled
        return None, "interrupted"
    try:
        return finished(place, place.recipe(order.recipe, order.overrides), order, _stop).path, ""
    except DlcatError as error:
        return None, error.message
