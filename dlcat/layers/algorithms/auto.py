"""The fastest algorithm for every shape, timed on this machine once and remembered from then on."""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, dataclass
from functools import cache, partial
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from dlcat import __version__, machine, measured
from dlcat.layers.algorithms import algorithm
from dlcat.layers.algorithms.computed import Conv1d, Conv2d, chosen, convolved, has_channels_last

if TYPE_CHECKING:
    from torch import Tensor

    from dlcat.layers.algorithms.computed import Convolution, Products

    Candidates = dict[str, Products | None]

FILE = "algorithms.json"
"""What was found, by machine and shape: in the cache folder whatever `--cache` says, for it goes by the machine."""
ROUNDS = 3
HOPELESS = 3.0
"""Times the best first run: who takes longer is not timed again."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What was found for one shape."""

    algorithm: str
    """The fastest."""
    milliseconds: dict[str, float]
    """Of one forward and backward pass by every candidate, the least of some."""


_found: dict[str, Timing] = {}


@algorithm
def auto(convolution: Convolution) -> nn.Module:
    """The fastest of the others on this machine, forward and backward, timed once for every shape and remembered.

    The first batch of a shape, type of number and order of memory takes as long as all of them together. What was found is
    kept in the user's cache folder, so that the next run computes the same; `choices` tells it.
    """
    return chosen(convolution, partial(_choose, _candidates(convolution)))


def choices() -> dict[str, Timing]:
    """What `auto` goes by in this process so far, by machine and shape."""
    return dict(_found)


def know(found: dict[str, Timing]) -> None:
    """Go by these choices, which another process went by; so a training that is taken up again computes the same."""
    _found.update(found)


def forget() -> None:
    """Let this process look into the cache folder again before it goes by a choice."""
    _found.clear()


def circumstances(device: torch.device) -> str:
    """All that a timing on the device goes by besides the work itself: machine, threads, versions."""
    versions = f"dlcat {__version__}, torch {torch.__version__}"
    return f"{_machine(device)}; {torch.get_num_threads()} threads; {versions}"


def _candidates(convolution: Convolution) -> Candidates:
    """The algorithms that can compute the convolution, with their defaults."""
    found: Candidates = {}
    for name in algorithm:
        if name == "auto":
            continue
        with contextlib.suppress(ValueError):
            made = algorithm[name](convolution)
            if made is convolution:
                found[name] = None
            elif isinstance(made, Conv1d | Conv2d):
                found[name] = made.choose(convolution, convolution.weight)
    return found


def _choose(candidates: Candidates, convolution: Convolution, inputs: Tensor) -> Products | None:
    key = _key(candidates, convolution, inputs)
    if key not in _found:
        _found[key] = _remembered(key, candidates) or _timed(key, candidates, convolution, inputs)
    return candidates[_found[key].algorithm]


def _key(candidates: Candidates, convolution: Convolution, inputs: Tensor) -> str:
    """Machine and shape in words; batches count up to the next power of two, so that the last of an epoch is no other."""
    kind = inputs.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else inputs.dtype
    order = "channels_last" if inputs.dim() == 4 and has_channels_last(inputs) else "contiguous"
    batch = 1 << (len(inputs) - 1).bit_length() if len(inputs) else 1
    return "; ".join(
        [
            circumstances(inputs.device),
            ", ".join(candidates),
            f"{str(dtype).removeprefix('torch.')} {order}",
            f"{'x'.join(map(str, (batch, *inputs.shape[1:])))} {convolution}",
        ]
    )


@cache
def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{device.type} {machine.processor()} {capability} x {os.cpu_count()}"


def _timed(key: str, candidates: Candidates, convolution: Convolution, inputs: Tensor) -> Timing:
    """Time the candidates in turns, so that a slow second falls on all alike, and remember what was found."""
    # Predictions are made in inference mode, whose tensors have no gradients: they are copied out of it.
    with torch.inference_mode(False), torch.enable_grad():
        maps, weight = (tensor.detach().clone().requires_grad_() for tensor in (inputs, convolution.weight))
        run = partial(_milliseconds, convolution, maps, weight)
        for products in candidates.values():  # what is set up at the first call of all is no candidate's fault
            run(products)
        first = {name: run(products) for name, products in candidates.items()}
        hopeful = [name for name, taken in first.items() if taken <= HOPELESS * min(first.values())]
        rounds = [{name: run(candidates[name]) for name in hopeful} for _ in range(ROUNDS)]
    least = first | {name: min(taken[name] for taken in rounds) for name in hopeful}
    told = {name: round(taken, 3) for name, taken in least.items() if taken < inf}
    timing = Timing(min(hopeful, key=least.__getitem__), told)
    measured.remember(FILE, key, asdict(timing))
    return timing


def _milliseconds(convolution: Convolution, maps: Tensor, weight: Tensor, products: Products | None) -> float:
    """How long one forward and backward pass takes; infinitely long where there is no memory for it."""
    try:
        return _pass_milliseconds(convolution, maps, weight, products)
    except RuntimeError as error:  # torch has a class of its own for a GPU's memory only
        if products is None or "memory" not in str(error):
            raise
        if maps.is_cuda:
            torch.cuda.empty_cache()
        return inf


def _pass_milliseconds(convolution: Convolution, maps: Tensor, weight: Tensor, products: Products | None) -> float:
    _wait_for(maps.device)
    started = perf_counter()
    if products is None:
        torchs: Any = {1: functional.conv1d, 2: functional.conv2d}[maps.dim() - 2]
        rest = (convolution.stride, convolution.padding, convolution.dilation, convolution.groups)
        outputs = torchs(maps, weight, None, *rest)
    else:
        outputs = convolved(convolution, maps, weight, None, products)
    torch.autograd.grad(outputs, [maps, weight], torch.ones_like(outputs))
    _wait_for(maps.device)
    return 1000 * (perf_counter() - started)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _remembered(key: str, candidates: Candidates) -> Timing | None:
    kept = measured.recall(FILE, key)
    try:
        timing = Timing(**kept) if kept else None
    except TypeError:  # written by another version
        return None
    return timing if timing and timing.algorithm in candidates else None
