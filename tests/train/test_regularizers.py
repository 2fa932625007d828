"""Regularizers are their papers' formulas, need no targets, and leave running averages alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dlcat.errors import InvalidError
from dlcat.readers import Examples
from dlcat.train import experiment
from dlcat.train.batches import Batch
from dlcat.train.device import Device
from dlcat.train.experiment import Experiment
from dlcat.train.material import Material
from dlcat.train.regularizers import regularizer
from dlcat.train.splits import splits_of
from dlcat.train.steps import gradient, stepper
from dlcat.workspace import Workspace


def _linear(classes: int = 4, numbers: int = 12) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(numbers, classes)).double()


def _inputs(count: int = 5) -> Tensor:
    return torch.randn(count, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def _divergence(one: Tensor, other: Tensor) -> Tensor:
    return (one.softmax(1) * (one.log_softmax(1) - other.log_softmax(1))).sum(1)


def _curvature(network: nn.Module, example: Tensor) -> Tensor:
    """The second derivatives of the divergence between what is said of an example and of its neighbours, (D, D)."""
    said = network(example[None]).detach()
    return torch.autograd.functional.hessian(
        lambda away: _divergence(said, network((example + away.view_as(example))[None])).sum(),
        torch.zeros(example.numel(), dtype=torch.float64),
    )


def test_the_direction_is_that_of_the_largest_curvature() -> None:
    network, inputs = _linear(), _inputs()
    seen: list[Tensor] = []

    def say(shown: Tensor) -> Tensor:
        seen.append(shown.detach())
        outputs: Tensor = network(shown)
        return outputs

    outputs = network(inputs)
    term = regularizer["vat"](say, inputs, outputs, epsilon=0.7, probe=1e-4, iterations=40)
    away = (seen[-1] - inputs).flatten(1)
    torch.testing.assert_close(away.norm(dim=1), torch.full((5,), 0.7, dtype=torch.float64))
    for example, direction in zip(inputs, away, strict=True):
        steepest = torch.linalg.eigh(_curvature(network, example))[1][:, -1]
        assert abs(direction @ steepest).item() / 0.7 == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(term, _divergence(outputs, network(seen[-1])).mean())
    assert len(seen) == 41


def test_one_iteration_finds_more_than_chance_does() -> None:
    network, inputs = _linear(), _inputs(50)
    outputs = network(inputs)
    found = regularizer["vat"](network, inputs, outputs, epsilon=0.5)
    random = torch.randn_like(inputs)
    random *= 0.5 / random.flatten(1).norm(dim=1).view(-1, 1, 1)
    assert found > 2 * _divergence(outputs, network(inputs + random)).mean()


def test_what_was_said_is_a_constant_and_the_direction_too() -> None:
    network, inputs = _linear(), _inputs()
    shown: list[Tensor] = []

    def say(each: Tensor) -> Tensor:
        shown.append(each)
        outputs: Tensor = network(each)
        return outputs

    outputs = network(inputs)
    term = regularizer["vat"](say, inputs, outputs, weight=3.0)
    expected = 3 * _divergence(outputs.detach(), network(shown[-1].detach())).mean()
    weights = list(network.parameters())
    for one, other in zip(torch.autograd.grad(term, weights), torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(one, other)


def test_entropy_is_its_formula_and_may_be_added() -> None:
    network, inputs = _linear(), _inputs()
    outputs = network(inputs)
    expected = torch.distributions.Categorical(logits=outputs).entropy().mean()
    torch.testing.assert_close(regularizer["entropy"](network, inputs, outputs, weight=0.5), 0.5 * expected)
    torch.manual_seed(0)
    alone = regularizer["vat"](network, inputs, outputs)
    torch.manual_seed(0)
    torch.testing.assert_close(regularizer["vat"](network, inputs, outputs, entropy=2.0), alone + 2 * expected)


@pytest.mark.parametrize("name", list(regularizer))
def test_where_outputs_do_not_depend_on_inputs_there_is_nothing_to_smooth(name: str) -> None:
    inputs = _inputs()
    outputs = torch.zeros(5, 4, dtype=torch.float64, requires_grad=True)
    term = regularizer[name](lambda shown: outputs + 0 * shown.sum(), inputs, outputs)
    assert term.isfinite()


Prepare = Callable[..., tuple[Experiment, Batch]]


@pytest.fixture
def prepare(place: Workspace) -> Prepare:
    """prepare(*overrides): the digits recipe built for training, and its first batch."""

    def call(*overrides: str) -> tuple[Experiment, Batch]:
        recipe = place.recipe("digits_quickstart", ("augment=[]", "train.batch_size=60", *overrides))
        examples = place.examples(place.catalog["digits"], "train")
        assert isinstance(examples, Examples)
        device = experiment.device_for(recipe, "cpu")
        train = splits_of(recipe, Material(examples, test=examples), device).train
        shape = examples.inputs.shape[1:]
        built = experiment.build(recipe, input_shape=shape, classes=examples.classes, device=device)
        order, _ = built.generators()
        built.model.train()
        return built, next(iter(train.shuffled(60, order, lambda inputs, _: inputs)))

    return call


def _gradient(built: Experiment, batch: Batch) -> Tensor:
    torch.manual_seed(3)
    gradient(built, built.model, batch)
    found = torch.cat([weight.grad.flatten() for weight in built.model.parameters() if weight.grad is not None])
    built.optimizer.zero_grad(set_to_none=True)
    return found


LABELLED = ("train.labelled={examples: 50, share: 0.2}", "model.norm=none")


def test_running_averages_are_those_of_real_inputs(prepare: Prepare) -> None:
    buffers = []
    for choice in ("none", "vat"):
        built, batch = prepare(f"regularizer={choice}", "model.norm=batch")
        _gradient(built, batch)
        buffers.append([buffer.clone() for buffer in built.model.buffers()])
    assert buffers[0]
    assert all(torch.equal(one, other) for one, other in zip(*buffers, strict=True))


def test_the_term_changes_the_gradient_and_the_seed_decides_how(prepare: Prepare) -> None:
    plain, *regular = [_gradient(*prepare(f"regularizer={choice}")) for choice in ("none", "vat", "vat")]
    assert torch.equal(*regular)
    assert not torch.allclose(plain, regular[0])


def test_examples_with_labels_stand_for_the_batch_whatever_its_pieces(prepare: Prepare) -> None:
    built, batch = prepare(*LABELLED)
    inputs, targets = next(batch.pieces(60))
    known = targets >= 0
    assert known.sum() == 12
    built.task.loss(built.model(inputs)[known], targets[known]).backward()
    expected = torch.cat([weight.grad.flatten() for weight in built.model.parameters() if weight.grad is not None])
    for size in (60, 25, 7, 3):
        pieces, batch = prepare(*LABELLED, f"train.micro_batch_size={size}")
        torch.testing.assert_close(_gradient(pieces, batch), expected)


@pytest.mark.parametrize("size", [60, 25, 3])
def test_the_loss_and_accuracy_of_a_step_are_those_of_the_examples_with_labels(prepare: Prepare, size: int) -> None:
    built, batch = prepare(*LABELLED, f"train.micro_batch_size={size}")
    inputs, targets = next(batch.pieces(60))
    known = targets >= 0
    with torch.no_grad():
        outputs = built.model(inputs)[known]
    taken = stepper(built, torch.Generator())(batch, 0.0)
    assert taken.hits.item() / 60 == pytest.approx((outputs.argmax(1) == targets[known]).double().mean().item())
    assert taken.loss_sum.item() / 60 == pytest.approx(built.task.loss(outputs, targets[known]).item(), rel=1e-5)


def test_it_is_refused_where_numbers_are_too_coarse_or_targets_no_classes(place: Workspace) -> None:
    def build(device: Device, *overrides: str) -> Experiment:
        recipe = place.recipe("digits_quickstart", ("regularizer=vat", *overrides))
        return experiment.build(recipe, input_shape=(1, 8, 8), classes=list("0123456789"), device=device)

    recipe = place.recipe("digits_quickstart", ("regularizer=vat",))
    found = experiment.device_for(recipe, "cpu")
    assert found.precision == "fp32"
    with pytest.raises(InvalidError, match=r"train\.precision: vat compares .* in bf16 they are equal; expected fp32"):
        build(experiment.device_for(place.recipe("digits_quickstart", ("train.precision=bf16",)), "cpu"))
    with pytest.raises(
        InvalidError, match=r"regularizer: vat goes by probabilities of classes.*multilabel expected none"
    ):
        build(found, "task=multilabel")
