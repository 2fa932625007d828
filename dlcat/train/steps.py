"""One step of training: the loss of a batch, whose examples may pass in pieces, and the optimizer's move."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn.utils import clip_grad_norm_

from dlcat.optim.closure import Closure, needs_closure
from dlcat.train.gradients import GradientSum
from dlcat.train.labelled import UNLABELLED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from dlcat.train.batches import Batch
    from dlcat.train.experiment import Experiment
    from dlcat.train.mix import Mixed

    Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Taken:
    """What one step saw; tensors stay on the device, for a GPU that has to answer waits."""

    loss_sum: Tensor
    """Of all examples, with the weights as they were before the step."""
    hits: Tensor
    """How many examples were answered rightly then."""
    gradients: int
    """How many gradients of the batch the step took; a product with the Hessian counts as three."""


def stepper(experiment: Experiment, noise: torch.Generator) -> Callable[[Batch, float], Taken]:
    """How the experiment's optimizer makes a step with a batch, at a share of the run.

    Args:
        experiment: its model is trained in place.
        noise: what augmentation draws from; where a step asks for the loss again, it draws the same again.
    """
    forward = experiment.device.compile(experiment.model)
    if needs_closure(experiment.optimizer):
        return partial(_search, experiment, forward, noise)
    undivided = () if experiment.world.shards else experiment.model.parameters()
    return partial(_follow, experiment, forward, GradientSum(experiment.world, undivided))


def gradient(experiment: Experiment, forward: Forward, batch: Batch) -> None:
    """Add the gradient of a batch to the weights', as a step at the end of the run would.

    Args:
        experiment: its model gets the gradients.
        forward: what computes the model.
        batch: some examples.
    """
    for loss, _, count in _losses(experiment, forward, batch, 1.0):
        experiment.scaler.scale(loss * (count / len(batch))).backward()  # type: ignore[no-untyped-call]


def _follow(experiment: Experiment, forward: Forward, gradients: GradientSum, batch: Batch, progress: float) -> Taken:
    """Take the gradient once, and let the optimizer follow it."""
    scaler = experiment.scaler
    seen: list[tuple[Tensor, Tensor]] = []
    gradients.expect(batch.passes(experiment.piece_size(len(batch))))
    for loss, hits, count in _losses(experiment, forward, batch, progress):
        scaler.scale(loss * (count / len(batch))).backward()  # type: ignore[no-untyped-call]
        seen.append((loss.detach() * count, hits))
    gradients.finish()
    taken = _taken(experiment, seen, 1)
    # Where that costs no waiting, the weights are left as they were before what is no number, to be looked at.
    if not taken.loss_sum.is_cpu or taken.loss_sum.isfinite():
        if clip_norm := experiment.recipe.train.clip_norm:
            scaler.unscale_(experiment.optimizer)
            clip_grad_norm_(experiment.model.parameters(), clip_norm)
        scaler.step(experiment.optimizer)
        scaler.update()
    experiment.optimizer.zero_grad(set_to_none=True)
    return taken


def _search(experiment: Experiment, forward: Forward, noise: torch.Generator, batch: Batch, progress: float) -> Taken:
    """Let the optimizer ask for the loss of the batch, with the same augmentation and dropout each time."""
    optimizer = experiment.optimizer
    evaluations: list[list[tuple[Tensor, Tensor]]] = []
    rewind = _rewinder(noise, experiment.device.device)

    def addends() -> Iterator[Tensor]:
        rewind()
        seen: list[tuple[Tensor, Tensor]] = []
        evaluations.append(seen)
        for loss, hits, count in _losses(experiment, forward, batch, progress):
            seen.append((loss.detach() * count, hits))
            yield loss * (count / len(batch))

    before = optimizer.gradient_evaluations  # type: ignore[attr-defined]
    weights = tuple(experiment.model.parameters())
    clear = partial(optimizer.zero_grad, set_to_none=True)
    closure = Closure(clear, addends, weights=weights, add_up=experiment.world.add_up)
    optimizer.step(closure)  # type: ignore[arg-type]
    optimizer.zero_grad(set_to_none=True)
    return _taken(experiment, evaluations[0], optimizer.gradient_evaluations - before)  # type: ignore[attr-defined]


def _taken(experiment: Experiment, seen: list[tuple[Tensor, Tensor]], gradients: int) -> Taken:
    """From the sum of losses and the hits of every piece, of all processes."""
    loss_sums, hits = zip(*seen, strict=True)
    loss_sum, hit_count = torch.stack(loss_sums).sum(), torch.stack(hits).sum()
    experiment.world.add_up([loss_sum, hit_count])
    return Taken(loss_sum, hit_count, gradients)


def _losses(
    experiment: Experiment, forward: Forward, batch: Batch, progress: float
) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Mean loss, hits and count of every piece of this process's part of the batch, each made when it is asked for.

    What the model keeps beside its weights, such as running averages, is that of the first process before every batch.
    """
    experiment.world.follow_first(list(experiment.model.buffers()))
    mix = experiment.mixing()
    for inputs, targets in batch.pieces(experiment.piece_size(len(batch))):
        mixed = mix(inputs)
        with experiment.device.autocast():
            shown = experiment.resize(mixed.inputs, progress)
            outputs = forward(shown)
            loss, hits = _judged(experiment, batch, mixed, outputs, targets)
            if experiment.regularizer is not None:
                loss = loss + experiment.regularizer(_unnoticed(experiment.model, forward), shown, outputs)
        yield loss, hits, len(targets)


def _judged(
    experiment: Experiment, batch: Batch, mixed: Mixed, outputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean loss and hits of a piece; where only some examples of the batch have labels, they stand for all of it."""
    labelled = batch.split.labelled_of(len(batch))
    if labelled == len(batch):
        return mixed.loss(experiment.task, outputs, targets), mixed.hits(experiment.task, outputs.detach(), targets)
    known, stands_for = targets != UNLABELLED, len(batch) / labelled
    said, truth = outputs[known], targets[known]
    if not len(truth):
        return said.sum(), said.new_zeros(())  # nothing, and yet something to go back from
    loss = mixed.loss(experiment.task, said, truth) * (stands_for * len(truth) / len(targets))
    return loss, mixed.hits(experiment.task, said.detach(), truth) * stands_for


def _unnoticed(model: nn.Module, forward: Forward) -> Forward:
    """The model as a function that leaves its running averages as they are: they are to be those of real inputs."""

    def say(inputs: Tensor) -> Tensor:
        before = [buffer.clone() for buffer in model.buffers()]
        outputs = forward(inputs)
        for buffer, kept in zip(model.buffers(), before, strict=True):
            buffer.data.copy_(
                kept
            )  # of `data`: for autograd nothing has changed, since training reads no running average
        return outputs

    return say


def _rewinder(noise: torch.Generator, device: torch.device) -> Callable[[], None]:
    """Sets all that is random in a step back to what it is now."""
    drawn, chance = noise.get_state(), torch.get_rng_state()
    on_device = None if device.type == "cpu" else torch.get_device_module(device).get_rng_state(device)

    def rewind() -> None:
        noise.set_state(drawn)
        torch.set_rng_state(chance)
        if on_device is not None:
            torch.get_device_module(device).set_rng_state(on_device, device)

    return rewind
