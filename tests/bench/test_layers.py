"""Every norm, convolution and algorithm can be measured, or is a row that says why not."""

from __future__ import annotations

import pytest
import torch

from dlcat.bench.layers import LAYOUTS, NATIVE, Stage, convolutions, normalizations
from dlcat.bench.records import Measurement
from dlcat.bench.turns import Candidate, in_turns
from dlcat.errors import InvalidError
from dlcat.layers.algorithms import algorithm
from dlcat.layers.convs import conv
from dlcat.layers.norms import norm
from dlcat.registry import Choice

ALLOWED = {"fp32": 2e-4, "bf16": 0.1}
IMAGES, SOUNDS = (2, 8, 6, 6), (2, 8, 12)
OPTIONS = {"group": {"groups": 2}, "weight_standardization": {"groups": 2}}


def _stage(shape: tuple[int, ...] = IMAGES, *, precision: str = "fp32", layout: str = "contiguous") -> Stage:
    return Stage(shape, (precision,), (layout,), torch.device("cpu"))


def _only(candidates: list[Candidate]) -> Measurement:
    (found,) = (record for record in in_turns(candidates, 1, torch.device("cpu")) if isinstance(record, Measurement))
    return found


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("precision", list(ALLOWED))
@pytest.mark.parametrize("name", list(norm))
def test_every_norm_is_measured_in_every_precision_and_layout(name: str, precision: str, layout: str) -> None:
    stage = _stage(precision=precision, layout=layout)
    found = _only(normalizations(stage, [Choice(name=name, options=OPTIONS.get(name, {}))]))
    assert found.reason == ""
    assert (found.case.member, found.case.precision, found.case.layout) == (name, precision, layout)
    assert found.milliseconds is not None
    assert found.milliseconds > 0
    assert found.relative_error is not None
    assert found.relative_error < ALLOWED[precision]
    assert found.gigaflops_per_second is None


@pytest.mark.parametrize("shape", [IMAGES, SOUNDS], ids=["2-d", "1-d"])
@pytest.mark.parametrize("name", list(conv))
def test_every_convolution_is_measured(name: str, shape: tuple[int, ...]) -> None:
    found = _only(convolutions(_stage(shape), [Choice(name=name)], channels_out=8))
    assert found.reason == ""
    assert found.case.algorithm == "native"
    assert found.gigaflops_per_second is not None
    assert found.gigaflops_per_second > 0
    assert found.relative_error is not None
    assert found.relative_error < ALLOWED["fp32"]


@pytest.mark.parametrize("name", [name for name in algorithm if name != "auto"])
def test_every_algorithm_is_measured(name: str) -> None:
    found = _only(convolutions(_stage(), [Choice(name="standard")], [Choice(name=name)], channels_out=8))
    assert found.reason == ""
    assert found.case.algorithm == name
    assert (found.backend != "") == (name == "native")
    assert found.relative_error is not None
    assert found.relative_error < ALLOWED["fp32"]


@pytest.mark.parametrize("name", [name for name in algorithm if name != "auto"])
def test_the_operations_are_those_of_the_direct_sum_whatever_the_algorithm(name: str) -> None:
    found = _only(convolutions(_stage(), [Choice(name="standard")], [Choice(name=name)], channels_out=4))
    assert found.gigaflops_per_second is not None
    assert found.milliseconds is not None
    operations = found.gigaflops_per_second * found.milliseconds * 1e6
    forward = 2 * 2 * (8 * 4 * 3 * 3) * 6 * 6  # two operations each; examples, weights, positions
    assert operations == pytest.approx(3 * forward)  # and as many for each of the two gradients


OPERATIONS = {  # multiplications per position of the output, of 8 channels to 8 with a window of 3 x 3
    "standard": 8 * 8 * 9,
    "group": 8 * 8 * 9 // 2,
    "depthwise": 8 * 9,
    "depthwise_separable": 8 * 9 + 8 * 8,
    "pointwise": 8 * 8,
    "transposed": 8 * 8 * 9,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_both_gradients_take_as_many_operations_as_the_outputs_also_in_groups(name: str) -> None:
    found = _only(convolutions(_stage(), [Choice(name=name)], channels_out=8))
    assert found.gigaflops_per_second is not None
    assert found.milliseconds is not None
    operations = found.gigaflops_per_second * found.milliseconds * 1e6
    assert operations == pytest.approx(3 * 2 * OPERATIONS[name] * 2 * 6 * 6)


def test_algorithms_in_chains_compute_every_convolution_of_it() -> None:
    def extra(compute: Choice) -> int:
        wide = Stage((1, 4, 16, 16), ("fp32",), ("contiguous",), torch.device("cpu"))
        found = _only(convolutions(wide, [Choice(name="bottleneck")], [compute], channels_out=4))
        assert found.extra_bytes is not None
        return found.extra_bytes

    assert extra(Choice(name="im2col")) > extra(NATIVE)


@pytest.mark.parametrize("name", sorted(norm))
def test_the_error_is_the_same_every_time(name: str) -> None:
    choice = Choice(name=name, options=OPTIONS.get(name, {}))
    first, second = (_only(normalizations(_stage(), [choice])) for _ in range(2))
    assert first.relative_error == second.relative_error


def test_nobody_elses_random_numbers_are_used_up() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    _only(convolutions(_stage(), [Choice(name="standard")], channels_out=8))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_does_not_fit_is_a_row_with_the_reason() -> None:
    assert "32 groups do not divide 8 channels" in _only(normalizations(_stage(), [Choice(name="group")])).reason
    odd = convolutions(_stage(), [Choice(name="standard")], channels_out=8, kernel=4)
    assert "a kernel of 4 has no centre" in _only(odd).reason
    wide = convolutions(_stage(), [Choice(name="standard")], [Choice(name="winograd")], channels_out=8, kernel=5)
    assert "5" in _only(wide).reason
    sound = normalizations(_stage(SOUNDS, layout="channels_last"), [Choice(name="batch")])
    assert "height and width" in _only(sound).reason
    turned = convolutions(_stage(), [Choice(name="transposed")], [Choice(name="im2col")], channels_out=8)
    assert "no convolution in it" in _only(turned).reason


def test_an_unknown_member_or_option_is_refused_at_once() -> None:
    with pytest.raises(InvalidError, match="no norm named 'bach'"):
        normalizations(_stage(), [Choice(name="bach")])
    with pytest.raises(InvalidError, match="no option 'group'"):
        normalizations(_stage(), [Choice(name="group", options={"group": 2})])
