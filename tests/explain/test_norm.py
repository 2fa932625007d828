"""Normalizations explained: laws of every member, and what is said of each kind."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from dlcat.errors import UsageError
from dlcat.explain import norm as explained
from dlcat.layers.norms import norm
from dlcat.registry import Choice

SHAPE = (64, 4, 4)
OWN, CHANNELS, EXAMPLES, OTHERS = range(4)


def _moved(facts: explained.NormFacts) -> tuple[int, ...]:
    return tuple(region.moving for region in facts.training.regions)


@pytest.fixture(scope="module")
def facts(explained: Any) -> dict[str, explained.NormFacts]:
    found: dict[str, Any] = explained("norm")
    return found


def _differences(name: str) -> list[bool]:
    """Per region of the batch, whether moving it by a little moves one output: found by differences, not by slopes."""
    module: nn.Module = norm.bind(Choice(name=name))(SHAPE[0]).double().train()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
        inputs = torch.randn(4, *SHAPE, generator=generator, dtype=torch.float64)
        inputs[0, 32, 0, 0] = 4.0
        masks = torch.zeros(4, *inputs.shape, dtype=torch.float64)
        masks[EXAMPLES, 1:, 32], masks[CHANNELS, 0] = 1, 1
        masks[OTHERS, 1:] = 1
        masks[OTHERS, :, 32] = masks[CHANNELS, :, 32] = 0
        masks[OWN, 0, 32] = 1
        masks[OWN, 0, 32, 0, 0] = 0
        noise = torch.randn(inputs.shape, generator=generator, dtype=torch.float64)
        before = deepcopy(module)(inputs)[0, 32, 0, 0]
        after = [deepcopy(module)(inputs + 0.1 * noise * mask)[0, 32, 0, 0] for mask in masks]
    return [abs(float(moved - before)) > 1e-12 for moved in after]


@pytest.mark.parametrize("name", list(norm))
def test_what_is_said_to_move_an_output_does(name: str, facts: dict[str, explained.NormFacts]) -> None:
    assert [moving > 0 for moving in _moved(facts[name])] == _differences(name)


@pytest.mark.parametrize("name", list(norm))
def test_the_drawing_shows_what_is_counted(name: str, facts: dict[str, explained.NormFacts]) -> None:
    for sources in (facts[name].training, facts[name].evaluation):
        signs = [[set(position) for position in example] for example in sources.maps]
        maps = sum("#" in sign for example in signs[1:] for sign in example)
        assert maps == sources.regions[EXAMPLES].moving + sources.regions[OTHERS].moving
        assert sources.maps[0][32][0] == "@"
        assert sources.maps[0][32].count("#") == sources.regions[OWN].moving
        assert sum(region.total for region in sources.regions) == 4 * 64 - 1 + 15


@pytest.mark.parametrize("name", list(norm))
def test_no_norm_looks_at_other_examples_in_evaluation(name: str, facts: dict[str, explained.NormFacts]) -> None:
    assert [facts[name].evaluation.regions[place].moving for place in (EXAMPLES, OTHERS)] == [0, 0]


@pytest.mark.parametrize(
    ("name", "moved"),
    [
        ("batch", (15, 0, 3, 0)),
        ("group", (15, 1, 0, 0)),
        ("layer", (15, 63, 0, 0)),
        ("instance", (15, 0, 0, 0)),
        ("switchable", (15, 63, 3, 0)),
        ("local_response", (0, 4, 0, 0)),
        ("none", (0, 0, 0, 0)),
    ],
)
def test_statistics_are_shared_over_the_axes_of_the_papers(
    name: str, moved: tuple[int, ...], facts: dict[str, explained.NormFacts]
) -> None:
    assert _moved(facts[name]) == moved


@pytest.mark.parametrize("name", list(norm))
def test_the_batch_moves_an_example_where_its_numbers_are_read(
    name: str, facts: dict[str, explained.NormFacts]
) -> None:
    spreads = [effect.spread for effect in facts[name].batches]
    distances = [effect.distance for effect in facts[name].batches]
    assert [effect.batch for effect in facts[name].batches] == [1, 2, 4, 8, 16, 32, 64]
    assert spreads[0] == pytest.approx(0, abs=1e-12)  # alone there is nothing that could differ
    if sum(_moved(facts[name])[EXAMPLES:]):
        assert spreads[1:] == sorted(spreads[1:], reverse=True)
        assert distances == sorted(distances, reverse=True)
        assert spreads[-1] > 1e-3
    else:
        assert spreads + distances == pytest.approx([0] * 14, abs=1e-12)


def test_the_noise_of_batch_statistics_falls_with_the_root_of_the_batch(facts: dict[str, explained.NormFacts]) -> None:
    spread = {effect.batch: effect.spread for effect in facts["batch"].batches}
    assert spread[16] / spread[64] == pytest.approx(2, rel=0.15)


def test_a_batch_that_is_refused_says_so() -> None:
    found = explained.explain(Choice(name="batch"), input_shape=(8, 1))
    assert found.batches[0].spread is None
    assert "more than 1 value" in found.batches[0].refusal
    assert found.batches[1].spread is not None


def test_refusals_are_told_with_the_way_out() -> None:
    with pytest.raises(UsageError, match="norm 'group': 32 groups do not divide 16 channels") as refusal:
        explained.explain(Choice(name="group"), input_shape=(16, 4))
    assert "groups: 4" in refusal.value.hint
    with pytest.raises(UsageError, match="at most 4,096 numbers"):
        explained.explain(Choice(name="group"), input_shape=(64, 32, 32))
