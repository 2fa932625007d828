"""What each normalization computes, beside its formula in double precision, and what each promises alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from dlcat.layers.norms import norm
from dlcat.layers.norms.group import within_groups
from dlcat.layers.norms.rescaling import rescale

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHANNELS = 4
SHAPE = (6, CHANNELS, 5, 7)
EPS = 1e-5
EXAMPLE, POSITIONS = (1, 2, 3), (2, 3)
BATCH = (0, *POSITIONS)

layouts = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)


def _maps(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 2


def _close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


def _by(inputs: Tensor, axes: tuple[int, ...], eps: float = EPS) -> Tensor:
    mean = inputs.mean(axes, keepdim=True)
    variance = (inputs - mean).square().mean(axes, keepdim=True)
    return (inputs - mean) / (variance + eps) ** 0.5


def _by_size(inputs: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    return inputs / (inputs.square().mean(axes, keepdim=True) + eps) ** 0.5


def _by_groups(inputs: Tensor) -> Tensor:
    return torch.cat([_by(half, EXAMPLE) for half in inputs.split(2, dim=1)], dim=1)


def _by_equal_shares(inputs: Tensor) -> Tensor:
    """The mean of three means, and of three variances, each taken over its own axes."""
    means = [inputs.mean(axes, keepdim=True) for axes in (POSITIONS, EXAMPLE, BATCH)]
    variances = [inputs.var(axes, correction=0, keepdim=True) for axes in (POSITIONS, EXAMPLE, BATCH)]
    return (inputs - sum(means) / 3) / (sum(variances) / 3 + EPS) ** 0.5


def _by_neighbours(inputs: Tensor) -> Tensor:
    outputs = torch.empty_like(inputs)
    for channel in range(CHANNELS):
        window = inputs[:, max(0, channel - 2) : channel + 3]
        outputs[:, channel] = inputs[:, channel] / (2 + 1e-4 * window.square().sum(1)) ** 0.75
    return outputs


def _by_competition(inputs: Tensor) -> Tensor:
    size = inputs.square().sum(POSITIONS, keepdim=True) ** 0.5
    return inputs + 0.5 * inputs * size / (size.mean(1, keepdim=True) + 1e-6) + 0.25


FORMULAS: dict[str, tuple[dict[str, Any], Callable[[Tensor], Tensor]]] = {
    "batch": ({}, lambda inputs: _by(inputs, BATCH)),
    "batch_renorm": ({}, lambda inputs: _by(inputs, BATCH)),  # as long as it has seen no other batch
    "filter_response": ({}, lambda inputs: _by_size(inputs, POSITIONS, 1e-6).clamp(min=0)),
    "global_response": ({}, _by_competition),
    "group": ({"groups": 2}, _by_groups),
    "instance": ({}, lambda inputs: _by(inputs, POSITIONS)),
    "layer": ({}, lambda inputs: _by(inputs, EXAMPLE)),
    "local_response": ({}, _by_neighbours),
    "none": ({}, lambda inputs: inputs),
    "rms": ({}, lambda inputs: _by_size(inputs, EXAMPLE, EPS)),
    "switchable": ({}, _by_equal_shares),
    "sync_batch": ({}, lambda inputs: _by(inputs, BATCH)),
    "weight_standardization": ({"groups": 2}, _by_groups),
}


def _make(name: str, **options: Any) -> nn.Module:
    module: nn.Module = norm[name](CHANNELS, **FORMULAS[name][0], **options)
    if name == "global_response":
        nn.init.constant_(module.strength, 0.5)
        nn.init.constant_(module.bias, 0.25)
    return module.double()


@layouts
@pytest.mark.parametrize("name", list(norm))
def test_a_norm_computes_its_formula(name: str, layout: torch.memory_format) -> None:
    inputs = _maps()
    _close(_make(name)(inputs.contiguous(memory_format=layout)), FORMULAS[name][1](inputs))


@layouts
@pytest.mark.parametrize("name", list(norm))
def test_a_norm_in_float32_is_its_formula_to_seven_digits(name: str, layout: torch.memory_format) -> None:
    inputs = _maps().float()
    found = _make(name).float()(inputs.contiguous(memory_format=layout))
    torch.testing.assert_close(found.double(), FORMULAS[name][1](inputs.double()), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in norm if name not in {"none", "local_response", "global_response"}])
def test_scale_and_shift_come_last(name: str) -> None:
    module, inputs = _make(name), _maps()
    if name == "filter_response":
        nn.init.constant_(module.threshold, -100)
    plain = module(inputs)
    scale, shift = torch.tensor([0.5, -1, 2, 3]).double(), torch.tensor([1, 0, -2, 4]).double()
    with torch.no_grad():
        module.weight.copy_(scale)
        module.bias.copy_(shift)
    expected = plain * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
    if name == "batch_renorm":
        module.batches.zero_()  # as before its first batch
    torch.testing.assert_close(module(inputs), expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", ["batch", "sync_batch"])
def test_batch_takes_running_averages_in_evaluation(name: str) -> None:
    module, inputs = norm[name](CHANNELS, momentum=1.0).double(), _maps()
    trained = module(inputs)
    _close(module.running_mean, inputs.mean(BATCH))
    _close(module.running_var, inputs.var(BATCH))
    count = inputs.numel() // CHANNELS  # the running variance divides by one less
    torch.testing.assert_close(module.eval()(inputs), trained * ((count - 1) / count) ** 0.5, atol=1e-5, rtol=1e-5)


# group


@layouts
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_rule_of_groups_and_its_gradients_are_torchs(groups: int, layout: torch.memory_format) -> None:
    inputs, slopes = _maps().contiguous(memory_format=layout).requires_grad_(), _maps(3)
    weight, bias = (_maps(seed, (CHANNELS,)).requires_grad_() for seed in (4, 5))
    found, _, _ = rescale(inputs, partial(within_groups, groups=groups, eps=EPS), weight, bias)
    expected = torch.group_norm(inputs, groups, weight, bias, EPS)
    _close(found, expected)
    for one, other in zip(
        *(torch.autograd.grad(outputs, (inputs, weight, bias), slopes) for outputs in (found, expected)), strict=True
    ):
        _close(one, other)


def test_group_norm_of_bf16_weights_keeps_exact_statistics() -> None:
    inputs = (_maps() + 100).bfloat16().contiguous(memory_format=torch.channels_last)
    found = norm["group"](CHANNELS, groups=2).bfloat16()(inputs)
    torch.testing.assert_close(found.double(), _by_groups(inputs.double()), atol=0.02, rtol=0.02)


# switchable


@pytest.mark.parametrize(("place", "name"), list(enumerate(["instance", "layer", "batch"])))
def test_switchable_becomes_the_norm_that_has_all_the_weight(place: int, name: str) -> None:
    module, inputs = _make("switchable"), _maps()
    with torch.no_grad():
        module.mean_mixture[place] = 50
        module.variance_mixture[place] = 50
    _close(module(inputs), _make(name)(inputs))


def test_switchable_mixes_mean_and_variance_apart() -> None:
    module, inputs = _make("switchable"), _maps()
    with torch.no_grad():
        module.mean_mixture[2] = 50
        module.variance_mixture[0] = 50
    spread = inputs.var(POSITIONS, correction=0, keepdim=True)
    _close(module(inputs), (inputs - inputs.mean(BATCH, keepdim=True)) / (spread + EPS) ** 0.5)


def test_switchable_tells_its_mixture() -> None:
    module = _make("switchable")
    for shares in module.mixture():
        assert list(shares) == ["instance", "layer", "batch"]
        assert list(shares.values()) == pytest.approx([1 / 3] * 3)
    with torch.no_grad():
        module.mean_mixture.copy_(torch.tensor([1.0, 2.0, 3.0]).log())
    mean, variance = module.mixture()
    assert list(mean.values()) == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert list(variance.values()) == pytest.approx([1 / 3] * 3)


def test_switchable_takes_running_averages_for_the_batch_in_evaluation() -> None:
    module, first, second = _make("switchable", momentum=1.0), _maps(1), _maps(2)
    with torch.no_grad():
        module.mean_mixture[2] = 50
        module.variance_mixture[2] = 50
    module(first)
    _close(module.running_mean, first.mean(BATCH))
    _close(module.running_var, first.var(BATCH, correction=0))
    mean, variance = first.mean(BATCH, keepdim=True), first.var(BATCH, correction=0, keepdim=True)
    _close(module.eval()(second), (second - mean) / (variance + EPS) ** 0.5)


# batch_renorm


def _renormed(inputs: Tensor, before: Tensor, max_ratio: float, max_distance: float) -> Tensor:
    """The paper's formula, with the running averages of one batch before."""
    mean, deviation = inputs.mean(BATCH, keepdim=True), (inputs.var(BATCH, correction=0, keepdim=True) + EPS) ** 0.5
    running_mean = before.mean(BATCH, keepdim=True)
    running_deviation = (before.var(BATCH, correction=0, keepdim=True) + EPS) ** 0.5
    ratio = (deviation / running_deviation).clamp(1 / max_ratio, max_ratio).detach()
    distance = ((mean - running_mean) / running_deviation).clamp(-max_distance, max_distance).detach()
    return (inputs - mean) / deviation * ratio + distance


BEFORE = 4 * _maps(7) - 20  # with another mean and deviation, so that limits bite


@pytest.mark.parametrize(("max_ratio", "max_distance"), [(3.0, 5.0), (1.5, 0.5), (100.0, 100.0), (1.0, 0.0)])
def test_batch_renorm_and_its_gradient_are_the_papers(max_ratio: float, max_distance: float) -> None:
    module = _make("batch_renorm", max_ratio=max_ratio, max_distance=max_distance, warmup=1)
    module(BEFORE)
    inputs, slopes = _maps().requires_grad_(), _maps(3)
    expected = _renormed(inputs, BEFORE, max_ratio, max_distance)
    found = module(inputs)
    _close(found, expected)
    _close(*(torch.autograd.grad(outputs, inputs, slopes)[0] for outputs in (found, expected)))


def test_batch_renorm_with_wide_limits_trains_as_it_evaluates() -> None:
    module = _make("batch_renorm", max_ratio=100.0, max_distance=100.0, warmup=0, momentum=1e-12)
    module(BEFORE)
    _close(module(_maps()), module.eval()(_maps()))


def test_the_limits_of_batch_renorm_rise_over_the_warmup() -> None:
    module = _make("batch_renorm", max_ratio=3.0, max_distance=5.0, warmup=4, momentum=1e-12)
    for number in range(7):
        inputs = BEFORE if number == 0 else _maps()
        share = min(1, number / 4)
        _close(module(inputs), _renormed(inputs, BEFORE, 1 + 2 * share, 5 * share))


