"""The trained network of a run: how it is kept, made again, and measured."""

from __future__ import annotations

import json
from dataclasses import dataclass
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
from dlcat.train.placing import told

if TYPE_CHECKING:
    from pathlib import Path

    from dlcat.inputs import Form
    from dlcat.recipe import Recipe
    from dlcat.run import Run
    from dlcat.train.batches import Batches
    from dlcat.train.experiment import Experiment
    from dlcat.train.material import Material

WORST_ERRORS = 24
"""Mistakes of which a run keeps the pictures."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a network must know of the data it was trained on, to be made again: a run's inputs.json."""

    shape: tuple[int, ...]
    """Of one input."""
    classes: tuple[str, ...]
    told: dict[str, Any]
    """What the task asks for of the training targets; see `dlcat.tasks.counting`."""
    statistics: InputStatistics
    encoder: dict[str, Any] | None
    """The vocabulary that makes tokens of texts; see `dlcat.inputs.Encoder.plain`."""
    form: Form | None
    """How inputs become numbers; not written, for the recipe says it."""

    @classmethod
    def of(cls, material: Material, train: Batches) -> Known:
        """Of the examples that a training begins with."""
        classes, encoder = material.train.classes, material.encoder
        plain = None if encoder is None else encoder.plain()
        return cls(material.shape, classes, told(train.targets, len(classes)), train.statistics, plain, material.form)

    @classmethod
    def read(cls, run: Run, form: Form | None) -> Known:
        """Of a run.

        Raises:
            InvalidError: its inputs.json is missing, or not as dlcat writes it.
        """
        try:
            about: dict[str, Any] = json.loads((run.path / "inputs.json").read_text(encoding="utf-8"))
            measured = InputStatistics(**about.pop("statistics"))
            shape, classes = tuple(about.pop("shape")), tuple(about.pop("classes"))
            return cls(shape, classes, about.get("told", {}), measured, about.get("encoder"), form)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidError(f"{run.path / 'inputs.json'}: cannot be read: {error}") from error

    def plain(self) -> dict[str, Any]:
        about = {"shape": list(self.shape), "classes": list(self.classes), "told": self.told}
        return about | {"statistics": self.statistics.plain(), "encoder": self.encoder}

    @property
    def building(self) -> dict[str, Any]:
        """What `experiment.build` is told."""
        return {"input_shape": self.shape, "classes": self.classes, "told": self.told, "form": self.form}


@without_compiler()
def restore(
    recipe: Recipe, run: Run, device: str, *, form: Form | None = None, best: bool = False
) -> tuple[Experiment, Known]:
    """The trained experiment of a run, and what is known of the data it was trained on.

    Args:
        recipe: the run's.
        form: how its inputs become numbers; None: as they are.
        run: finished; for `best`, at least an epoch of it.
        device: auto, cpu, cuda, ...
        best: with the weights of the epoch that did best on the validation split, not of the last.

    Raises:
        InvalidError: the run has no weights, or they are not of this recipe's network.
    """
    known = Known.read(run, form)
    chosen = experiment.device_for(recipe, device)
    built = experiment.build(recipe, device=chosen, **known.building)
    path = run.best_weights_path if best else run.weights_path
    if not path.is_file():
        reason = "no epoch was compared on a validation split" if best else "training did not come to its end"
        raise InvalidError(f"{path}: not there: {reason}")
    try:
        built.model.load_state_dict(load_file(path, device=str(chosen.device)))
    except Exception as error:  # safetensors and torch raise several kinds, all meaning this
        raise InvalidError(f"{path}: not the weights of {run.recipe_path}: {error}") from error
    return built, known


def evaluate(built: Experiment, test: Batches, run: Run | None = None) -> dict[str, Any]:
    """All measures over a split; with a run, its worst mistakes are kept as pictures too."""
    outputs = outputs_of(built, test)
    targets = test.targets.cpu()
    if run is not None:
        _keep_errors(built, run, outputs, targets, test)
    return built.task.measure(outputs, targets)


def weights(built: Experiment) -> dict[str, torch.Tensor]:
    """The state dict as safetensors takes it: whole, contiguous, on the CPU."""
    state = built.world.whole(dict(built.model.state_dict()))
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def write_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Into a safetensors file, which is whole or not there."""
    with runs.writing(path) as file:
        file.write_bytes(save(weights))


def _keep_errors(built: Experiment, run: Run, outputs: torch.Tensor, targets: torch.Tensor, test: Batches) -> None:
    """The mistakes made with the highest confidence, as arrays that the report draws."""
    if test.inputs.dtype != torch.uint8 or built.task.targets != "classes" or len(test.inputs.shape) != 4:
        return  # only pictures are drawn
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
