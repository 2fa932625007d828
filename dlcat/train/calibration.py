"""What `auto` means for a recipe on this machine: gradients in every way it leaves open, timed once and remembered."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from dlcat import measured
from dlcat.layers.algorithms.auto import circumstances
from dlcat.train import compilation
from dlcat.train import device as devices
from dlcat.train.batches import steps_per_epoch
from dlcat.train.steps import gradient

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlcat.recipe import Recipe
    from dlcat.train.batches import Batches
    from dlcat.train.device import Device
    from dlcat.train.experiment import Experiment

    Build = Callable[[Device], Experiment]

FILE = "calibrations.json"
BUDGET_SECONDS = 3.0
BUDGET_SHARE = 0.03
"""Of the run's time, where that is less."""
LEAST_RUN_SECONDS = 10.0
"""A run that takes less goes by the rule: what is to be won is less than what a person notices."""
CLEARLY = 0.95
"""Of the time by rule; whoever needs more may be ahead by chance."""
PROBE_EXAMPLES = 16
"""So many tell how long the run will take."""
TURNS = 4
"""Of each, that the budget must have room for."""
HOPELESS = 2.0
"""Times the best first gradient: who takes longer is not timed again."""
COMPILE_RUN_SECONDS = 300.0
"""A run that takes less is over before a trial of the compiler is paid for."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured for one recipe."""

    precision: str
    layout: str
    examples: int
    """That were measured with."""
    milliseconds: dict[str, float]
    """Of their gradient, by precision and layout; nothing where the run is too short to measure."""
    compiled: bool = False
    why_compiled: str = ""


def calibrate(recipe: Recipe, train: Batches, build: Build) -> Device:
    """The fastest way to train a recipe here, of those that it leaves open; with the reasons.

    Precision and layout cost `BUDGET_SECONDS` at most, and no more than `BUDGET_SHARE` of the run; the compiler is tried where
    the run is longer than `COMPILE_RUN_SECONDS`. What was found is kept in the cache folder, by machine, versions and recipe
    without its seed and fold, so that every seed, every fold and every repetition takes the same way.

    Args:
        recipe: resolved.
        train: the training split, on the device that goes by the rule.
        build: makes the experiment on a device.
    """
    ruled = train.device
    others = devices.alternatives(
        ruled, recipe.train.precision, recipe.train.layout, train.numbers(train.inputs[:1]).dim() - 1
    )
    if not others and recipe.train.compile != "auto":
        return ruled
    key = _key(recipe, train)
    found = _remembered(key, [ruled, *others])
    if found is None:
        found = _measured(recipe, train, [ruled, *others], build)
        measured.remember(FILE, key, asdict(found))
    return _chosen(recipe, ruled, found)


def _measured(recipe: Recipe, train: Batches, options: list[Device], build: Build) -> Found:
    """What the clock says of them; the first is the rule's."""
    probe = _Timer(train, options[0], build, PROBE_EXAMPLES)
    probe.time()  # the first of all sets things up
    example_seconds = probe.time() / probe.size
    run_seconds = example_seconds * _examples(probe)
    budget = min(BUDGET_SECONDS, BUDGET_SHARE * run_seconds)
    size = max(probe.size, int(min(budget / (TURNS * len(options) * example_seconds), len(train))))
    milliseconds, best = {}, probe
    if len(options) > 1 and run_seconds >= LEAST_RUN_SECONDS:
        timers = [_Timer(train, option, build, size) for option in options]
        best = _fastest(timers, perf_counter() + budget)
        milliseconds = {_name(each.device): round(1000 * each.best, 2) for each in timers if each.best < inf}
        run_seconds = best.best / best.size * _examples(best)
    compiled, why = _compiler(recipe, best, run_seconds)
    return Found(best.device.precision, best.device.layout, best.size, milliseconds, compiled, why)


def _fastest(timers: list[_Timer], until: float) -> _Timer:
    """Time all in turns until then, so that a slow second falls on all alike; the first, unless one is clearly ahead."""
    for timer in timers:
        timer.time()
    least = min(timer.best for timer in timers)
    hopeful = [timer for timer in timers if timer.best <= HOPELESS * least]
    for timer in hopeful:
        timer.best = inf  # what set things up does not count
    while True:
        for timer in hopeful:
            timer.time()
        if perf_counter() + sum(timer.best for timer in hopeful) > until:
            break
    best = min(hopeful, key=lambda timer: timer.best)
    return best if best.best < CLEARLY * timers[0].best else timers[0]


