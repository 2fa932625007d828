"""Gradients added up over the processes that train together, while the backward pass still computes others.

As torch's DistributedDataParallel does, in buckets, from the last layer to the first; but what is in a bucket never changes.
DistributedDataParallel arranges its buckets anew after a process's first step, and with it the order in which three numbers or
more are added up: a resumed training would go on with other bits.
"""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from torch import distributed

from dlcat.train.distributed import flattened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

    from dlcat.train.distributed import World

BUCKET_BYTES = 25 * 2**20
"""Large enough that a message's fixed costs do not count, small enough that the first one leaves early."""


class GradientSum:
    """The gradients of a step, summed over the processes of a world; alone, it does nothing.

    Args:
        world: each of its processes has the same parameters, in the same order.
        parameters: whose gradients are added up.
    """

    def __init__(self, world: World, parameters: Iterable[Tensor]) -> None:
        learning = [each for each in parameters if each.requires_grad] if world.size > 1 else []
        self._buckets = [_Bucket(each) for each in _split(learning[::-1])]  # the backward pass begins at the last layer
        self._sent = len(self._buckets)
        for bucket in self._buckets:
            for parameter in bucket.parameters:
                parameter.register_post_accumulate_grad_hook(partial(self._arrived, bucket))  # type: ignore[no-untyped-call]

    def expect(self, passes: int) -> None:
        """Wait for so many backward passes, each of which adds to the gradients, before a bucket is sent."""
        self._sent = 0
        for bucket in self._buckets:
            bucket.missing = passes * len(bucket.parameters)

    def finish(self) -> None:
        """Send what is left, such as the gradients of layers that were not used, and wait for all sums."""
        self._send(len(self._buckets))
        for bucket in self._buckets:
            bucket.receive()

    def _arrived(self, bucket: _Bucket, _: Tensor) -> None:
        bucket.missing -= 1
        ready = self._sent
        while ready < len(self._buckets) and self._buckets[ready].missing <= 0:
            ready += 1
        self._send(ready)

    def _send(self, end: int) -> None:
        """In their order, which is that of all processes."""
        for bucket in self._buckets[self._sent : end]:
            bucket.send()
        self._sent = max(self._sent, end)


class _Bucket:
    """Parameters of one kind of number whose gradients travel in one message."""

    def __init__(self, parameters: list[Tensor]) -> None:
        self.parameters = parameters
        self.missing = 0
        """Gradients that are still to be computed."""
        self._all_used = torch.ones(len(parameters), dtype=parameters[0].dtype, device=parameters[0].device)

    def send(self) -> None:
        """Start adding up. Who did not use a layer sends zeros for it, and says so in a number per parameter."""
        self._is_whole = all(parameter.grad is not None for parameter in self.parameters)
        used = self._all_used
        if not self._is_whole:
            used = used.new_tensor([parameter.grad is not None for parameter in self.parameters])
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in self.parameters]
        self._flat = flattened([*gradients, used])
        self._work = distributed.all_reduce(self._flat, async_op=True)

    @torch.no_grad()
    def receive(self) -> None:
        """Wait for the sums. What no process used has no gradient, as it has none where there is one process."""
        self._work.wait()
        *pieces, used = torch.split(self._flat, [*(each.numel() for each in self.parameters), len(self.parameters)])
        # A GPU has to answer what others used, and waits; who used all need not ask.
        wanted = [True] * len(pieces) if self._is_whole else used.tolist()
        for parameter, piece, is_used in zip(self.parameters, pieces, wanted, strict=True):
            if is_used:
                parameter.grad = torch.empty_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad.copy_(piece.view(parameter.shape))
        del self._flat


def _split(parameters: list[Tensor]) -> Iterator[list[Tensor]]:
    """Runs of parameters of one kind and device, cut where they fill a bucket."""
    for _, run in groupby(parameters, key=lambda each: (each.dtype, each.device)):
        bucket: list[Tensor] = []
        for parameter in run:
            bucket.append(parameter)
            if sum(each.nbytes for each in bucket) >= BUCKET_BYTES:
                yield bucket
                bucket = []
        if bucket:
            yield bucket
