"""A recipe and a dataset become built things: here, once, every name turns into a callable and every option is checked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from dlcat.errors import InvalidError
from dlcat.layers.algorithms.network import use
from dlcat.layers.norms import norm
from dlcat.layers.parts import choose as choose_parts
from dlcat.layers.whitening import MadeFromInputs
from dlcat.models import model as models
from dlcat.optim.closure import TwoSided, needs_closure
from dlcat.optim.optimizers import optimizer as optimizers
from dlcat.optim.schedules import Look, following
from dlcat.optim.schedules import schedule as schedules
from dlcat.registry import Choice
from dlcat.tasks import counting
from dlcat.tasks import task as tasks
from dlcat.train.augment import Shown, shrink
from dlcat.train.batches import pieces_of
from dlcat.train.contradictions import require_consistent
from dlcat.train.device import choose as choose_device
from dlcat.train.distributed import ALONE
from dlcat.train.fitting import augmenting, finishes, fitting, require_changeable, require_resizable, require_takes
from dlcat.train.mix import mix as mixes
from dlcat.train.mix import mixing
from dlcat.train.regularizers import regularizer as regularizers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor
    from torch.optim import Optimizer

    from dlcat.inputs import Form
    from dlcat.recipe import Recipe
    from dlcat.tasks import Task
    from dlcat.train.batches import Batches
    from dlcat.train.device import Device
    from dlcat.train.distributed import World
    from dlcat.train.mix import Mixed

FULL_PIECE = 1000
"""Examples of a full batch that pass through the network at a time, where a recipe does not say."""
SEEN = 1000
"""So many training examples are seen by layers that are made from them."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """The built things a recipe names, ready to be trained."""

    recipe: Recipe
    device: Device
    model: nn.Module
    task: Task
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    """Only fp16 underflows; for every other precision it passes everything through."""
    schedule: Callable[[float], float]
    augmentations: tuple[Callable[[Tensor, torch.Generator, Shown], Tensor], ...]
    mixes: tuple[Callable[[Tensor, Tensor, np.random.Generator], Mixed], ...]
    regularizer: Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor] | None
    """(network, inputs, outputs) of a piece to a term of the loss."""
    base_rates: tuple[float, ...]
    """The optimizer's learning rate per parameter group, before the schedule."""
    looks: list[Look]
    """What looks at the validation split showed so far; a schedule may go by them."""
    world: World = ALONE
    """The processes that train it together."""
    finishing: tuple[Callable[[Tensor, torch.Generator, Shown], Tensor], ...] = ()
    """Augmentations of what the network gets."""

    @property
    def base_rate(self) -> float:
        return self.base_rates[0]

    def generators(self) -> tuple[torch.Generator, torch.Generator]:
        """The sources of randomness of a run: the order of examples (CPU) and the augmentation (on the device).

        The processes of a world shuffle alike, and each augments in its own way.
        """
        seed = self.recipe.train.seed
        order = torch.Generator().manual_seed(seed)
        noise = torch.Generator(self.device.device).manual_seed(self.world.seed(seed + 1))
        return order, noise

    def batch_size(self, examples: int) -> int:
        """Examples per step, of a training split of so many."""
        chosen = self.recipe.train.batch_size
        return examples if chosen == "full" else min(chosen, examples)

    def piece_size(self, batch_size: int) -> int:
        """How many of a step's examples pass through the network at a time."""
        chosen = self.recipe.train
        most = FULL_PIECE if chosen.batch_size == "full" else batch_size
        return min(chosen.micro_batch_size or most, batch_size)

    def augment(self, inputs: Tensor, positions: Tensor, *, epoch: int, generator: torch.Generator) -> Tensor:
        """The recipe's augmentations of one batch as it is stored, in order; positions (N,) are those in the training split."""
        shown = Shown(positions, epoch)
        for augmentation in self.augmentations:
            inputs = augmentation(inputs, generator, shown)
        return inputs

    def finish(self, inputs: Tensor, positions: Tensor, *, epoch: int, generator: torch.Generator) -> Tensor:
        """Those that change what the network gets, such as spectrograms."""
        shown = Shown(positions, epoch)
        for augmentation in self.finishing:
            inputs = augmentation(inputs, generator, shown)
        return inputs

    def mixing(self) -> Callable[[Tensor], Mixed]:
        """How the examples of one batch are mixed, drawn anew with each call."""
        return mixing(self.mixes)

    def outputs(self, inputs: Tensor) -> Tensor:
        """What the model, in evaluation mode, says of a batch: (N, outputs) float32 on the CPU.

        With the recipe's test_time_augment the mean over what `views` shows.
        """
        with self.device.autocast():
            said = [self.model(view).float() for view in views(self.recipe, inputs)]
        return torch.stack(said).mean(0).cpu()

    def resize(self, images: Tensor, progress: float) -> Tensor:
        """Images as large as the network sees them at that share of the run (see `recipe.ProgressiveResize`)."""
        chosen = self.recipe.train.progressive_resize
        if chosen is None or progress >= chosen.until:
            return images
        return self.device.place(shrink(images, chosen.size))

    def set_rate(self, progress: float) -> float:
        """Set every group's learning rate for a step at that share of the run; the first group's is returned."""
        factor = self.schedule(progress)
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor
        return self.base_rate * factor


