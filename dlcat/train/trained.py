"""The trained network of a run: how it is kept, made again, and measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save

from dlcat import run as runs
from dlcat.compiler import without_compiler
from dlcat.errors import InvalidError
from dlcat.train import experiment
from dlcat.train.batches import InputStatistics
from dlcat.train.loop import outputs_of

if TYPE_CHECKING:
    from pathlib import Path

    from dlcat.recipe import Recipe
    from dlcat.run import Run
    from dlcat.train.batches import Batches
    from dlcat.train.experiment import Experiment

WORST_ERRORS = 24
"""Mistakes of which a run keeps the pictures."""


@without_compiler()
def restore(
    recipe: Recipe, run: Run, device: str, *, best: bool = False
) -> tuple[Experiment, InputStatistics, dict[str, Any]]:
    """The trained experiment of a run, what its inputs looked like, and its inputs.json.

    Args:
        recipe: the run's.
        run: finished; for `best`, at least an epoch of it.
        device: auto, cpu, cuda, ...
        best: with the weights of the epoch that did best on the validation split, not of the last.

    Raises:
        InvalidError: the run has no weights, or they are not of this recipe's network.
    """
    about = _read_inputs(run)
    chosen = experiment.device_for(recipe, device)
    built = experiment.build(recipe, input_shape=tuple(about["shape"]), classes=about["classes"], device=chosen)
    path = run.best_weights_path if best else run.weights_path
    if not path.is_file():
        reason = "no epoch was compared on a validation split" if best else "training did not come to its end"
        raise InvalidError(f"{path}: not there: {reason}")
    try:
        built.model.load_state_dict(load_file(path, device=str(chosen.device)))
    except Exception as error:  # safetensors and torch raise several kinds, all meaning this
        raise InvalidError(f"{path}: not the weights of {run.recipe_path}: {error}") from error
    return built, about["statistics"], about


def evaluate(built: Experiment, test: Batches, run: Run | None = None) -> dict[str, Any]:
    """All measures over a split; with a run, its worst mistakes are kept as pictures too."""
    outputs = outputs_of(built, test)
    targets = test.targets.cpu()
    if run is not None:
        _keep_errors(run, outputs, targets, test)
    return built.task.measure(outputs, targets)


def weights(built: Experiment) -> dict[str, torch.Tensor]:
    """The state dict as safetensors takes it: whole, contiguous, on the CPU."""
    state = built.world.whole(dict(built.model.state_dict()))
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def write_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Into a safetensors file, which is whole or not there."""
    with runs.writing(path) as file:
        file.write_bytes(save(weights))


def describe_inputs(measured: InputStatistics, shape: tuple[int, ...], classes: tuple[str, ...]) -> dict[str, Any]:
    """What `restore` must know of the data, as a run's inputs.json has it."""
    return {"shape": list(shape), "classes": list(classes), "statistics": measured.plain()}


def _read_inputs(run: Run) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads((run.path / "inputs.json").read_text(encoding="utf-8"))
        measured = InputStatistics(**about["statistics"])
        return {"shape": about["shape"], "classes": about["classes"], "statistics": measured}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidError(f"{run.path / 'inputs.json'}: cannot be read: {error}") from error


def _keep_errors(run: Run, outputs: torch.Tensor, targets: torch.Tensor, test: Batches) -> None:
    """The mistakes made with the highest confidence, as arrays that the report draws."""
    confidence, predicted = outputs.softmax(1).max(1)
    wrong = torch.nonzero(predicted != targets)[:, 0]
    worst = wrong[confidence[wrong].argsort(descending=True)][:WORST_ERRORS]
    pictures = test.inputs[worst.to(test.inputs.device)].cpu().float() / max(test.statistics.peak, 1e-12) * 255
    with runs.writing(run.errors_path) as path:
        np.savez_compressed(
            path,
            inputs=pictures.round().clamp(0, 255).to(torch.uint8).numpy(),
            targets=targets[worst].numpy(),
            predictions=predicted[worst].numpy(),
            confidences=confidence[worst].numpy(),
        )
