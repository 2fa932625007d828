"""Memory against what a processor really keeps, and against sums worked out by hand."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlcat.cost import Cost, cost
from dlcat.layers.parts import choose
from dlcat.models import model
from dlcat.registry import Choice

FLOAT, LONG = 4, 8
"""Bytes of a number and of an index."""
BATCH = 6
NETWORKS: list[tuple[str, dict[str, Any], str, str]] = [
    ("resnet", {"depth": 8}, "batch", "standard"),
    ("resnet", {"depth": 8}, "weight_standardization", "depthwise_separable"),
    ("lenet", {"dropout": 0.5}, "layer", "flattened"),
    ("densenet", {"depth": 10}, "switchable", "standard"),
    ("alexnet", {"width": 0.125, "hidden": 16}, "local_response", "group"),
]


def _build(name: str, options: dict[str, Any], norm_name: str, conv_name: str) -> nn.Module:
    parts = choose(
        conv=conv_name,
        norm=Choice(name=norm_name, options={"groups": 4} if norm_name == "weight_standardization" else {}),
    )
    network: nn.Module = model[name]((3, 16, 16), 10, parts, **options)
    return network


def _really_kept(network: nn.Module, batch: Tensor, precision: str) -> int:
    """Bytes of the storages that autograd holds of a forward pass on the processor, without weights."""
    storages = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    held: list[Any] = []
    kept_bytes = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal kept_bytes
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in storages and storage.nbytes():
            storages.add(storage.data_ptr())
            held.append(storage)
            kept_bytes += storage.nbytes()
        return tensor

    casting = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
    with casting, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network.train()(batch).sum().backward()
    return kept_bytes


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_as_much_is_kept_as_a_processor_keeps(network: tuple[Any, ...], precision: str) -> None:
    price = cost(lambda: _build(*network), (3, 16, 16), batch_size=BATCH, precision=precision)
    really = _really_kept(_build(*network), torch.randn(BATCH, 3, 16, 16), precision)
    # The kernels of another processor may keep something else; and of a group norm in bf16, torch keeps mean and deviation
    # in bf16 on the meta device, and in float32 on a processor.
    assert price.kept_bytes == pytest.approx(really, rel=0.01)


def test_each_layer_keeps_what_nobody_before_it_kept() -> None:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),  # its input
            nn.BatchNorm2d(8),  # its input, a mean and a deviation for each channel
            nn.ReLU(inplace=True),  # its output
            nn.MaxPool2d(2),  # where the largest were
            nn.Flatten(),
            nn.Linear(8 * 16, 5),  # its input, which the pool gave
        )

    price = cost(build, (3, 8, 8), batch_size=BATCH)
    maps = BATCH * 8 * 64 * FLOAT
    assert [(layer.kind, layer.kept_bytes) for layer in price.layers] == [
        ("Conv2d", BATCH * 3 * 64 * FLOAT),
        ("BatchNorm2d", maps + 2 * 8 * FLOAT),
        ("ReLU", maps),
        ("MaxPool2d", maps // 4 // FLOAT * LONG),
        ("Flatten", 0),
        ("Linear", maps // 4),
    ]
    assert price.kept_bytes == sum(layer.kept_bytes for layer in price.layers)


@pytest.mark.parametrize("in_place", [True, False])
def test_the_peak_of_an_evaluation_is_two_neighbours_and_the_batch(in_place: bool) -> None:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(in_place), nn.Conv2d(4, 16, 3, padding=1), nn.Conv2d(16, 2, 1)
        )

    price = cost(build, (1, 8, 8), batch_size=BATCH)
    position = BATCH * 64 * FLOAT
    assert price.evaluation_peak_bytes == (1 + 4 + 16) * position  # the activation's 4 + 4 are less
    assert cost(lambda: nn.Sequential(nn.ReLU(in_place)), (4, 8, 8), batch_size=BATCH).evaluation_peak_bytes == (
        4 * position if in_place else 8 * position
    )


def test_a_shortcut_is_alive_as_long_as_its_block() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = nn.Sequential(nn.Conv1d(2, 6, 1), nn.Conv1d(6, 2, 1))

        def forward(self, inputs: Tensor) -> Tensor:
            return self.branch(inputs) + inputs

    price = cost(lambda: nn.Sequential(nn.Conv1d(2, 2, 1), Block()), (2, 10), batch_size=1)
    assert price.evaluation_peak_bytes == (2 + 2 + 6 + 2) * 10 * FLOAT  # batch, shortcut, inside, out


def _prices(precision: str, *batch_sizes: int) -> list[Cost]:
    network = NETWORKS[0]
    return [cost(lambda: _build(*network), (3, 16, 16), batch_size=size, precision=precision) for size in batch_sizes]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_memory_grows_by_as_much_with_every_example(precision: str) -> None:
    two, three, five = _prices(precision, 2, 3, 5)
    for name in ("kept_bytes", "evaluation_peak_bytes"):
        each = getattr(three, name) - getattr(two, name)
        assert each > 0
        assert getattr(five, name) - getattr(three, name) == 2 * each
    assert (two.macs, two.backward_macs, two.parameters) == (five.macs, five.backward_macs, five.parameters)


def test_numbers_of_half_the_size_need_about_half_the_memory() -> None:
    (whole,), (half,), (other,) = (_prices(precision, 64) for precision in ("fp32", "bf16", "fp16"))
    assert half.kept_bytes == other.kept_bytes
    assert 0.5 < half.kept_bytes / whole.kept_bytes < 0.6
    assert 0.5 <= half.evaluation_peak_bytes / whole.evaluation_peak_bytes < 0.8


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_below_fp32_the_copies_of_weights_are_counted_at_any_batch_size(precision: str) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Conv1d(2, 8, 3, bias=False), nn.Flatten(), nn.Linear(8 * 6, 5, bias=False))

    copies_bytes = 0 if precision == "fp32" else 2 * (2 * 8 * 3 + 8 * 6 * 5)
    one, two = (cost(build, (2, 8), batch_size=size, precision=precision) for size in (1, 2))
    assert 2 * one.kept_bytes - two.kept_bytes == copies_bytes
    assert 2 * one.evaluation_peak_bytes - two.evaluation_peak_bytes == copies_bytes


def test_the_memory_is_told_with_what_it_is_told_for() -> None:
    (price,) = _prices("bf16", 7)
    assert (price.batch_size, price.precision) == (7, "bf16")
