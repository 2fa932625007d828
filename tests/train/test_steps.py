"""A step sees its batch whole or in pieces, once or as often as the optimizer asks, and always the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dlcat.errors import InvalidError
from dlcat.optim.closure import Closure, needs_closure
from dlcat.optim.optimizers import optimizer as optimizers
from dlcat.readers import Examples
from dlcat.train import device as devices
from dlcat.train import experiment
from dlcat.train.averages import settle_averages
from dlcat.train.course import Course
from dlcat.train.experiment import Experiment
from dlcat.train.loop import Epoch, fit
from dlcat.train.material import Material
from dlcat.train.splits import Splits, splits_of
from dlcat.workspace import Workspace

PLAIN = ("model.norm=none", "augment=[]", "optimizer={name: sgd, lr: 0.02}", "schedule=constant", "train.validation=0")
MOVING = (
    "augment=[{name: crop, padding: 1}]",
    "model={name: convnet, widths: [8], blocks: 1, dropout: 0.5, norm: none}",
)
Built = tuple[Experiment, Splits]


@pytest.fixture
def build(place: Workspace) -> Callable[..., Built]:
    """build(*overrides): an experiment on 96 noisy copies of ten pictures, and its splits."""

    def call(*overrides: str, device: str = "cpu") -> Built:
        recipe = place.recipe("digits_quickstart", ("train.precision=fp32", "train.batch_size=32", *overrides))
        random = np.random.default_rng(0)
        targets = random.integers(0, 10, 96)
        inputs = (random.integers(0, 13, (10, 1, 8, 8))[targets] + random.integers(0, 5, (96, 1, 8, 8))).astype(
            np.uint8
        )
        examples = Examples(inputs, targets, tuple("0123456789"))
        chosen = devices.choose(device, recipe.train.precision, recipe.train.layout, recipe.model.norm.name)
        splits = splits_of(recipe, Material(examples, test=examples), chosen)
        return experiment.build(recipe, input_shape=(1, 8, 8), classes=examples.classes, device=chosen), splits

    return call


def _chosen(name: str) -> str:
    """The optimizer with its own rate, or with one where it has none."""
    return f"optimizer={{name: {name}, lr: 0.05}}" if optimizers.options(name)["lr"].required else f"optimizer={name}"


def _epochs(built: Built) -> list[Epoch]:
    return list(fit(Course.begin(built[0]), built[1].train, built[1].validation))


def _weights(built: Built) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in built[0].model.parameters()])


@pytest.mark.parametrize("pieces", [(), ("train.micro_batch_size=16",)])
def test_a_gradient_that_is_too_long_is_shortened(build: Callable[..., Built], pieces: tuple[str, ...]) -> None:
    once = (*PLAIN, "train.batch_size=96", "train.epochs=1", *pieces)
    free, loose, tight = build(*once), build(*once, "train.clip_norm=1.0e+6"), build(*once, "train.clip_norm=0.25")
    before = _weights(free)
    for built in (free, loose, tight):
        _epochs(built)
    whole, moved = _weights(free) - before, _weights(tight) - before
    assert torch.equal(_weights(loose), _weights(free))
    assert float(moved.norm()) == pytest.approx(0.02 * 0.25, rel=1e-3)  # the rate times the length
    torch.testing.assert_close(moved / moved.norm(), whole / whole.norm(), rtol=1e-3, atol=1e-4)


def test_an_optimizer_that_searches_is_not_clipped(build: Callable[..., Built]) -> None:
    with pytest.raises(InvalidError, match=r"train\.clip_norm: lbfgs takes its own length"):
        build("optimizer=lbfgs", "schedule=constant", "train.clip_norm=1.0")


@pytest.mark.parametrize("size", [1, 5, 16, 31])
def test_a_batch_in_pieces_moves_the_weights_as_the_whole_does(build: Callable[..., Built], size: int) -> None:
    whole, pieces = build(*PLAIN, "train.epochs=1"), build(*PLAIN, "train.epochs=1", f"train.micro_batch_size={size}")
    before = _weights(whole)
    (one,), (other,) = _epochs(whole), _epochs(pieces)
    assert not torch.equal(before, _weights(whole))
    torch.testing.assert_close(_weights(whole), _weights(pieces), rtol=1e-4, atol=1e-6)
    assert one.train.loss == pytest.approx(other.train.loss, rel=1e-5)
    assert one.train.value == other.train.value


def test_a_full_batch_is_one_step_an_epoch(build: Callable[..., Built]) -> None:
    epochs = _epochs(build(*PLAIN, "train.batch_size=full", "train.epochs=3", "train.micro_batch_size=40"))
    assert [epoch.gradient_passes for epoch in epochs] == [1, 2, 3]
    assert epochs[0].train.loss > epochs[1].train.loss > epochs[2].train.loss


def test_a_gradient_of_a_batch_counts_as_its_share_of_the_split(build: Callable[..., Built]) -> None:
    epochs = _epochs(build(*PLAIN, "train.batch_size=36", "train.epochs=2"))  # 2 full batches of 36 in 96
    assert [epoch.gradient_passes for epoch in epochs] == pytest.approx([72 / 96, 2 * 72 / 96])


class Curious(torch.optim.SGD):
    """Asks for the loss three times, and for a product with the Hessian, before it moves."""

    needs_closure = True
    gradient_evaluations = 0

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__(model.parameters(), lr=0.1)
        self.heard: list[tuple[float, torch.Tensor]] = []

    def step(self, closure: Closure) -> torch.Tensor:  # type: ignore[override]
        parameters = self.param_groups[0]["params"]
        for _ in range(3):
            loss = closure()
            self.heard.append((float(loss), torch.cat([each.grad.flatten() for each in parameters])))
        closure.hessian_product(parameters, parameters)
        self.gradient_evaluations += 6
        super().step()
        return loss


@pytest.mark.parametrize("mix", ["mix=[]", "mix=[mixup, cutmix]"])
def test_while_a_step_lasts_nothing_changes_but_the_weights(build: Callable[..., Built], mix: str) -> None:
    built, splits = build(*PLAIN[2:], *MOVING, mix, "train.micro_batch_size=12", "train.epochs=2")
    curious = Curious(built.model)
    epochs = _epochs((replace(built, optimizer=curious, base_rates=(0.02,)), splits))
    steps = [curious.heard[start : start + 3] for start in range(0, len(curious.heard), 3)]
    assert len(steps) == 6
    for step in steps:
        assert step[0][0] == step[1][0] == step[2][0]
        assert torch.equal(step[0][1], step[2][1])
    assert len({step[0][0] for step in steps}) == 6
    assert epochs[0].train.loss == pytest.approx(np.mean([step[0][0] for step in steps[:3]]), rel=1e-5)
    assert [epoch.gradient_passes for epoch in epochs] == [6, 12]


def test_augmentation_and_dropout_are_drawn_anew_for_each_step(build: Callable[..., Built]) -> None:
    built, splits = build(
        *PLAIN[3:], *MOVING, "train.batch_size=full", "train.epochs=2", "optimizer={name: sgd, lr: 1e-30}"
    )
    curious = Curious(built.model)
    curious.param_groups[0]["lr"] = 0.0
    _epochs((replace(built, optimizer=curious, base_rates=(0.0,)), splits))
    assert curious.heard[0][0] != curious.heard[3][0]


SEARCHING = ("gradient_descent", "conjugate_gradient", "lbfgs", "newton_cg")


@pytest.mark.parametrize("name", SEARCHING)
def test_optimizers_that_search_train_on_the_full_batch(build: Callable[..., Built], name: str) -> None:
    built = build(*PLAIN, _chosen(name), "train.batch_size=full", "train.epochs=6", "train.micro_batch_size=50")
    epochs = _epochs(built)
    assert epochs[-1].train.loss < 0.9 * epochs[0].train.loss
    assert epochs[-1].gradient_passes >= 6


@pytest.mark.parametrize("name", sorted(optimizers))
def test_every_optimizer_trains_in_pieces_and_repeats_itself_to_the_bit(build: Callable[..., Built], name: str) -> None:
    options = (
        "model.norm=batch",
        _chosen(name),
        "schedule=constant",
        "train.epochs=2",
        "train.micro_batch_size=16",
    )
    first, second = build(*options), build(*options)
    before = _weights(first)
    assert [_score(epoch) for epoch in _epochs(first)] == [_score(epoch) for epoch in _epochs(second)]
    assert torch.equal(_weights(first), _weights(second))
    assert not torch.equal(_weights(first), before)


def _score(epoch: Epoch) -> dict[str, Any]:
    return {key: value for key, value in epoch.plain().items() if key not in ("seconds", "examples_per_second")}


@pytest.mark.parametrize("name", SEARCHING)
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_few_digits_are_refused_where_losses_are_compared(
    build: Callable[..., Built], place: Workspace, name: str, precision: str
) -> None:
    recipe = place.recipe("digits_quickstart", (_chosen(name),))
    chosen = replace(devices.choose("cpu", "fp32", "auto", "batch"), precision=precision)
    with pytest.raises(InvalidError, match=f"precision: {name} compares losses along a line, and in {precision}"):
        experiment.build(recipe, input_shape=(1, 8, 8), classes=list("0123456789"), device=chosen)
    assert needs_closure(build(_chosen(name))[0].optimizer)
    assert experiment.searches(recipe)
    assert not experiment.searches(place.recipe("digits_quickstart"))
    assert devices.choose("cpu", "auto", "auto", "batch", searches=True).precision == "fp32"


@pytest.mark.parametrize("optimizer", ["{name: schedule_free, lr: 0.05}", "{name: lbfgs, iterations: 3}"])
@pytest.mark.parametrize("norm", ["batch", "batch_renorm", "switchable"])
def test_running_averages_are_of_the_weights_that_are_evaluated(
    build: Callable[..., Built], optimizer: str, norm: str
) -> None:
    built, splits = build(
        f"model={{name: convnet, norm: {norm}}}", f"optimizer={optimizer}", "augment=[]", "train.batch_size=full"
    )
    first: Any = next(module for module in built.model.modules() if hasattr(module, "running_mean"))
    first.running_mean.fill_(torch.inf)  # what a step far along a line may leave
    momentum = first.momentum
    before = {name: own.clone() for name, own in first.named_buffers() if not name.startswith("running_")}
    settle_averages(built, splits.train)
    seen: list[torch.Tensor] = []
    handle = first.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        built.model.eval()(torch.cat([each for each, _ in splits.train.in_order()]))
    handle.remove()
    torch.testing.assert_close(first.running_mean, seen[0].mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
    assert first.momentum == momentum
    assert all(torch.equal(own, before[name]) for name, own in first.named_buffers() if name in before)


@pytest.mark.parametrize(("batch_size", "micro"), [(33, 32), (5, 4), (3, 3)])
def test_no_piece_is_left_with_one_example_where_it_could_have_two(
    build: Callable[..., Built], batch_size: int, micro: int
) -> None:
    built, splits = build(f"train.batch_size={batch_size}", f"train.micro_batch_size={micro}", "model.norm=batch")
    batch = next(splits.train.shuffled(batch_size, torch.Generator().manual_seed(0), lambda inputs, _: inputs))
    sizes = [len(targets) for _, targets in batch.pieces(built.piece_size(batch_size))]
    assert sum(sizes) == batch_size
    assert 2 <= min(sizes) <= max(sizes) <= micro


def test_a_schedule_that_watches_falls_when_validation_stops_falling(build: Callable[..., Built]) -> None:
    still = (
        "optimizer={name: sgd, lr: 1.0e-9}",
        "train.validation=0.3",
        "train.epochs=6",
        "model.norm=none",
        "augment=[]",
    )
    epochs = _epochs(build(*still, "schedule={name: plateau, patience: 1, factor: 0.5}"))
    rates = [epoch.learning_rate / 1e-9 for epoch in epochs]
    assert rates == pytest.approx(
        [1, 1, 1, 0.5, 0.5, 0.25]
    )  # the first look sets the mark, two more are out of patience
