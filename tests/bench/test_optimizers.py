"""Every optimizer can be measured: the time of a step, and what it remembers."""

from __future__ import annotations

import pytest
import torch

from dlcat.bench.optimizers import network, optimizers
from dlcat.bench.records import Measurement
from dlcat.bench.turns import in_turns
from dlcat.optim.optimizers import optimizer
from dlcat.registry import Choice

STATE = {"sgd": 0, "momentum": 4, "nesterov": 4, "adagrad": 4, "adam": 8, "adamw": 8, "amsgrad": 12, "lion": 4}
"""Bytes per weight in fp32, but for counters: how many numbers the published rule keeps."""


def _only(name: str, precision: str = "fp32") -> Measurement:
    candidates = optimizers([Choice(name=name)], 20_000, precisions=(precision,), device=torch.device("cpu"))
    (found,) = (record for record in in_turns(candidates, 1, torch.device("cpu")) if isinstance(record, Measurement))
    return found


@pytest.mark.parametrize("name", list(optimizer))
def test_every_optimizer_is_measured(name: str) -> None:
    found = _only(name)
    assert found.reason == ""
    assert (found.case.member, found.case.precision, found.case.layout) == (name, "fp32", None)
    assert found.milliseconds is not None
    assert found.milliseconds > 0
    assert found.relative_error is not None
    assert found.relative_error < (1 if found.gradients_per_step != 1 else 1e-3)  # line searches may part ways
    assert found.state_bytes_per_weight is not None
    assert found.gradients_per_step is not None
    assert found.gradients_per_step >= 1


@pytest.mark.parametrize("name", [name for name in STATE if name in optimizer])
def test_an_optimizer_remembers_what_its_rule_says(name: str) -> None:
    assert _only(name).state_bytes_per_weight == pytest.approx(STATE[name], abs=0.05)


@pytest.mark.parametrize("name", ["lbfgs", "newton_cg", "conjugate_gradient"])
def test_optimizers_that_search_take_several_gradients(name: str) -> None:
    gradients = _only(name).gradients_per_step
    assert gradients is not None
    assert gradients > 1


def test_fewer_digits_are_a_larger_error() -> None:
    coarse, fine = _only("momentum", "bf16").relative_error, _only("momentum", "fp32").relative_error
    assert coarse is not None
    assert fine is not None
    assert coarse > 100 * fine


@pytest.mark.parametrize("weights", [10_000, 100_000, 1_000_000, 20_000_000])
def test_the_network_has_about_the_weights_asked_for(weights: int) -> None:
    with torch.device("meta"):
        found = sum(parameter.numel() for parameter in network(weights).parameters())
    assert found == pytest.approx(weights, rel=0.15)
