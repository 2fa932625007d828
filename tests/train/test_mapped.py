"""Inputs that stay on the disk: the same numbers, in the same order, as if they had been copied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dlcat.readers import Examples
from dlcat.train import batches as batch
from dlcat.train import device as devices
from dlcat.train import mapped
from dlcat.train.batches import Batches, InputStatistics, resident
from dlcat.workspace import Workspace

CPU = devices.choose("cpu", "fp32", "contiguous", "batch")
COUNT = 53
POSITIONS = {"all": None, "some": np.arange(0, COUNT, 3)}


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    """Random bytes, mapped from a file, read-only as `prepare` gives them."""
    values = np.random.default_rng(0).integers(0, 256, (COUNT, 3, 5, 4)).astype(np.uint8)
    np.save(tmp_path / "inputs.npy", values)
    return Examples(np.load(tmp_path / "inputs.npy", mmap_mode="r"), np.arange(COUNT), ("a", "b"))


@pytest.mark.parametrize("positions", POSITIONS.values(), ids=POSITIONS)
def test_mapped_inputs_give_the_bits_of_copied_ones(examples: Examples, positions: Any) -> None:
    measured = InputStatistics([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], 255.0, 0.0, 1.0)
    copied, left = (resident(examples, positions, CPU, measured, budget=budget) for budget in (10**9, 10))
    assert isinstance(copied.inputs, torch.Tensor)
    assert isinstance(left.inputs, mapped.Mapped)
    assert copied.held == "in memory"
    assert left.held.startswith("mapped from the disk")
    assert len(copied) == len(left)
    for one, two in zip(_epoch(copied) + list(copied.in_order(7)), _epoch(left) + list(left.in_order(7)), strict=True):
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])


def _epoch(split: Batches) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(4)
    return [piece for each in split.shuffled(8, generator, lambda images, _: images) for piece in each.pieces(3)]


def test_what_is_read_can_be_changed_in_place_and_the_file_stays(examples: Examples) -> None:
    left = mapped.Mapped(examples.inputs, None, torch.device("cpu"))
    left[torch.tensor([0])].zero_()
    assert torch.equal(left[:1], torch.from_numpy(np.array(examples.inputs[:1])))


def test_statistics_of_some_examples_are_those_of_a_copy(examples: Examples) -> None:
    chosen = POSITIONS["some"]
    assert batch.statistics(examples.inputs, chosen) == batch.statistics(np.array(examples.inputs)[chosen])


def test_the_budget_is_a_share_of_what_the_container_or_the_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(mapped, "_CGROUP_LIMIT", limit)
    whole = mapped.budget_bytes(torch.device("cpu"), 1.0)
    assert whole is not None
    limit.write_text("4096\n")
    assert mapped.budget_bytes(torch.device("cpu"), 0.5) == 2048
    limit.write_text("max\n")
    assert mapped.budget_bytes(torch.device("cpu"), 1.0) == whole


def test_a_training_on_mapped_inputs_ends_to_the_bit_as_one_in_memory(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(folder: str) -> Any:
        recipe = place.recipe("digits_quickstart", ("train.epochs=1", "model.widths=[8, 16]"))
        return list(place.train(recipe, place.cost(recipe), device="cpu", folder=tmp_path / folder))[-1].run

    in_memory = train("memory")
    monkeypatch.setattr(mapped, "_memory_bytes", _almost_none())
    on_disk = train("disk")
    assert in_memory.weights_path.read_bytes() == on_disk.weights_path.read_bytes()
    assert in_memory.result()["metrics"] == on_disk.result()["metrics"]
    assert on_disk.result()["inputs"]["train"].startswith("mapped")


def _almost_none() -> Callable[[], int]:
    return lambda: 1000
