"""One training from recipe to finished run: a generator of what happens, while the run's folder fills."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from statistics import median
from threading import Event
from typing import TYPE_CHECKING, Any

from dlcat import run as runs
from dlcat.errors import InvalidError
from dlcat.layers.norms import norm
from dlcat.machine import keep_memory
from dlcat.train import device as devices
from dlcat.train import environment, experiment, families, memory, stopping
from dlcat.train.batches import Batches, steps_per_epoch
from dlcat.train.beside import beside, require_takes
from dlcat.train.calibration import calibrate
from dlcat.train.checkpoint import Checkpoints
from dlcat.train.course import Course
from dlcat.train.distributed import ALONE
from dlcat.train.energy import metered
from dlcat.train.findings import findings
from dlcat.train.loop import Epoch, fit, outputs_of
from dlcat.train.splits import Splits, splits_of
from dlcat.train.trained import Known, evaluate, weights, write_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import torch

    from dlcat.catalog import Dataset
    from dlcat.cost import Cost
    from dlcat.recipe import Recipe
    from dlcat.run import Run
    from dlcat.tasks import Task
    from dlcat.train.distributed import World
    from dlcat.train.experiment import Experiment
    from dlcat.train.material import Material

RATE_POINTS = 200


@dataclass(frozen=True, slots=True)
class Started:
    """Everything is built and the run's folder exists; the first step follows."""

    run: Run
    device: devices.Device
    parameters: int
    macs: int
    train: int
    validation: int
    test: int
    at: tuple[int, int]
    """Epochs and, of the next one, steps that are done: (0, 0) but for a run that is taken up again."""
    remarks: tuple[str, ...]
    """What else there is to say of a run that is taken up again: what differs, or is damaged."""
    processes: int = 1
    """That train together."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The test split was looked at, once, and the run is complete."""

    run: Run
    result: dict[str, Any]


