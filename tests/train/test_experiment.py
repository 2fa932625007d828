"""A recipe becomes built things: names checked, options written out, first weights drawn by the seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from dlcat.errors import InvalidError
from dlcat.layers.algorithms.network import used
from dlcat.layers.whitening import Whitening
from dlcat.recipe import PARTS, Recipe
from dlcat.registry import Choice
from dlcat.train import device as devices
from dlcat.train import experiment, families
from dlcat.train.batches import Batches, InputStatistics
from dlcat.train.experiment import Experiment
from dlcat.train.families import FAMILIES
from dlcat.workspace import Workspace

MOVES = (((1, 0), slice(0, 8)), ((0, 1), slice(1, 9)))
"""How images are framed and cut, so that what was in the corner moves down and right, and up and left."""
CPU = devices.choose("cpu", "fp32", "auto", "batch")


@pytest.fixture
def build(place: Workspace) -> Callable[..., Experiment]:
    """build(*overrides): the digits recipe, built."""

    def call(*overrides: str) -> Experiment:
        recipe = place.recipe("digits_quickstart", overrides)
        return experiment.build(recipe, input_shape=(1, 8, 8), classes=list("0123456789"), device=CPU)

    return call


def _weights(built: Experiment) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in built.model.parameters()]


def test_every_name_that_a_recipe_may_hold_is_looked_up(place: Workspace) -> None:
    wrong = {"name": "nope", "options": {}}
    raw = {
        "dataset": wrong,
        "inputs": wrong,
        "task": wrong,
        "model": {**wrong, **dict.fromkeys(PARTS, wrong)},
        "augment": [wrong],
        "mix": [wrong],
        "optimizer": wrong,
        "schedule": wrong,
        "baseline": wrong,
        "regularizer": wrong,
    }
    places = [where for where, _ in families.check(place.catalog, raw)]
    choices = [
        ("inputs",),
        ("task",),
        ("model",),
        ("optimizer",),
        ("schedule",),
        ("augment", 0),
        ("mix", 0),
        ("baseline",),
        ("regularizer",),
    ]
    choices += [("model", part) for part in PARTS]
    assert sorted(map(str, places)) == sorted(map(str, [("dataset",), *[(*where, "name") for where in choices]]))
    assert len(choices) == len(FAMILIES)


@pytest.mark.parametrize("raw", [{}, {"model": 3}, {"augment": {"a": 1}}, {"augment": [3]}, {"task": {"name": 3}}])
def test_what_is_not_well_formed_is_left_to_the_schema(place: Workspace, raw: dict[str, object]) -> None:
    assert families.check(place.catalog, raw) == []


def test_resolving_writes_every_option_out_and_changes_nothing_twice(place: Workspace) -> None:
    recipe = place.recipe("digits_quickstart")
    resolved = families.resolve(recipe)
    assert families.resolve(resolved) == resolved
    pairs = [(FAMILIES["optimizer"], resolved.optimizer), (FAMILIES["schedule"], resolved.schedule)]
    pairs += [(FAMILIES[part], getattr(resolved.model, part)) for part in PARTS]
    pairs += [(FAMILIES["model"], Choice(name=resolved.model.name, options=resolved.model.options))]
    for family, choice in pairs:
        assert choice.options.keys() == family.options(choice.name).keys()
        assert family.check(choice)[1] == []


def test_the_seed_decides_the_first_weights(build: Callable[..., Experiment]) -> None:
    torch.manual_seed(5)  # what was drawn before does not matter
    first = _weights(build())
    torch.rand(3)
    second, other = _weights(build()), _weights(build("train.seed=1"))
    assert all(map(torch.equal, first, second))
    assert not all(map(torch.equal, first, other))


def test_an_algorithm_computes_every_convolution_and_leaves_names_and_first_weights(
    build: Callable[..., Experiment],
) -> None:
    plain, other = build().model, build("model.algorithm=im2col").model
    assert [name for name, _ in other.named_parameters()] == [name for name, _ in plain.named_parameters()]
    inputs = torch.rand(4, 1, 8, 8)
    assert {one.algorithm for one in used(other, inputs)} == {"im2col"}
    torch.testing.assert_close(other.eval()(inputs), plain.eval()(inputs))


def test_an_algorithm_that_cannot_is_the_recipes_fault_and_the_way_out_works(build: Callable[..., Experiment]) -> None:
    change = "model={name: lenet}", "model.algorithm=winograd"
    with pytest.raises(
        InvalidError, match=r"model\.algorithm: winograd cannot compute layer .*5 x 5.*otherwise: native"
    ):
        build(*change)
    left = build(*change, "model.algorithm.otherwise=native").model
    assert "native" in {one.algorithm for one in used(left, torch.rand(2, 1, 8, 8))}


def test_a_schedule_moves_every_group_from_its_own_rate(build: Callable[..., Experiment]) -> None:
    built = build("optimizer={name: sgd, lr: 0.5}", "schedule={name: cosine, warmup: 0.0, final: 0.0}")
    assert built.set_rate(0.0) == pytest.approx(0.5)
    assert built.set_rate(0.5) == pytest.approx(0.25)
    assert [group["lr"] for group in built.optimizer.param_groups] == pytest.approx(
        [rate / 2 for rate in built.base_rates]
    )


def test_the_sources_of_randomness_are_apart_and_repeatable(build: Callable[..., Experiment]) -> None:
    built = build()
    draws = [torch.rand(4, generator=generator).tolist() for _ in range(2) for generator in built.generators()]
    assert draws[:2] == draws[2:]
    assert draws[0] != draws[1]


def test_augmentations_apply_in_their_order(build: Callable[..., Experiment]) -> None:
    images = torch.arange(128, dtype=torch.uint8).view(2, 1, 8, 8)

    def augmented(recipe: str) -> torch.Tensor:
        return build(recipe).augment(images, torch.arange(2), epoch=1, generator=torch.Generator())

    assert augmented("augment=[]") is images
    assert augmented("augment=[{name: flip, probability: 1.0}, {name: flip, probability: 1.0}]").equal(images)
    assert augmented("augment=[{name: flip, probability: 1.0}]").equal(images.flip(3))


@pytest.mark.parametrize("shape", [(20,), (3, 20)])
@pytest.mark.parametrize("key", ["augment=[flip]", "augment=[crop]", "mix=[cutmix]"])
def test_what_changes_images_is_refused_for_other_inputs(place: Workspace, shape: tuple[int, ...], key: str) -> None:
    recipe = place.recipe("digits_quickstart", ("augment=[]", key))
    with pytest.raises(InvalidError, match=rf"{key.partition('=')[0]}\[0\]: .* takes images, C x H x W, found"):
        experiment.build_model(recipe, shape, 10)


def test_a_crop_that_the_images_are_too_small_for_is_refused_before_the_first_step(
    build: Callable[..., Experiment],
) -> None:
    with pytest.raises(InvalidError, match=r"augment\[0\]: reflect cannot fill a padding of 8 from images of 8 x 8"):
        build("augment=[{name: crop, padding: 8, mode: reflect}]")


def test_one_example_at_a_time_cannot_be_mixed(build: Callable[..., Experiment]) -> None:
    with pytest.raises(InvalidError, match=r"micro_batch_size: mix makes one example out of two"):
        build("mix=[mixup]", "model.norm=none", "train.batch_size=4", "train.micro_batch_size=1")


def test_images_are_small_until_the_share_of_the_run_that_the_recipe_says(build: Callable[..., Experiment]) -> None:
    images = torch.rand(2, 1, 8, 8)
    assert build().resize(images, 0.0) is images
    built = build("train.progressive_resize={size: 6, until: 0.4}")
    assert [built.resize(images, progress).shape[-1] for progress in (0.0, 0.39, 0.4, 1.0)] == [6, 6, 8, 8]


def test_small_images_are_checked_before_the_first_step(build: Callable[..., Experiment], place: Workspace) -> None:
    with pytest.raises(
        InvalidError,
        match=r"progressive_resize: expected a size below the images. shorter side, found 8 for inputs of 1 x 8 x 8",
    ):
        build("train.progressive_resize={size: 8}")
    fixed = place.recipe("mnist_lenet", ("train.progressive_resize={size: 20}",))
    with pytest.raises(InvalidError, match=r"'lenet' takes images of one size only"):
        experiment.build_model(fixed, (1, 28, 28), 10)


def test_mirror_images_are_averaged_where_the_recipe_says_so(build: Callable[..., Experiment]) -> None:
    images = torch.rand(3, 1, 8, 8)
    plain = build("augment=[flip]")
    averaged = build("augment=[flip]", "train.test_time_augment=flip")
    for built in (plain, averaged):
        built.model.eval()
    both = (plain.outputs(images) + plain.outputs(images.flip(-1))) / 2
    torch.testing.assert_close(averaged.outputs(images), both)
    assert not torch.equal(both, plain.outputs(images))


def test_images_moved_along_a_diagonal_are_averaged_too_where_it_says_so(build: Callable[..., Experiment]) -> None:
    images = torch.rand(3, 1, 8, 8)
    plain = build("augment=[flip]")
    averaged = build("augment=[flip]", "train.test_time_augment=flip_shift")
    for built in (plain, averaged):
        built.model.eval()
    moved = [
        torch.from_numpy(np.pad(images.numpy(), ((0, 0), (0, 0), before, before), "reflect"))[..., at, at]
        for before, at in MOVES
    ]
    every = [plain.outputs(view) for each in (images, *moved) for view in (each, each.flip(-1))]
    torch.testing.assert_close(averaged.outputs(images), torch.stack(every).mean(0))


@pytest.mark.parametrize("way", ["flip", "flip_shift"])
def test_mirror_images_that_training_never_shows_are_refused(build: Callable[..., Experiment], way: str) -> None:
    with pytest.raises(InvalidError, match=r"test_time_augment.*expected flip in augment"):
        build("augment=[]", f"train.test_time_augment={way}")


def test_a_layer_made_from_inputs_sees_the_first_training_examples(build: Callable[..., Experiment]) -> None:
    built = build("model={name: airbench, width: 0.25, whiten: true}")
    stored = torch.randint(0, 17, (1200, 1, 8, 8), dtype=torch.uint8)
    statistics = InputStatistics([5.0], [4.0], 16.0, 0.0, 1.0)
    experiment.make_from_inputs(built.model, Batches(stored, torch.zeros(1200, dtype=torch.int64), CPU, statistics))
    expected = Whitening(1)
    expected.make_from((stored[:1000].float() - 5) / 4)
    torch.testing.assert_close(built.model.get_submodule("0").weight, expected.weight)


def test_a_network_has_an_output_per_class(place: Workspace) -> None:
    recipe: Recipe = place.recipe("digits_quickstart")
    network = experiment.build_model(recipe, (1, 8, 8), 7).eval()
    assert network(torch.zeros(3, 1, 8, 8)).shape == (3, 7)
