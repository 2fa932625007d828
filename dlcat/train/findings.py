"""What a trained network tells about itself, for the run's result: what computed its convolutions, what its norms mix."""

from __future__ import annotations

import math
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dlcat.layers.algorithms.accuracy import errors
from dlcat.layers.algorithms.network import used
from dlcat.layers.norms import Mixing, norm

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from dlcat.layers.algorithms.network import Used
    from dlcat.train.batches import Batches
    from dlcat.train.experiment import Experiment

EXAMPLES = 8
"""So many say what computes a layer, and how exactly."""
NORM_EXAMPLES = 200
"""So many say what norms are given, and give."""
MANY_CHANNELS = 20_160
"""The numbers of groups that are usual divide it, such as 1 to 10 and every power of two up to 64."""


def findings(built: Experiment, test: Batches) -> dict[str, Any]:
    """What is told of a trained network.

    `convolutions`: by what each was computed, and how far it is off; `mixtures`: the shares of a norm's statistics;
    `norms`: what each is given and gives; `filters`: the layer whose filters can be looked at.
    """
    return {
        "convolutions": convolutions(built, test),
        "mixtures": mixtures(built.model),
        "norms": norms(built, test),
        "filters": filters(built.model),
    }


def convolutions(built: Experiment, test: Batches) -> list[dict[str, Any]]:
    """Layer, algorithm and back end of every convolution for a batch of the run's size; and how far it is off.

    `error` is the largest of outputs and both gradients to float64, as a share of the largest value, on some examples; None
    where the algorithm is torch's own, where weights are divided over processes, or where it cannot be found.
    """
    size = built.piece_size(built.batch_size(len(test)))
    inputs, _ = next(test.in_order(size))
    with built.device.autocast():
        found = used(built.model, inputs)
        if built.world.shards or all(each.algorithm == "native" for each in found):  # no layer is whole on its own
            return [_told(each, None) for each in found]
        # Of fewer examples, `auto` would take another choice, and time it.
        seen = _layer_inputs(built, inputs if built.recipe.model.algorithm.name == "auto" else inputs[:EXAMPLES])
    layers = dict(built.model.named_modules())
    told = []
    for each in found:
        error = None if each.algorithm == "native" else _error(built, layers[each.layer], seen[each.layer])
        told.append(_told(each, error))
    return told


def _told(each: Used, error: float | None) -> dict[str, Any]:
    return {"layer": each.layer, "algorithm": each.algorithm, "backend": each.backend, "error": error}


def _error(built: Experiment, layer: Any, inputs: Tensor) -> float | None:
    """The run is over and good: what cannot be found out about it must not end it."""
    try:
        with built.device.autocast():
            error = errors(layer, inputs).largest
    except (RuntimeError, TypeError):  # no float64 on this device, no memory, weights that do not learn
        return None
    return error if math.isfinite(error) else None


def mixtures(model: nn.Module) -> list[dict[str, Any]]:
    """Of each norm that mixes statistics (`switchable`), the shares in its mean and in its variance."""
    found = []
    for name, module in model.named_modules():
        if isinstance(module, Mixing):
            mean, variance = module.mixture()
            found.append({"name": name, "mean": mean, "variance": variance})
    return found


@torch.inference_mode()
def norms(built: Experiment, test: Batches) -> list[dict[str, Any]]:
    """Mean and standard deviation of all numbers that each norm is given, and gives, in evaluation on some examples.

    Of a norm that is called again and again, those of its last call. Empty where the recipe's norm is none.
    """
    kind = _kind(built)
    layers = {name: module for name, module in built.model.named_modules() if kind and type(module) is kind}
    inputs, _ = next(test.in_order(NORM_EXAMPLES))
    told: dict[str, dict[str, Any]] = {}

    def note(name: str, _: nn.Module, given: tuple[Tensor, ...], gives: Tensor) -> None:
        told[name] = {"layer": name, "given": _spread(given[0]), "gives": _spread(gives)}

    with ExitStack() as hooks:
        for name, module in layers.items():
            hooks.callback(module.register_forward_hook(partial(note, name)).remove)
        if layers:
            built.model.eval()
            built.outputs(inputs)
    return [told[name] for name in layers if name in told]


def filters(model: nn.Module) -> str | None:
    """The name of the first convolution, where its filters are pictures: two-dimensional, of one grey or three colours."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            is_picture = isinstance(module, nn.Conv2d) and module.in_channels in (1, 3) and module.groups == 1
            return name if is_picture and max(module.kernel_size) > 1 else None
    return None


def _kind(built: Experiment) -> type[nn.Module] | None:
    """What class the recipe's norm is of; None where it is none, or cannot be made on its own."""
    try:
        kind: type[nn.Module] = type(norm.bind(built.recipe.model.norm)(MANY_CHANNELS))
    except ValueError:
        return None
    return None if kind is nn.Identity else kind


def _spread(numbers: Tensor) -> dict[str, float]:
    deviation, mean = torch.std_mean(numbers.float(), correction=0)
    return {"mean": float(mean), "std": float(deviation)}


def _layer_inputs(built: Experiment, inputs: Tensor) -> dict[str, Tensor]:
    """What every convolution is given for such inputs, in evaluation."""
    seen: dict[str, Tensor] = {}

    def note(name: str, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen[name] = given[0]

    handles: list[RemovableHandle] = [
        module.register_forward_pre_hook(partial(note, name))
        for name, module in built.model.named_modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d)
    ]
    try:
        built.model.eval()
        with torch.no_grad():
            built.model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen
