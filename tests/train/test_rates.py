"""The range test: which rates it tries, what it says of them, and that it leaves nothing behind."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlcat.errors import InvalidError
from dlcat.optim.closure import needs_closure
from dlcat.optim.optimizers import optimizer
from dlcat.train.rates import Probe, found, range_test, ready
from dlcat.workspace import Workspace

SMALL = ("model.widths=[4, 8]", "train.precision=fp32", "train.batch_size=64")
Try = Callable[..., list[Probe]]


@pytest.fixture
def probe(place: Workspace) -> Try:
    """probe(*overrides, steps=...): the probes of a range test on digits."""

    def call(*overrides: str, **rates: Any) -> list[Probe]:
        return list(place.range_test(place.recipe("digits_quickstart", (*SMALL, *overrides)), device="cpu", **rates))

    return call


def _with_rate(name: str) -> str:
    return f"optimizer={{name: {name}, lr: 0.01}}" if optimizer.options(name)["lr"].required else f"optimizer={name}"


def test_rates_grow_by_the_same_factor_from_first_to_last(probe: Try) -> None:
    rates = [each.rate for each in probe(steps=5, lowest=1e-6, highest=1e-2)]
    assert rates == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3, 1e-2])


def test_the_same_recipe_gives_the_same_losses_to_the_bit(probe: Try) -> None:
    crop = "augment=[{name: crop, padding: 1}]"
    assert probe(crop, steps=30) == probe(crop, steps=30)
    assert probe(crop, "train.seed=1", steps=30) != probe(crop, steps=30)


@pytest.mark.parametrize("name", list(optimizer))
def test_every_optimizer_that_follows_gradients_is_tested_and_others_are_refused(
    name: str, probe: Try, place: Workspace
) -> None:
    try:
        probes = probe(_with_rate(name), "train.batch_size=full", "schedule=constant", steps=4, highest=1e-3)
    except InvalidError as error:
        assert f"{name} finds the length of each step by a search" in error.message  # noqa: PT017
        assert name in {"gradient_descent", "conjugate_gradient", "lbfgs", "newton_cg"}
    else:
        assert all(math.isfinite(each.loss) for each in probes)
        assert len(probes) == 4


def test_the_rates_of_groups_keep_their_ratio(place: Workspace) -> None:
    recipe = place.recipe("digits_quickstart", SMALL)
    built, train = ready(recipe, place.material(recipe), "cpu")
    built = type(built)(**{each: getattr(built, each) for each in built.__slots__} | {"base_rates": (0.1, 0.3)})
    assert not needs_closure(built.optimizer)
    next(range_test(built, train, steps=10, lowest=0.01))
    assert [group["lr"] for group in built.optimizer.param_groups] == pytest.approx([0.01, 0.03])


def test_it_ends_where_the_loss_bursts(probe: Try) -> None:
    probes = probe("optimizer={name: sgd, lr: 0.1}", "model.norm=none", steps=120, highest=1e4)
    assert 40 < len(probes) < 120
    assert probes[-1].rate < 1e4


def test_the_rate_it_finds_is_a_good_one(probe: Try, place: Workspace) -> None:
    said = found(probe("optimizer={name: sgd, lr: 1.0e-5, momentum: 0.9}", steps=150), 150)
    assert said.steepest is not None
    assert said.tenth == said.lowest / 10
    assert 1e-4 < said.steepest < said.lowest < 10


def _curve(loss: Callable[[float], float], steps: int = 101) -> list[Probe]:
    """Probes from 1e-6 to 1 with a loss that depends on the power of ten."""
    return [Probe(10 ** (6 * at / (steps - 1) - 6), loss(6 * at / (steps - 1) - 6)) for at in range(steps)]


def test_of_a_known_curve_the_steepest_and_the_lowest_are_found() -> None:
    # Falls from 2.3 to 0.3 around 1e-3, and rises again from 1e-1 on.
    said = found(_curve(lambda power: 1.3 - math.tanh(2 * (power + 3)) + 40 * max(0.0, power + 1) ** 2), 101)
    assert said.steepest is not None
    assert math.log10(said.steepest) == pytest.approx(-3, abs=0.13)
    assert math.log10(said.lowest) == pytest.approx(-1.2, abs=0.3)


@pytest.mark.parametrize("loss", [lambda power: 2.3, lambda power: 2.3 + max(0.0, power + 2) ** 2])
def test_where_the_loss_never_falls_nothing_is_suggested(loss: Callable[[float], float]) -> None:
    said = found(_curve(loss), 101)
    assert (said.steepest, said.tenth) == (None, None)


def test_a_loss_that_is_no_number_from_the_beginning_is_an_error(probe: Try) -> None:
    probes = probe("optimizer={name: sgd, lr: 0.1}", "model.norm=none", steps=20, lowest=1e20, highest=1e30)
    with pytest.raises(InvalidError, match="left the finite numbers at once"):
        found(probes, 20)


def test_the_command_suggests_writes_a_page_and_leaves_no_run(
    command: Callable[..., Any], place: Workspace, tmp_path: Path
) -> None:
    sets = [word for each in SMALL for word in ("--set", each)]
    asked = ("lr", "digits_quickstart", "--steps", "60", "--device", "cpu", *sets)
    answer = command(*asked, "--html", tmp_path / "lr.html", "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert len(told["probes"]) == len(told["losses"]) <= 60
    page = (tmp_path / "lr.html").read_text()
    assert f"--set optimizer.lr={told['steepest']:.2g}" in page
    assert "<svg" in page
    assert ">0.001<" in page.replace(" ", "")  # the rate as people write it, on the axis
    assert "suggested" not in page
    text = command(*asked)
    assert f"--set optimizer.lr={told['steepest']:.2g}" in text.out
    assert text.out.count("*") > 20
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("words", [("--from", "1", "--to", "0.1"), ("--from", "0"), ("--steps", "3")])
def test_rates_that_make_no_sense_are_a_usage_error(command: Callable[..., Any], words: tuple[str, ...]) -> None:
    assert command("lr", "digits_quickstart", *words).code == 2


def test_an_optimizer_that_searches_is_refused_with_its_line(command: Callable[..., Any], place: Workspace) -> None:
    answer = command("lr", "digits_quickstart", "--set", "optimizer=lbfgs", "--set", "train.batch_size=full")
    assert answer.code == 3
    assert "--set optimizer: optimizer: lbfgs finds the length of each step" in answer.err
