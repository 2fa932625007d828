"""The training loop, on one screen: a generator of Epochs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from dlcat.errors import DivergedError
from dlcat.optim.closure import set_training
from dlcat.optim.schedules import Look
from dlcat.train.averages import settle_averages
from dlcat.train.batches import Batches, steps_per_epoch
from dlcat.train.steps import stepper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.train.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Score:
    """Mean loss and share of right answers over a split."""

    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training split; a line of metrics.jsonl."""

    epoch: int
    epochs: int
    seconds: float
    """Of training, without the look at the validation split."""
    examples_per_second: float
    learning_rate: float
    """At the epoch's last step."""
    gradient_passes: float
    """How many gradients of the whole training split were taken so far; a batch's gradient is its share of one."""
    train: Score
    """As trained: in training mode, on augmented inputs, averaged over the epoch."""
    validation: Score | None

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def fit(experiment: Experiment, train: Batches, validation: Batches | None) -> Iterator[Epoch]:
    """Train the experiment's model in place, and say after every epoch how it stands.

    Raises:
        DivergedError: the loss is no longer a finite number.
    """
    settings, optimizer = experiment.recipe.train, experiment.optimizer
    order, noise = experiment.generators()
    step = stepper(experiment, noise)
    batch_size = experiment.batch_size(len(train))
    steps = steps_per_epoch(len(train), batch_size)
    gradients = 0
    for epoch in range(1, settings.epochs + 1):
        experiment.model.train()
        set_training(optimizer, True)
        started = perf_counter()
        loss_sum = torch.zeros((), device=train.inputs.device)
        hits = torch.zeros((), device=train.inputs.device)
        seen = 0
        for number, batch in enumerate(train.shuffled(batch_size, order, partial(experiment.augment, generator=noise))):
            progress = ((epoch - 1) * steps + number) / (settings.epochs * steps)
            rate = experiment.set_rate(progress)
            taken = step(batch, progress)
            seen += len(batch)
            gradients += taken.gradients
            loss_sum += taken.loss_sum
            hits += taken.hits
        mean_loss = float(loss_sum) / seen
        _require_finite(experiment, mean_loss, epoch)
        set_training(optimizer, False)
        settle_averages(experiment, train)
        seconds = perf_counter() - started
        looked = None
        if validation is not None and (epoch % settings.validate_every == 0 or epoch == settings.epochs):
            looked = score(experiment, validation)
            experiment.looks.append(Look(epoch / settings.epochs, looked.loss))
        yield Epoch(
            epoch,
            settings.epochs,
            seconds,
            seen / seconds,
            rate,
            gradients * batch_size / len(train),
            Score(mean_loss, float(hits) / seen),
            looked,
        )


@torch.inference_mode()
def outputs_of(experiment: Experiment, batches: Batches) -> torch.Tensor:
    """The model's outputs for every example in order, (N, outputs) float32 on the CPU, in evaluation mode."""
    experiment.model.eval()
    collected = []
    for inputs, _ in batches.in_order():
        collected.append(experiment.outputs(inputs))
    return torch.cat(collected)


def score(experiment: Experiment, batches: Batches) -> Score:
    """Loss and accuracy over a split."""
    measured = experiment.task.measure(outputs_of(experiment, batches), batches.targets.cpu())
    return Score(measured["loss"], measured["accuracy"])


def _require_finite(experiment: Experiment, loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        recipe = experiment.recipe
        raise DivergedError(
            f"{recipe.name}: the training loss is {loss} in epoch {epoch} of {recipe.train.epochs}",
            hint=f"a smaller --set optimizer.lr (now {experiment.base_rate:g}) or a longer schedule.warmup",
        )
