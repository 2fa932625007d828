"""The training loop, on one screen: a generator of Epochs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from dlcat.errors import DivergedError
from dlcat.train.batches import Batches, steps_per_epoch

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
    model, optimizer, task, settings = experiment.model, experiment.optimizer, experiment.task, experiment.recipe.train
    order, noise = experiment.generators()
    # Only fp16 underflows; for every other precision the scaler passes everything through.
    scaler = torch.amp.GradScaler(experiment.device.device.type, enabled=experiment.device.precision == "fp16")
    steps = steps_per_epoch(len(train), settings.batch_size)
    for epoch in range(1, settings.epochs + 1):
        model.train()
        started = perf_counter()
        loss_sum = torch.zeros((), device=train.inputs.device)
        hits = torch.zeros((), device=train.inputs.device)
        seen = 0
        batches = train.shuffled(settings.batch_size, order, lambda images: experiment.augment(images, noise))
        for step, (inputs, targets) in enumerate(batches):
            progress = ((epoch - 1) * steps + step) / (settings.epochs * steps)
            rate = experiment.set_rate(progress)
            with experiment.device.autocast():
                outputs = model(experiment.resize(inputs, progress))
                loss = task.loss(outputs, targets)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            seen += len(targets)
            loss_sum += loss.detach() * len(targets)  # no .item() here: it would make a GPU wait
            hits += task.hits(outputs.detach(), targets)
        mean_loss = float(loss_sum) / seen
        if not math.isfinite(mean_loss):
            raise DivergedError(
                f"{experiment.recipe.name}: the training loss is {mean_loss} in epoch {epoch} of {settings.epochs}",
                hint=f"a smaller --set optimizer.lr (now {experiment.base_rate:g}) or a longer schedule.warmup",
            )
        seconds = perf_counter() - started
        look = validation is not None and (epoch % settings.validate_every == 0 or epoch == settings.epochs)
        yield Epoch(
            epoch,
            settings.epochs,
            seconds,
            seen / seconds,
            rate,
            Score(mean_loss, float(hits) / seen),
            score(experiment, validation) if look and validation is not None else None,
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
