"""The fastest loop that one would write for this network alone: all in memory, by index, whole batches augmented at once."""

from __future__ import annotations

from contextlib import nullcontext
from time import perf_counter
from typing import TYPE_CHECKING

import torch
from torch.nn import functional
from work import BATCH_SIZE, EVALUATION_BATCH_SIZE, PADDING, answer, asked, weights

from dlcat.machine import keep_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from torch import Tensor


def shifted(images: Tensor) -> Tensor:
    """Mirrored by chance, and cut out of a frame of zeros: (N, C, H, W)."""
    images = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(-1), images)
    side = images.shape[-1]
    windows = functional.pad(images, (PADDING,) * 4).unfold(2, side, 1).unfold(3, side, 1)
    top, left = torch.randint(2 * PADDING + 1, (2, len(images)))
    return windows[torch.arange(len(images)), :, top, left]


def step(
    forward: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    inputs: Tensor,
    classes: Tensor,
    casting: AbstractContextManager[object],
) -> None:
    """All that one step needs."""
    with casting:
        outputs = forward(inputs)
        loss = functional.cross_entropy(outputs.float(), classes)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def main() -> None:
    keep_memory()  # as dlcat does: it is the loops that are compared
    work = asked()
    order = torch.channels_last if work.layout == "channels_last" else torch.contiguous_format
    casting = torch.autocast("cpu", torch.bfloat16) if work.precision == "bf16" else nullcontext()
    model = work.model().to(memory_format=order)
    forward = torch.compile(model) if work.compile else model
    optimizer = torch.optim.SGD(model.parameters(), **work.rule, fused=True)
    images, classes = work.stored("train")
    images = images if work.augments else work.numbers(images)

    started = perf_counter()
    model.train()
    taken = 0
    for _ in range(work.epochs):
        chosen = torch.randperm(len(images))
        for positions in chosen[: work.steps // work.epochs * BATCH_SIZE].split(BATCH_SIZE):
            optimizer.param_groups[0]["lr"] = work.rule["lr"] * work.falling(taken)
            inputs = work.numbers(shifted(images[positions])) if work.augments else images[positions]
            step(forward, optimizer, inputs.to(memory_format=order), classes[positions], casting)
            taken += 1
    fit_seconds = perf_counter() - started

    model.eval()
    hits = 0
    images, classes = work.stored("test")
    with torch.inference_mode(), casting:
        for inputs, targets in zip(
            images.split(EVALUATION_BATCH_SIZE), classes.split(EVALUATION_BATCH_SIZE), strict=True
        ):
            hits += int((model(work.numbers(inputs).to(memory_format=order)).argmax(1) == targets).sum())
    answer(fit_seconds, hits / len(classes), weights(model))


if __name__ == "__main__":
    main()