def views(recipe: Recipe, inputs: Tensor) -> list[Tensor]:
    """What the network is shown of each example wherever it is evaluated; its outputs for them are averaged.

    Mirror images (Krizhevsky et al. 2012), and images moved by a pixel along a diagonal (Jordan 2024, arXiv:2404.00498).
    """
    chosen = recipe.train.test_time_augment
    if chosen == "none":
        return [inputs]
    shown = [inputs]
    if chosen == "flip_shift":
        framed = functional.pad(inputs, (1, 1, 1, 1), mode="reflect")
        shown += [framed[..., :-2, :-2], framed[..., 2:, 2:]]
    return [view for each in shown for view in (each, each.flip(-1))]


def make_from_inputs(model: nn.Module, train: Batches) -> None:
    """Let the layers that are made from training examples see the first of them; most networks have none such."""
    for layer in model.modules():
        if isinstance(layer, MadeFromInputs):
            layer.make_from(train.numbers(train.inputs[:SEEN]))


def build(
    recipe: Recipe,
    *,
    input_shape: tuple[int, ...],
    classes: Sequence[str],
    device: Device,
    told: Mapping[str, Any] | None = None,
    world: World = ALONE,
    form: Form | None = None,
) -> Experiment:
    """The experiment that a checked recipe describes.

    Args:
        recipe: as loaded with `check`.
        input_shape: (C, H, W) of one example.
        classes: class names in label order.
        device: where it runs.
        told: what a task may ask for of the training targets (see `dlcat.tasks.counting`); None where it is not trained.
        world: the processes that train it together.
        form: how inputs become numbers; None: as they are.

    Raises:
        InvalidError: the parts do not fit each other, such as groups that do not divide the channels.
    """
    task = build_task(recipe, classes, told)
    model = device.place_model(build_model(recipe, input_shape, task.outputs, form))
    if world.shards:
        from dlcat.train import sharding  # half a second that only those pay who divide

        sharding.shard(model, world, device.device.type)
    built = fitting(recipe, ("optimizer",), partial(optimizers.bind(recipe.optimizer), model))
    if world.shards:
        _require_divisible(recipe, built, device)
        sharding.unfuse(built)
    if needs_closure(built) and device.precision != "fp32":
        raise InvalidError(
            f"{recipe.at(('train', 'precision'))}: {recipe.optimizer.name} compares losses along a line, and in "
            f"{device.precision} those of short steps are equal; expected fp32"
        )
    if needs_closure(built) and recipe.train.clip_norm:
        raise InvalidError(
            f"{recipe.at(('train', 'clip_norm'))}: {recipe.optimizer.name} takes its own length along the gradient; "
            "expected null"
        )
    if isinstance(built, TwoSided) and recipe.train.ema is not None:
        raise InvalidError(
            f"{recipe.at(('train', 'ema'))}: {recipe.optimizer.name} evaluates an average of its own; expected null"
        )
    looks: list[Look] = []
    return Experiment(
        recipe,
        device,
        model,
        task,
        built,
        torch.amp.GradScaler(device.device.type, enabled=device.precision == "fp16"),
        following(schedules.bind(recipe.schedule), looks),
        tuple(augmenting(choice) for choice in recipe.augment if not finishes(choice)),
        tuple(mixes.bind(choice) for choice in recipe.mix),
        _regularizer(recipe, task, device),
        tuple(group["lr"] for group in built.param_groups),
        looks,
        world,
        tuple(augmenting(choice) for choice in recipe.augment if finishes(choice)),
    )


