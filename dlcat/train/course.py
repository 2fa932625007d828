"""How far a training has come, and all that decides how it goes on: what a checkpoint holds."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlcat.layers.algorithms import auto
from dlcat.optim.closure import set_training
from dlcat.optim.schedules import Look
from dlcat.train.weight_average import WeightAverage

if TYPE_CHECKING:
    from dlcat.train.experiment import Experiment
    from dlcat.train.steps import Taken


@dataclass(slots=True)
class Clock:
    """Seconds that pass, and those that passed before the process that counted them ended."""

    earlier_seconds: float = 0.0
    _started: float = field(default_factory=perf_counter)

    @property
    def seconds(self) -> float:
        return self.earlier_seconds + perf_counter() - self._started


@dataclass(slots=True)
class Course:
    """The training of an experiment, between two of its steps."""

    experiment: Experiment
    order: torch.Generator
    """Shuffles the examples, once an epoch."""
    noise: torch.Generator
    """What augmentation draws from, on the device."""
    shuffle: torch.Tensor
    """What `order` was before it shuffled this epoch."""
    loss_sum: torch.Tensor
    """Of this epoch's examples so far, on the device."""
    hits: torch.Tensor
    average: WeightAverage | None = None
    """Of the weights, where the recipe asks for it."""
    epoch: int = 1
    steps: int = 0
    """Of this epoch, that are done."""
    seen: int = 0
    """Examples of this epoch."""
    gradients: int = 0
    """Of batches, that all epochs took."""
    epoch_clock: Clock = field(default_factory=Clock)
    """Of training in this epoch."""
    run_clock: Clock = field(default_factory=Clock)
    """Of all."""

    @classmethod
    def begin(cls, experiment: Experiment) -> Course:
        """Before the first step."""
        order, noise = experiment.generators()
        if not experiment.world.is_first:  # what one process's dropout leaves out, another's does not
            torch.manual_seed(experiment.world.seed(experiment.recipe.train.seed))
        zero = torch.zeros((), device=experiment.device.device)
        decay = experiment.recipe.train.ema
        average = None if decay is None else WeightAverage(experiment.model, decay)
        return cls(experiment, order, noise, order.get_state(), zero, zero.clone(), average)

    def set_training(self, training: bool) -> None:
        """Let the model have the weights to train, or those to evaluate and keep."""
        set_training(self.experiment.optimizer, training)
        if self.average is not None:
            self.average.show(not training)

    def begin_epoch(self) -> None:
        """Start its clock, where it is not taken up in its middle."""
        if not self.steps:
            self.epoch_clock = Clock()

    def add(self, taken: Taken, examples: int) -> None:
        """Count a step with so many examples; the average of the weights follows it."""
        self.steps += 1
        self.seen += examples
        self.gradients += taken.gradients
        self.loss_sum += taken.loss_sum
        self.hits += taken.hits
        if self.average is not None:
            self.average.follow()

    def end_epoch(self) -> None:
        """Go on to the next one."""
        self.epoch += 1
        self.steps = self.seen = 0
        self.loss_sum, self.hits = torch.zeros_like(self.loss_sum), torch.zeros_like(self.hits)
        self.shuffle = self.order.get_state()

    def state(self) -> dict[str, Any]:
        """Everything, as `checkpoint.pack` takes it; of what is each process's own, the list over all of them.

        All processes of a world ask for it together.
        """
        built = self.experiment
        return {
            "model": built.world.whole(dict(built.model.state_dict())),
            "optimizer": built.world.whole(built.optimizer.state_dict()),
            "scaler": built.scaler.state_dict(),
            "average": None if self.average is None else self.average.state(),
            "looks": [asdict(look) for look in built.looks],
            "own": built.world.gathered(self._own()),
            "shuffle": self.shuffle,
            "loss_sum": self.loss_sum,
            "hits": self.hits,
            "counts": [self.epoch, self.steps, self.seen, self.gradients],
            "seconds": [self.epoch_clock.seconds, self.run_clock.seconds],
        }

    def take_up(self, state: dict[str, Any]) -> None:
        """Be where a state was taken, to the bit; a process that was not there then keeps its own sources of chance.

        Raises:
            RuntimeError, ValueError, KeyError: it is the state of another experiment.
        """
        built = self.experiment
        weights, moments = _divided(built, state["model"], state["optimizer"])
        built.model.load_state_dict(weights)
        built.optimizer.load_state_dict(moments)
        built.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.take_up(state["average"])
        built.looks[:] = [Look(**look) for look in state["looks"]]
        self.shuffle = state["shuffle"]
        self.order.set_state(self.shuffle)
        device = built.device.device
        self.loss_sum, self.hits = state["loss_sum"].to(device), state["hits"].to(device)
        self.epoch, self.steps, self.seen, self.gradients = state["counts"]
        self.epoch_clock, self.run_clock = map(Clock, state["seconds"])
        for own in state["own"][built.world.rank : built.world.rank + 1]:
            self._take_own(own)

    def _own(self) -> dict[str, Any]:
        """What differs from process to process."""
        return {
            "chance": _chance(self.experiment.device.device),
            "noise": self.noise.get_state(),
            "algorithms": {key: asdict(timing) for key, timing in auto.choices().items()},
        }

    def _take_own(self, own: dict[str, Any]) -> None:
        _take_chance(own["chance"], self.experiment.device.device)
        self.noise.set_state(own["noise"])
        auto.know({key: auto.Timing(**timing) for key, timing in own["algorithms"].items()})


def _divided(
    built: Experiment, weights: dict[str, Any], moments: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The states of model and optimizer as this process has them."""
    if not built.world.shards:
        return weights, moments
    from dlcat.train import sharding

    own = [weight for group in built.optimizer.param_groups for weight in group["params"]]
    return sharding.divided(weights, built.model.state_dict()), sharding.divided_optimizer(moments, own)


def _chance(device: torch.device) -> dict[str, Any]:
    """The state of every source of chance that a part may draw from without being handed one."""
    kind, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(np.asarray(keys, np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "device": None if device.type == "cpu" else torch.get_device_module(device).get_rng_state(device),
    }


def _take_chance(chance: dict[str, Any], device: torch.device) -> None:
    random.setstate(chance["python"])
    kind, keys, *rest = chance["numpy"]
    np.random.set_state((kind, np.asarray(keys, np.uint32), *rest))
    torch.set_rng_state(chance["torch"])
    if chance["device"] is not None and device.type != "cpu":
        torch.get_device_module(device).set_rng_state(chance["device"], device)