def train(
    recipe: Recipe,
    dataset: Dataset,
    cost: Cost,
    *,
    material: Material,
    digests: Mapping[str, str],
    lock: Mapping[str, Any] | None = None,
    folder: Path,
    device: str = "auto",
    command: str = "",
    resume: Run | None = None,
    checkpoint_seconds: float = runs.CHECKPOINT_SECONDS,
    stop: Event | None = None,
    world: World = ALONE,
) -> Iterator[Started | Epoch | Finished]:
    """Train a recipe and keep everything in a new folder below `folder`.

    Where several processes train together, each calls this; the first one writes and yields, the others only compute.

    Args:
        recipe: as loaded with `families.check`.
        dataset: the catalog entry that the recipe names.
        cost: of its network on one example.
        material: its examples; validation is held out of training by the recipe's seed, where it has no split of its own;
            the test split is looked at once, after the last epoch.
        digests: artifact file to verified sha256, for the record.
        lock: what `dlcat.fetch.lockfile.citation` says of the lock file, for the record.
        folder: where runs are kept.
        device: auto, cpu, cuda, ...
        command: what repeats this run, for the report.
        resume: an unfinished run of the same recipe, to be gone on with; what comes out is equal to the bit.
        checkpoint_seconds: how often to write down where the training stands; 0 after every step.
        stop: once it is set, the training ends after the step that is under way, and can be gone on with.
        world: the processes that train together; `resume` is asked for of the first only.

    Raises:
        InvalidError: the recipe does not fit itself or the data, or the run's checkpoint does not fit the recipe.
        UsageError: another process trains the run that is to be gone on with.
        StoppedError: `stop` was set.
        DivergedError: the loss left the finite numbers; the run's folder keeps what happened.
    """
    keep_memory()
    asked = families.resolve(recipe)
    recipe = asked.settled(world.from_first(lambda: resume.environment().get("found") or {} if resume else {}))
    require_takes(recipe, material.train)
    splits = splits_of(recipe, material, experiment.device_for(recipe, world.device(device)))
    known = Known.of(material, splits.train)
    build: Any = partial(experiment.build, **known.building)
    chosen = _calibrated(recipe, splits.train, partial(build, recipe), world)
    if resume is not None and world.is_first:  # what it found is written in its recipe by now; why, in its environment
        chosen = replace(chosen, reasons=resume.environment().get("reasons") or chosen.reasons)
    recipe, splits = recipe.settled(chosen.found), splits.on(chosen)
    built = build(recipe, device=chosen, world=world)
    experiment.require_shares(built, built.batch_size(len(splits.train)))
    experiment.make_from_inputs(built.model, splits.train)
    world.follow_first([*(() if world.shards else built.model.parameters()), *built.model.buffers()])
    course = Course.begin(built)
    checkpoints = Checkpoints(folder, checkpoint_seconds, stop or Event(), world)
    if not world.is_first:
        _assist(course, splits, checkpoints)
        return
    environs = environment.describe(chosen, digests, lock, processes=world.size) | {"found": _found(asked, chosen)}
    counts = (len(splits.train), len(splits.validation or ()), len(splits.test or ()))
    run = resume or runs.create(folder, recipe.name, recipe.train.seed, datetime.now())
    with runs.training(run), metered() as meter:
        checkpoints.folder = run.checkpoints_path
        state = world.from_first(checkpoints.newest)
        remarks: list[str] = []
        if resume is None:
            run.write_json("inputs.json", known.plain())
            run.write_json("environment.json", environs)
            run.write_text("recipe.yaml", recipe.to_yaml())  # last: with it the folder is a run that can be taken up
        else:
            remarks = _take_up(run, course, state, checkpoints, environs)
        at = (course.epoch - 1, course.steps)
        yield Started(run, chosen, cost.parameters, cost.macs, *counts, at, tuple(remarks), world.size)

        epochs = world.from_first(lambda: _epochs(run, built.task))
        for epoch, best in _trained(course, splits, checkpoints, epochs):
            run.log(epoch.plain())
            if best is not None:
                write_weights(run.best_weights_path, best)
            yield epoch
        seconds, joules, peak_bytes = course.run_clock.seconds, meter.joules, memory.peaks(chosen.device)
        write_weights(run.weights_path, weights(built))
        measured = splits.test and evaluate(built, splits.test, run)
        last = epochs[-1].validation
        result = {
            "run": str(run.path),
            "recipe": recipe.name,
            "question": recipe.question,
            "dataset": _about(dataset),
            "device": str(chosen.device),
            "processes": world.size,
            "sharded": world.shards,
            "precision": chosen.precision,
            "layout": chosen.layout,
            "compiled": chosen.compiled,
            "reasons": chosen.reasons,
            "test_time_augment": recipe.train.test_time_augment,
            "ema": recipe.train.ema,
            "class_weights": built.task.class_weights,
            "epochs": len(epochs),
            "best": _best(epochs),
            "stopped": stopping.stop_reason(recipe, epochs),
            "target": recipe.target
            and stopping.way_to_target(
                recipe.target, epochs, cost=cost, examples=counts[0], batch_size=built.batch_size(counts[0])
            ),
            "seconds": round(seconds, 3),
            "gradient_passes": round(epochs[-1].gradient_passes, 3),
            "examples_per_second": round(median(epoch.examples_per_second for epoch in epochs), 1),
            "parameters": cost.parameters,
            "macs": cost.macs,
            "backward_macs": cost.backward_macs,
            "peak_bytes": peak_bytes,
            "joules": None if resume else joules,  # of this process only
            "seed": recipe.train.seed,
            "task": recipe.task.name,
            "rank": {"measure": built.task.rank, "higher_is_better": built.task.higher_is_better},
            "classes": list(material.train.classes),
            "inputs": {"train": splits.train.held, "test": splits.test and splits.test.held},
            "split": dict(zip(("train", "validation", "test", "how"), (*counts, splits.how), strict=True)),
            "learning_rates": _rates(built, steps_per_epoch(counts[0], built.batch_size(counts[0])), len(epochs)),
            **findings(built, splits.seen),
            "baseline": beside(recipe, material),
            "left_out": list(material.left_out),
            "metrics": {
                "validation": last and last.plain(),
                "test": measured,
            },
            "command": command,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        run.write_json("result.json", result)
        checkpoints.clear()
    yield Finished(run, result)


def _found(asked: Recipe, chosen: devices.Device) -> dict[str, Any]:
    """What was found in the place of `auto`."""
    return {key: value for key, value in chosen.found.items() if getattr(asked.train, key) == "auto"}


def _calibrated(recipe: Recipe, train: Batches, build: Callable[..., Experiment], world: World) -> devices.Device:
    """What the first process finds, on this one's device; by rule where it cannot compute without the others."""
    if world.shards:
        return _shardable(recipe, train.device)
    spans = norm.traits(recipe.model.norm.name).spans_processes and world.size > 1

    def find() -> devices.Device:
        return train.device if spans else calibrate(recipe, train, lambda tried: build(device=tried))

    return replace(world.from_first(find), device=train.device.device)


def _shardable(recipe: Recipe, device: devices.Device) -> devices.Device:
    """The device with a layout in which weights can be divided.

    Raises:
        InvalidError: the recipe asks for another.
    """
    if recipe.train.layout == "channels_last":
        raise InvalidError(f"{recipe.at(('train', 'layout'))}: --shard divides contiguous weights; expected contiguous")
    reasons = {**device.reasons, "layout": "weights are divided over the processes"}
    return replace(device, layout="contiguous", reasons=reasons)


def _assist(course: Course, splits: Splits, checkpoints: Checkpoints) -> None:
    """What every process but the first does: the same steps and looks, of which it writes nothing down."""
    built, world = course.experiment, course.experiment.world
    _go_to(course, world.from_first(checkpoints.newest))
    epochs: list[Epoch] = world.from_first(list)
    for _ in _trained(course, splits, checkpoints, epochs):
        pass
    weights(built)
    if splits.test is not None:
        outputs_of(built, splits.test)
    if world.shards:  # the first process runs the model once more, and needs everybody's weights
        findings(built, splits.seen)


def _trained(
    course: Course, splits: Splits, checkpoints: Checkpoints, epochs: list[Epoch]
) -> Iterator[tuple[Epoch, dict[str, torch.Tensor] | None]]:
    """Train, and add to the epochs until it is time to stop; each comes with the weights where it is the best so far."""
    for epoch in fit(course, splits.train, splits.validation, checkpoints):
        epochs.append(epoch)
        yield epoch, weights(course.experiment) if stopping.best(epochs) is epoch else None
        if stopping.stop_reason(course.experiment.recipe, epochs):
            return


def _go_to(course: Course, state: dict[str, Any] | None) -> None:
    """Be where the state was taken, or at the beginning.

    Raises:
        InvalidError: it is of another training.
    """
    try:
        if state is not None:
            course.take_up(state)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise InvalidError(
            f"{course.experiment.recipe.name}: its checkpoint is not of this training: {error}"
        ) from error


def _take_up(
    run: Run, course: Course, state: dict[str, Any] | None, checkpoints: Checkpoints, environs: dict[str, Any]
) -> list[str]:
    """Be where the run's last whole checkpoint was taken, or at its beginning; what there is to say of that.

    Raises:
        InvalidError: the checkpoint is of another training.
    """
    before = run.environment()
    remarks = [f"{each}; not bit for bit as without a pause" for each in environment.differences(before, environs)]
    remarks += [f"{each}; the one before it serves" for each in checkpoints.damaged]
    _go_to(course, state)
    run.forget_epochs_after(course.epoch - 1)
    pause = {"when": environs["started"], "epochs": course.epoch - 1, "steps": course.steps, "remarks": remarks}
    run.write_json("environment.json", {**before, "resumed": [*before.get("resumed", []), pause]})
    return remarks


def _epochs(run: Run, task: Task) -> list[Epoch]:
    """Those that were trained before."""
    try:
        return [Epoch.read(line, task) for line in run.epochs()]
    except (KeyError, TypeError) as error:
        raise InvalidError(f"{run.path / 'metrics.jsonl'}: not as this version of dlcat writes it: {error}") from error


def _best(epochs: list[Epoch]) -> dict[str, Any] | None:
    """The epoch whose weights `best.safetensors` has."""
    leader = stopping.best(epochs)
    if leader is None or leader.validation is None:
        return None
    return {"epoch": leader.epoch, leader.validation.measure: leader.validation.value}


def _rates(built: Experiment, steps: int, epochs: int) -> list[list[float]]:
    """The learning rate over the epochs that were trained, of so many steps, as [step, rate] points."""
    total, last = steps * built.recipe.train.epochs, steps * epochs - 1
    chosen = sorted({round(point * last / max(1, RATE_POINTS - 1)) for point in range(RATE_POINTS)})
    return [[step, built.base_rate * built.schedule(step / total)] for step in chosen]


def _about(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "title": dataset.title,
        "license": dataset.license.id,
        "homepage": dataset.homepage,
    }