def _regularizer(recipe: Recipe, task: Task, device: Device) -> Callable[..., Tensor] | None:
    """What the recipe adds to the loss; None where that is nothing.

    Raises:
        InvalidError: it is not for this task, or not in this precision.
    """
    name = recipe.regularizer.name
    if name == "none":
        return None
    if task.targets != "classes":
        raise InvalidError(
            f"{recipe.at(('regularizer',))}: {name} goes by probabilities of classes, of which one is there; with task "
            f"{recipe.task.name} expected none"
        )
    if regularizers.traits(name).compares and models.traits(recipe.model.name).takes == "tokens":
        raise InvalidError(
            f"{recipe.at(('regularizer',))}: {name} moves inputs a little, and tokens cannot; expected none"
        )
    if regularizers.traits(name).compares and device.precision != "fp32":
        raise InvalidError(
            f"{recipe.at(('train', 'precision'))}: {name} compares what is said of inputs that hardly differ, and in "
            f"{device.precision} they are equal; expected fp32"
        )
    return regularizers.bind(recipe.regularizer)


def _require_divisible(recipe: Recipe, optimizer: Optimizer, device: Device) -> None:
    """Stop where something looks at whole weights, of which each process has a part."""
    if not type(optimizer).__module__.startswith("torch.optim."):
        raise InvalidError(
            f"{recipe.at(('optimizer',))}: {recipe.optimizer.name} needs to see whole weights; with --shard expected one "
            "that changes each number by itself, such as sgd or adamw"
        )
    if recipe.train.ema is not None:
        raise InvalidError(
            f"{recipe.at(('train', 'ema'))}: the average is of whole weights; with --shard expected null"
        )
    if device.precision == "fp16":
        raise InvalidError(
            f"{recipe.at(('train', 'precision'))}: fp16 scales losses by what whole gradients are; with --shard expected bf16 "
            "or fp32"
        )


def build_task(recipe: Recipe, classes: Sequence[str], told: Mapping[str, Any] | None = None) -> Task:
    """The recipe's task for these classes, told what it asks for of the training targets.

    Raises:
        InvalidError: its options do not fit the classes.
    """
    built: Task = fitting(recipe, ("task",), partial(counting(tasks.bind(recipe.task), **(told or {})), classes))
    return built


def require_shares(experiment: Experiment, batch_size: int) -> None:
    """Stop where a step has too few examples for the processes that train together.

    Raises:
        InvalidError: one of them would have none in a piece, or one where the norm needs more.
    """
    world, recipe = experiment.world, experiment.recipe
    passes = pieces_of(pieces_of(batch_size, world.size), experiment.piece_size(batch_size))
    traits = norm.traits(recipe.model.norm.name)
    least = 2 if traits.needs_batch and not traits.spans_processes else 1
    if batch_size // world.size // passes < least:
        raise InvalidError(
            f"{recipe.at(('train', 'batch_size'))}: {batch_size} examples a step, in pieces of at most "
            f"{experiment.piece_size(batch_size)}, leave one of {world.size} processes with a piece of "
            f"{batch_size // world.size // passes}; norm {recipe.model.norm.name} needs at least {least}",
            hint="a larger batch_size, one that the processes divide, or fewer of them",
        )


def device_for(recipe: Recipe, device: str) -> Device:
    """Where and how the recipe is computed, with what `auto` means on this machine.

    Raises:
        UsageError: the device is not there, or cannot compute in that precision.
        InvalidError: the optimizer's options do not go together.
    """
    settings = recipe.train
    return choose_device(
        device,
        settings.precision,
        settings.layout,
        recipe.model.norm.name,
        searches=searches(recipe) or regularizers.traits(recipe.regularizer.name).compares,
        compiled=settings.compile,
    )


def searches(recipe: Recipe) -> bool:
    """Whether the recipe's optimizer compares losses along a line.

    Raises:
        InvalidError: its options do not go together.
    """
    tried: torch.optim.Optimizer = fitting(
        recipe, ("optimizer",), partial(optimizers.bind(recipe.optimizer), nn.Linear(1, 1))
    )
    return needs_closure(tried)


def build_model(recipe: Recipe, input_shape: tuple[int, ...], outputs: int, form: Form | None = None) -> nn.Module:
    """The recipe's network with the first weights that its seed gives, on the CPU (or inside `torch.device("meta")`).

    Raises:
        InvalidError: the parts do not fit each other.
    """
    require_consistent(recipe)
    require_takes(recipe, form)
    require_changeable(recipe, input_shape, form)
    chosen = recipe.model
    torch.manual_seed(recipe.train.seed)
    parts = choose_parts(
        conv=chosen.conv, norm=chosen.norm, activation=chosen.activation, dimensions=len(input_shape) - 1
    )
    builder = models.bind(Choice(name=chosen.name, options=chosen.options))
    built: nn.Module = fitting(recipe, ("model",), partial(builder, input_shape, outputs, parts))
    fitting(recipe, ("train", "progressive_resize"), partial(require_resizable, recipe, built, input_shape))
    computing: nn.Module = fitting(recipe, ("model", "algorithm"), partial(use, built, chosen.algorithm))
    return computing