@dataclass(eq=False)
class _Timer:
    """The gradient of some examples, made in one way."""

    train: Batches
    device: Device
    build: Build
    size: int
    """How many at most."""
    best: float = inf

    def __post_init__(self) -> None:
        self.device = replace(self.device, compiled=False)
        self.built = self.build(self.device)
        self.size = min(self.size, self.piece_size)
        order, noise = self.built.generators()
        augment = partial(self.built.augment, epoch=1, generator=noise)
        finish = partial(self.built.finish, epoch=1, generator=noise)
        batches = self.train.on(self.device).shuffled(self.size, order, augment, finish=finish)
        self.batch = next(batches)
        self.built.model.train()

    @property
    def piece_size(self) -> int:
        """How many examples pass in training."""
        return self.built.piece_size(self.built.batch_size(len(self.train)))

    def time(self) -> float:
        """Seconds that it takes now; infinitely many where it cannot be computed so."""
        started = perf_counter()
        try:
            gradient(self.built, self.built.model, self.batch)
        except (RuntimeError, NotImplementedError):  # no memory for it, or no such operation in this precision
            return inf
        finally:
            self.built.optimizer.zero_grad(set_to_none=True)
        if self.device.device.type == "cuda":
            torch.cuda.synchronize(self.device.device)
        taken = perf_counter() - started
        self.best = min(self.best, taken)
        return taken


def _compiler(recipe: Recipe, best: _Timer, run_seconds: float) -> tuple[bool, str]:
    """Whether the compiler makes the network clearly faster, and why or why not."""
    if recipe.train.compile != "auto":
        return recipe.train.compile, devices.SET
    if not _is_plain(best.train):
        return False, "it is tried on pictures and arrays only"
    if run_seconds < COMPILE_RUN_SECONDS:
        return False, f"the run takes less than {COMPILE_RUN_SECONDS:g} s, too little to earn compiling back"
    size = best.piece_size
    if best.built.batch_size(len(best.train)) % size:
        return False, "batches pass in pieces of several sizes, each of which would be compiled"
    whole = _Timer(best.train, best.device, best.build, size)
    trial = compilation.attempt(recipe, whole.built, next(whole.batch.pieces(size)))
    if isinstance(trial, str):
        return False, trial
    told = f"{1000 * trial.compiled_seconds:.3g} ms compiled, {1000 * trial.plain_seconds:.3g} without, measured"
    return trial.compiled_seconds < CLEARLY * trial.plain_seconds, told


def _is_plain(train: Batches) -> bool:
    """Whether what is stored and what the network gets have one shape, and are quantities.

    The process that tries the compiler is told no more.
    """
    numbers = train.numbers(train.inputs[:1])
    return numbers.is_floating_point() and numbers.shape[1:] == train.inputs.shape[1:]


def _chosen(recipe: Recipe, ruled: Device, found: Found) -> Device:
    """The device with what was found, and the reasons that are new."""
    reasons = dict(ruled.reasons)
    if found.milliseconds:
        told = ", ".join(f"{name} {taken:.3g} ms" for name, taken in found.milliseconds.items())
        reasons |= {
            part: f"measured with {found.examples} examples: {told}"
            for part in ("precision", "layout")
            if getattr(recipe.train, part) == "auto"
            and any(name.split()[part == "layout"] != getattr(found, part) for name in found.milliseconds)
        }
    if recipe.train.compile == "auto":
        reasons["compile"] = found.why_compiled
    return replace(ruled, precision=found.precision, layout=found.layout, reasons=reasons, compiled=found.compiled)


def _name(device: Device) -> str:
    return f"{device.precision} {device.layout}"


def _examples(timer: _Timer) -> int:
    """How many the run looks at, if its optimizer takes one gradient of every batch."""
    built, count = timer.built, len(timer.train)
    batch_size = built.batch_size(count)
    return built.recipe.train.epochs * steps_per_epoch(count, batch_size) * batch_size


def _key(recipe: Recipe, train: Batches) -> str:
    """Machine, versions and what is trained, in words as far as that goes; seeds and folds of one recipe are alike."""
    plain = recipe.plain()
    for draw in ("seed", "fold"):
        plain["train"].pop(draw)
    work = json.dumps([plain, list(train.inputs.shape[1:]), str(train.inputs.dtype)], sort_keys=True)
    trained = f"{recipe.dataset.name} {recipe.model.name} {hashlib.sha256(work.encode()).hexdigest()[:32]}"
    return f"{circumstances(train.device.device)}; {trained}"


def _remembered(key: str, options: list[Device]) -> Found | None:
    kept = measured.recall(FILE, key)
    try:
        found = Found(**kept) if kept else None
    except TypeError:  # written by another version
        return None
    return found if found and f"{found.precision} {found.layout}" in map(_name, options) else None