def test_batch_renorm_follows_mean_and_deviation() -> None:
    module, first, second = _make("batch_renorm", momentum=0.25), _maps(1), BEFORE
    module(first)
    module(second)
    deviations = [(batch.var(BATCH, correction=0) + EPS) ** 0.5 for batch in (first, second)]
    _close(module.running_mean, 0.75 * first.mean(BATCH) + 0.25 * second.mean(BATCH))
    _close(module.running_deviation, 0.75 * deviations[0] + 0.25 * deviations[1])


# local_response

SHAPES = {"1-d": (3, 12, 9), "2-d": (3, 12, 5, 7)}


@pytest.mark.parametrize("shape", list(SHAPES.values()), ids=list(SHAPES))
@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0, 0.6])
@pytest.mark.parametrize("size", [1, 3, 5, 25])
def test_local_response_is_torchs_with_the_papers_alpha(size: int, beta: float, shape: tuple[int, ...]) -> None:
    ours = norm["local_response"](12, size=size, alpha=0.02, beta=beta, k=1.5)
    torchs = nn.LocalResponseNorm(size, alpha=0.02 * size, beta=beta, k=1.5)  # torch's sum is divided by the size
    inputs, slopes = _maps(shape=shape).requires_grad_(), _maps(3, shape)
    found, expected = ours(inputs), torchs(inputs)
    _close(found, expected)
    _close(*(torch.autograd.grad(outputs, inputs, slopes)[0] for outputs in (found, expected)))


