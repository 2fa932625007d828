"""The trainings of a study as tasks of a Ray cluster (Moritz et al. 2018, arXiv:1712.05889)."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcat.errors import UsageError
from dlcat.study.trainings import Ended, Order, Outcome, begin, finish, threads
from dlcat.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dlcat.locations import Locations

RETRIES = 2
"""How often a training goes on elsewhere after its machine or process is lost."""


def on_ray(place: Workspace, ordered: Sequence[Order], *, jobs: int = 1) -> Iterator[Ended]:
    """Train what is not trained yet, as many at a time as the cluster has room for; else as `trainings.on_this_machine`.

    A training has as many cores as it would have here, and gives the same bits. The cluster is that of RAY_ADDRESS, or one that
    runs on this machine; without any, Ray is started here for as long as the study takes. On several machines the cache and
    the folder of the command have to be on a disk that all of them share, at the same path, and dlcat installed on each.

    Args:
        place: whose catalog, cache and recipes are used; the dataset is installed.
        ordered: sound ones.
        jobs: how many at a time on a machine with as many cores as this one.

    Raises:
        UsageError: Ray is not installed.
    """
    with _connected() as ray:
        gpus = ray.cluster_resources().get("GPU", 0) if ordered[0].template.device != "cpu" else 0
        task = ray.remote(num_cpus=threads(jobs), num_gpus=min(1, gpus), max_retries=RETRIES)(_task)
        waiting = {task.remote(place.locations, order, Path.cwd(), threads(jobs)): order for order in ordered}
        try:
            while waiting:
                (reference, *_), _ = ray.wait(list(waiting), num_returns=1)
                order = waiting.pop(reference)
                try:
                    yield Ended.with_outcome(order, ray.get(reference))
                except ray.exceptions.RayError as error:
                    yield Ended(order, None, f"its process ended before it did: {str(error).splitlines()[0]}")
        finally:
            for reference in waiting:
                ray.cancel(reference)


@contextmanager
def _connected() -> Iterator[Any]:
    """Ray, connected to a cluster."""
    try:
        import ray
    except ImportError:
        raise UsageError("--on ray: Ray is not installed", hint="pip install 'dlcat[ray]'") from None
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:
        ray.init(address="local", num_cpus=threads(1), include_dashboard=False, **quiet)
    try:
        yield ray
    finally:
        ray.shutdown()


def _task(locations: Locations, order: Order, folder: Path, number: int) -> Outcome:
    """What a worker does, in the folder of the command, with so many threads."""
    os.chdir(folder)
    begin(number, True)
    return finish(Workspace(locations), order)
