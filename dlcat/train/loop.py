"""The training loop, on one screen: a generator of Epochs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from dlcat.optim.schedules import Look
from dlcat.train.averages import settle_averages
from dlcat.train.batches import LOOKED_AT, Batches, pieces_of, steps_per_epoch
from dlcat.train.divergence import require_finite
from dlcat.train.steps import stepper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.tasks import Task
    from dlcat.train.checkpoint import Checkpoints
    from dlcat.train.course import Course
    from dlcat.train.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Score:
    """How good the answers over a split are."""

    loss: float
    """The mean."""
    measure: str
    """What ranks runs of the task: accuracy, ..."""
    value: float | None
    """Of it; None where it was not found out."""
    higher_is_better: bool = True

    @property
    def rank(self) -> float:
        """Higher for the better one, whatever the measure is."""
        value = float("nan") if self.value is None else self.value
        return value if self.higher_is_better else -value

    def plain(self) -> dict[str, float]:
        """The loss and the measure by its name."""
        return {"loss": self.loss} | ({} if self.value is None else {self.measure: self.value})

    @classmethod
    def read(cls, line: dict[str, Any], task: Task) -> Score:
        """The score that `plain` wrote."""
        return cls(line["loss"], task.rank, line.get(task.rank), task.higher_is_better)


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
        looked = self.validation and self.validation.plain()
        return asdict(self) | {"train": self.train.plain(), "validation": looked}

    @classmethod
    def read(cls, line: dict[str, Any], task: Task) -> Epoch:
        """The epoch that `plain` wrote."""
        looked = line["validation"]
        scores = {"train": Score.read(line["train"], task), "validation": looked and Score.read(looked, task)}
        return cls(**line | scores)


def fit(
    course: Course, train: Batches, validation: Batches | None, checkpoints: Checkpoints | None = None
) -> Iterator[Epoch]:
    """Train the course's model in place from where it is, and say after every epoch how it stands.

    Args:
        course: at its beginning, or as a checkpoint has it.
        train: the training split.
        validation: the validation split.
        checkpoints: where the course is kept from time to time, between two steps.

    Raises:
        DivergedError: the loss is no longer a finite number.
        DiskError: a checkpoint cannot be written.
    """
    experiment = course.experiment
    settings = experiment.recipe.train
    step = stepper(experiment, course.noise)
    batch_size = experiment.batch_size(len(train))
    steps = steps_per_epoch(len(train), batch_size)

    def progress() -> float:
        """Share of the run before the step that comes, or before the epoch's last where all are done."""
        return ((course.epoch - 1) * steps + min(course.steps, steps - 1)) / (settings.epochs * steps)

    while course.epoch <= settings.epochs:
        experiment.model.train()
        course.set_training(True)
        course.begin_epoch()
        rate = experiment.set_rate(progress())
        augment = partial(experiment.augment, epoch=course.epoch, generator=course.noise)
        finish = partial(experiment.finish, epoch=course.epoch, generator=course.noise)
        for batch in train.shuffled(
            batch_size, course.order, augment, first=course.steps, world=experiment.world, finish=finish
        ):
            share = progress()
            rate = experiment.set_rate(share)
            taken = step(batch, share)
            is_time = checkpoints is not None and checkpoints.due()
            if is_time or taken.loss_sum.is_cpu or course.steps == steps - 1:  # a GPU has to answer waits
                require_finite(course, float(course.loss_sum + taken.loss_sum), batch, share, checkpoints)
            course.add(taken, len(batch))
            if checkpoints is not None and is_time:
                checkpoints.keep((course.epoch - 1) * steps + course.steps, course.state())
        course.set_training(False)
        settle_averages(experiment, train)
        seconds = course.epoch_clock.seconds
        looked = None
        if validation is not None and (course.epoch % settings.validate_every == 0 or course.epoch == settings.epochs):
            looked = score(experiment, validation)
            experiment.looks.append(Look(course.epoch / settings.epochs, looked.loss))
        yield Epoch(
            course.epoch,
            settings.epochs,
            seconds,
            course.seen / seconds,
            rate,
            course.gradients * batch_size / len(train),
            _trained(course),
            looked,
        )
        course.end_epoch()


def _trained(course: Course) -> Score:
    """Over the epoch's examples as they were trained; only a share of right answers adds up on the way."""
    task = course.experiment.task
    share = None if task.hits is None or task.rank != "accuracy" else float(course.hits) / course.seen
    return Score(float(course.loss_sum) / course.seen, task.rank, share, task.higher_is_better)


@torch.inference_mode()
def outputs_of(experiment: Experiment, batches: Batches) -> torch.Tensor:
    """The model's outputs for every example in order, (N, outputs) float32 on the CPU, in evaluation mode.

    The processes of a world take a part each, and all of them have the whole.
    """
    world = experiment.world
    world.follow_first(list(experiment.model.buffers()))
    experiment.model.eval()
    own = [experiment.outputs(inputs) for inputs, _ in batches.in_order(world=world)]
    if world.shards:  # whoever computes needs the others' weights: nobody may have fewer batches
        most = pieces_of(pieces_of(len(batches), LOOKED_AT), world.size)
        for inputs, _ in islice(batches.in_order(), most - len(own)):
            experiment.outputs(inputs)
    return torch.cat([outputs for part in world.gathered(own) for outputs in part])


def score(experiment: Experiment, batches: Batches) -> Score:
    """Loss and the measure that ranks runs, over a split."""
    task = experiment.task
    return Score.read(task.measure(outputs_of(experiment, batches), batches.targets.cpu()), task)