@pytest.mark.parametrize("size", [2, 4])
def test_local_response_refuses_a_window_without_centre(size: int) -> None:
    with pytest.raises(ValueError, match=f"a window of {size} channels has no centre"):
        norm["local_response"](CHANNELS, size=size)


def test_local_response_learns_nothing_and_shows_its_options() -> None:
    module = norm["local_response"](CHANNELS, size=3)
    assert not module.state_dict()
    assert "size=3, alpha=0.0001, beta=0.75, k=2.0" in repr(module)


# filter_response


def test_filter_response_cuts_at_its_threshold() -> None:
    module, inputs = _make("filter_response"), _maps()
    threshold = torch.tensor([-0.5, 0.0, 0.5, 5.0]).double()
    with torch.no_grad():
        module.threshold.copy_(threshold)
    expected = torch.maximum(_by_size(inputs, POSITIONS, 1e-6), threshold.view(-1, 1, 1))
    _close(module(inputs), expected)


def test_filter_response_without_threshold_keeps_what_is_below() -> None:
    module, inputs = _make("filter_response", threshold=False), _maps()
    assert "threshold" not in dict(module.named_parameters())
    _close(module(inputs), _by_size(inputs, POSITIONS, 1e-6))


# global_response


def test_global_response_begins_as_the_identity() -> None:
    inputs = _maps()
    assert torch.equal(norm["global_response"](CHANNELS).double()(inputs), inputs)


# sync_batch


def test_sync_batch_is_batch_in_a_process_alone() -> None:
    first, second = _make("sync_batch"), _make("batch")
    for seed in range(3):
        assert torch.equal(first(_maps(seed)), second(_maps(seed)))
    assert torch.equal(first.eval()(_maps()), second.eval()(_maps()))
    assert list(first.state_dict()) == list(second.state_dict())


PROCESS = """
import os, torch
from torch import distributed
from dlcat.layers.norms import norm

os.environ["GLOO_SOCKET_IFNAME"] = "lo"
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
whole, slopes = torch.load(f"{folder}/whole.pt")
mine = slice(0, 2) if rank == 0 else slice(2, None)
inputs = whole[mine].clone().requires_grad_()
module = norm["sync_batch"](whole.shape[1]).double()
outputs = module(inputs)
gradients = torch.autograd.grad(outputs, [inputs, module.weight, module.bias], slopes[mine])
torch.save([outputs.detach(), *gradients, module.state_dict(), module.eval()(inputs).detach()], f"{folder}/{rank}.pt")
distributed.barrier()
distributed.destroy_process_group()
"""


def test_sync_batch_of_two_processes_is_batch_over_both(forks: Any, tmp_path: Path) -> None:
    whole, slopes = _maps(), _maps(3)
    torch.save([whole, slopes], tmp_path / "whole.pt")
    running = [forks.Process(target=exec, args=(PROCESS, {"rank": rank, "folder": str(tmp_path)})) for rank in range(2)]
    for process in running:
        process.start()
    for process in running:
        process.join(120)
    assert [process.exitcode for process in running] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))

    module = _make("batch")
    inputs = whole.clone().requires_grad_()
    outputs = module(inputs)
    of_inputs, of_weight, of_bias = torch.autograd.grad(outputs, [inputs, module.weight, module.bias], slopes)
    _close(torch.cat([first[0], second[0]]), outputs.detach())
    _close(torch.cat([first[1], second[1]]), of_inputs)
    _close(first[2] + second[2], of_weight)  # those who train together add them up
    _close(first[3] + second[3], of_bias)
    for key, value in module.state_dict().items():
        torch.testing.assert_close(first[4][key], value)
        torch.testing.assert_close(second[4][key], value)
    _close(torch.cat([first[5], second[5]]), module.eval()(whole).detach())
