"""Convolutions and normalizations as candidates of a bench: forward and backward on random maps."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor, autograd, nn
from torch.utils.flop_counter import FlopCounterMode

from dlcat.bench.records import Case
from dlcat.bench.turns import Candidate, Work, largest_error
from dlcat.layers.algorithms import algorithm
from dlcat.layers.algorithms.network import use, used
from dlcat.layers.convs import conv
from dlcat.layers.norms import norm
from dlcat.registry import Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
NATIVE = Choice(name="native")


@dataclass(frozen=True, slots=True)
class Stage:
    """What layers are measured with: maps of a shape, in every precision and order of memory, on a device."""

    shape: tuple[int, ...]
    """Of the inputs: (N, C, H, W), or (N, C, T)."""
    precisions: Sequence[str]
    """fp32, bf16, fp16; under autocast, as in training."""
    layouts: Sequence[str]
    """contiguous, channels_last."""
    device: torch.device

    def candidates(self, member: str, make: Callable[[], nn.Module], how: Choice | None = None) -> list[Candidate]:
        """The layer in every precision and order of memory; `how` is the algorithm that computes its convolutions."""
        named = None if how is None else how.name
        cases = [Case(member, *each, named) for each in product(self.precisions, self.layouts)]
        return [Candidate(case, partial(_prepared, self, case, make, how)) for case in cases]


def normalizations(stage: Stage, choices: Sequence[Choice]) -> list[Candidate]:
    """Every chosen norm.

    Raises:
        InvalidError: no such member or option, or an option of the wrong type.
    """
    found = []
    for choice in choices:
        make = norm.bind(choice)
        found += stage.candidates(choice.name, partial(make, stage.shape[1]))
    return found


def convolutions(
    stage: Stage,
    choices: Sequence[Choice],
    algorithms: Sequence[Choice] = (NATIVE,),
    *,
    channels_out: int,
    kernel: int = 3,
    stride: int = 1,
) -> list[Candidate]:
    """Every chosen type of convolution, without bias, computed by every chosen algorithm.

    Raises:
        InvalidError: no such member or option, or an option of the wrong type.
    """
    for how in algorithms:
        algorithm.bind(how)  # an unknown one is refused here, and not once for every case
    form = (stage.shape[1], channels_out, kernel, stride, len(stage.shape) - 2, False)
    found = []
    for choice, how in product(choices, algorithms):
        found += stage.candidates(choice.name, partial(conv.bind(choice), *form), how)
    return found


def _prepared(stage: Stage, case: Case, make: Callable[[], nn.Module], how: Choice | None) -> Work:
    """The case's layer, ready to run.

    Raises:
        ValueError: there is no such layer, or it does not go together with the maps or with the algorithm.
    """
    if case.layout == "channels_last" and len(stage.shape) != 4:
        raise ValueError("channels_last is an order of maps with height and width")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = make()
    exact = deepcopy(layer)  # torch's own, and before the first batch, which some norms remember
    if how is not None:
        layer = _computed(layer, how)
    layer = layer.to(stage.device).to(memory_format=LAYOUTS[str(case.layout)])  # type: ignore[call-overload]
    inputs = _random(stage.shape, case, stage.device, seed=1).requires_grad_()
    slopes = cache(partial(_random, case=case, device=stage.device, seed=2))
    context = partial(_autocast, stage.device, case.precision)
    run = partial(_forward_and_backward, layer, inputs, slopes, context)

    def relative_error() -> float:
        return largest_error(run(), _exact(exact, inputs, slopes))

    if how is None:
        return Work(run, relative_error)
    with context():
        return Work(run, relative_error, _flops(exact, stage.shape), backend=_backend(layer, inputs))


def _computed(layer: nn.Module, how: Choice) -> nn.Module:
    """The layer with every convolution in it computed by the algorithm.

    Raises:
        ValueError: there is none, or the algorithm cannot compute it.
    """
    if how != NATIVE and not any(isinstance(module, nn.Conv1d | nn.Conv2d) for module in layer.modules()):
        raise ValueError("no convolution in it that an algorithm could compute")
    return use(layer, how)


def _forward_and_backward(
    layer: nn.Module,
    inputs: Tensor,
    slopes: Callable[[torch.Size], Tensor],
    context: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> list[Tensor]:
    """The outputs, and the gradients of inputs and weights where those of the outputs are `slopes` of their shape."""
    with context():
        outputs = layer(inputs)
    learned = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    return [outputs, *autograd.grad(outputs, [inputs, *learned], slopes(outputs.shape))]


def _exact(layer: nn.Module, inputs: Tensor, slopes: Callable[[torch.Size], Tensor]) -> list[Tensor]:
    """The same in float64, on the processor: not every device has such numbers."""
    exact_inputs = inputs.detach().cpu().double().requires_grad_()
    return _forward_and_backward(layer.double(), exact_inputs, lambda shape: slopes(shape).cpu().double())


def _flops(layer: nn.Module, shape: tuple[int, ...]) -> int:
    """Operations of forward and backward, a multiplication and an addition each being one.

    Each of the two gradients of a convolution takes as many as its outputs. So they are not counted, which torch's
    counter does wrongly where channels are in groups.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        deepcopy(layer).to("meta")(torch.empty(shape, device="meta"))
    return 3 * int(counter.get_total_flops())


def _backend(layer: nn.Module, inputs: Tensor) -> str:
    """The back ends of torch that compute the layer, as far as they are torch's and torch says so."""
    names = (each.backend for each in used(layer, inputs) if each.backend not in ("", "unknown"))
    return ", ".join(dict.fromkeys(names))


def _random(shape: tuple[int, ...], case: Case, device: torch.device, seed: int) -> Tensor:
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    order = LAYOUTS["contiguous" if len(shape) != 4 else str(case.layout)]
    return maps.to(device, DTYPES[case.precision]).contiguous(memory_format=order)


def _autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, DTYPES[precision])
