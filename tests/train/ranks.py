"""What the processes of test_distributed.py run, each as a program of its own; see `together` there."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import torch

from dlcat import locations
from dlcat.optim.optimizers import optimizer as optimizers
from dlcat.readers import Examples
from dlcat.train import device as devices
from dlcat.train import experiment, gradients
from dlcat.train.course import Course
from dlcat.train.distributed import World, joined
from dlcat.train.experiment import Experiment
from dlcat.train.loop import fit, outputs_of
from dlcat.train.material import Material
from dlcat.train.splits import Splits, splits_of
from dlcat.workspace import Workspace

BASE = ("train.precision=fp32", "train.batch_size=30", "train.epochs=2", "schedule=constant", "baseline=none")
SMALL = "model={name: convnet, widths: [4], blocks: 1, norm: none}"
COUNT = 103
"""No number of processes divides it."""


class StopAfter(Event):
    """Set after so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def is_set(self) -> bool:
        self.left -= 1
        return self.left <= 0 or super().is_set()


def place(cache: str) -> Workspace:
    return Workspace(
        locations.Locations(
            catalogs=(locations.shipped("catalog.yaml"),),
            recipes=(locations.shipped("recipes"),),
            cache=Path(cache),
            runs=Path("runs"),
        )
    )


def made_up(count: int) -> Examples:
    random = np.random.default_rng(0)
    targets = random.integers(0, 10, count)
    noise = random.integers(0, 5, (count, 1, 8, 8))
    inputs = (random.integers(0, 13, (10, 1, 8, 8))[targets] + noise).astype(np.uint8)
    return Examples(inputs, targets, tuple("0123456789"))


def built(world: World, cache: str, *overrides: str, count: int = COUNT) -> tuple[Experiment, Splits]:
    recipe = place(cache).recipe("digits_quickstart", (*BASE, SMALL, *overrides))
    examples = made_up(count)
    chosen = devices.choose("cpu", recipe.train.precision, recipe.train.layout, recipe.model.norm.name)
    splits = splits_of(recipe, Material(examples, test=examples), chosen)
    return (
        experiment.build(recipe, input_shape=(1, 8, 8), classes=examples.classes, device=chosen, world=world),
        splits,
    )


def weights_of(model: torch.nn.Module) -> torch.Tensor:
    whole = [each.full_tensor() if hasattr(each, "full_tensor") else each for each in model.parameters()]
    return torch.cat([each.detach().flatten().double() for each in whole])


def trained(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """The weights after every step as hashes, and what came out."""
    one, splits = built(world, given["cache"], *given["overrides"], count=given.get("count", COUNT))
    hashes: list[str] = []

    def note(*_: Any) -> None:
        hashes.append(hashlib.sha256(weights_of(one.model).numpy().tobytes()).hexdigest())

    one.optimizer.register_step_post_hook(note)
    epochs = list(fit(Course.begin(one), splits.train, splits.validation))
    return {
        "hashes": hashes,
        "weights": weights_of(one.model),
        "losses": [epoch.train.loss for epoch in epochs],
        "looks": [epoch.validation.loss for epoch in epochs if epoch.validation],
        "outputs": outputs_of(one, splits.test),
        "own": sum(len(getattr(each, "_local_tensor", each).flatten()) for each in one.model.parameters()),
        "averages": [each.double() for each in one.model.buffers()],
    }


def each_optimizer(world: World, given: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name in optimizers:
        chosen = f"{{name: {name}, lr: 0.01}}" if optimizers.options(name)["lr"].required else name
        found[name] = trained(world, given | {"overrides": (*given["overrides"], f"optimizer={chosen}")})
    return found


def each_of(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """One training after another, by name."""
    return {name: trained(world, given | {"overrides": each}) for name, each in given["trainings"].items()}


class Forked(torch.nn.Module):
    """A layer that nobody uses, one that only the first process uses, and weights of two kinds of number."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rank = rank
        self.first, self.second = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2).double()
        self.never, self.sometimes = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = self.first(inputs).relu()
        hidden = hidden + self.sometimes(hidden) if self.rank == 0 else hidden
        return self.second(hidden.double())


def gradient_sums(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Our sums in small buckets, in two passes, and what each process has itself."""
    gradients.BUCKET_BYTES = given["bucket_bytes"]
    inputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(world.rank))
    alone, shared = Forked(world.rank), Forked(world.rank)
    alone(inputs).sum().backward()
    total = gradients.GradientSum(world, shared.parameters())
    total.expect(2)
    for piece in inputs.chunk(2):
        shared(piece).sum().backward()
    total.finish()
    once = {name: each.grad for name, each in shared.named_parameters() if each.grad is not None}
    return {"own": {name: each.grad for name, each in alone.named_parameters() if each.grad is not None}, "sum": once}


def torchs_own(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """The gradients of torch's DistributedDataParallel for a step of the experiment, and ours."""
    one, splits = built(world, given["cache"], *given["overrides"])
    batch = next(splits.train.shuffled(30, torch.Generator().manual_seed(0), lambda inputs, _: inputs, world=world))
    ((inputs, targets),) = batch.pieces(30)
    twin, _ = built(world, given["cache"], *given["overrides"])
    wrapped = torch.nn.parallel.DistributedDataParallel(twin.model)
    twin.task.loss(wrapped(inputs), targets).backward()
    total = gradients.GradientSum(world, one.model.parameters())
    total.expect(1)
    (one.task.loss(one.model(inputs), targets) * len(targets) / len(batch)).backward()
    total.finish()
    return {
        "torch": [each.grad for each in twin.model.parameters()],
        "ours": [each.grad for each in one.model.parameters()],
    }


def whole_runs(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """A training of the whole session, stopped after some steps, or by what went wrong."""
    here = place(given["cache"])
    recipe = here.recipe("digits_quickstart", (*BASE, SMALL, *given["overrides"]))
    stop = StopAfter(given["stop_after"][world.rank]) if given.get("stop_after") else None
    resume = here.latest(recipe, Path(given["folder"])) if given.get("resume") and world.is_first else None
    events: list[Any] = []
    try:
        for event in here.train(
            recipe, here.cost(recipe), device="cpu", folder=Path(given["folder"]), resume=resume, stop=stop, world=world
        ):
            events.append(event)
    except Exception as error:  # its kind and words are the answer
        return {"error": f"{type(error).__name__}: {error}", "events": len(events)}
    remarks = list(events[0].remarks) if events else []
    return {"events": [type(event).__name__ for event in events], "remarks": remarks}


def without_divisible(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """What stands against each way to divide."""
    found = {}
    for name, overrides in given["trainings"].items():
        one, splits = built(replace(world, rank=0, size=given["size_of_world"]), given["cache"], *overrides)
        try:
            experiment.require_shares(one, one.batch_size(len(splits.train)))
            found[name] = ""
        except Exception as error:
            found[name] = str(error)
    return found


def main(order: str, given: dict[str, Any], answer: str) -> None:
    torch.set_num_threads(1)
    with joined(shard=given.get("shard", False)) as world:
        torch.save(globals()[order](world, given), answer)


if __name__ == "__rank__":
    os.environ.update(globals()["VARIABLES"])
    main(*globals()["ORDER"])
