"""Extra memory is what lives beyond what was there before and what is left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from dlcat.bench.memory import extra_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

CPU = torch.device("cpu")
THERE = torch.arange(1000.0)
SIZE_BYTES = THERE.nbytes


def _chain() -> Tensor:
    first = THERE + 1
    second = first + 1
    del first
    return second + 1


WORKS: dict[str, tuple[Callable[[], object], int]] = {
    "a result alone": (lambda: THERE + 1, 0),
    "views of what is there": (lambda: [THERE.view(10, 100), THERE[:500]], 0),
    "what is there, changed in place": (lambda: THERE.zero_(), 0),
    "a step between": (lambda: (THERE + 1) + 1, SIZE_BYTES),
    "steps of which one lives at a time beside the next": (_chain, SIZE_BYTES),
    "a part of what was made": (lambda: (THERE + 1)[:10], 0),
    "a copy of a part of what was made": (lambda: (THERE + 1)[:10].clone(), SIZE_BYTES),
    "several results": (lambda: [THERE + 1, THERE + 2], 0),
    "nothing": (lambda: None, 0),
    "something dropped": (lambda: (THERE + 1, None)[1], SIZE_BYTES),
}


@pytest.mark.parametrize(("work", "expected"), WORKS.values(), ids=WORKS)
def test_only_what_is_neither_there_before_nor_left_is_counted(work: Callable[[], object], expected: int) -> None:
    assert extra_bytes(work, CPU) == expected


def test_what_the_graph_keeps_for_the_backward_pass_is_counted() -> None:
    leaf = THERE.clone().requires_grad_()

    def work(steps: int) -> list[Tensor]:
        outputs: Tensor = leaf
        for _ in range(steps):
            outputs = outputs.sin()  # keeps its input
        return [outputs.detach(), *torch.autograd.grad(outputs, leaf, torch.ones_like(outputs))]

    first, second, third = (extra_bytes(lambda steps=steps: work(steps), CPU) for steps in (2, 3, 4))  # type: ignore[misc]
    assert third - second == second - first == SIZE_BYTES
