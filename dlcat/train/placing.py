"""Examples of every kind become batches on a device: resident, mapped, or read on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlcat.inputs import Pictures, Sounds, Tokens
from dlcat.readers import EncodedExamples, Examples
from dlcat.readers.hearing import HeardExamples
from dlcat.train.batches import InputStatistics, TokenBatches, resident, statistics
from dlcat.train.decoded import ReadBatches, decoding
from dlcat.train.heard import Heard, listening
from dlcat.train.labelled import UNLABELLED

if TYPE_CHECKING:
    from dlcat.inputs import Form
    from dlcat.train.batches import Batches
    from dlcat.train.device import Device
    from dlcat.train.material import Ready

MEASURED = 1024
"""Examples, evenly spread, that tell the mean and deviation of a split too large to be read for that."""
CPU = torch.device("cpu")
NOTHING = InputStatistics([0.0], [1.0], 1.0, 0.0, 1.0)
"""Of tokens, which are no quantities."""


def measure(examples: Ready, positions: np.ndarray[Any, Any], form: Form | None) -> InputStatistics:
    """The statistics of a training split; of inputs that are read on the way, those of the middles of some."""
    some = positions[:: max(1, len(positions) // MEASURED)]
    match examples, form:
        case EncodedExamples(), Pictures():
            return statistics(decoding(examples, some, form, CPU)[:].numpy())
        case HeardExamples(), Sounds():
            return statistics(listening(form, CPU)(Heard(examples.waveforms.take(some), form, CPU)[:]).numpy())
        case _, Tokens():
            return NOTHING
        case _:
            assert isinstance(examples, Examples)
            return statistics(examples.inputs, positions)


def batches_of(
    examples: Ready,
    positions: np.ndarray[Any, Any] | None,
    device: Device,
    measured: InputStatistics,
    form: Form | None,
) -> Batches:
    """The examples (at `positions` only) as batches for the device."""
    chosen = np.arange(len(examples)) if positions is None else positions
    home = device.device
    match examples, form:
        case EncodedExamples(), Pictures():
            held = f"decoded while training, from {'files' if examples.shards is None else 'shards'}"
            rows = decoding(examples, chosen, form, home)
            return ReadBatches(rows, _targets(examples, chosen, home), device, measured, held)
        case HeardExamples(), Sounds():
            held = f"waveforms at {form.rate_hertz} Hz, cut while training"
            heard = Heard(examples.waveforms.take(chosen), form, home)
            targets = _targets(examples, chosen, home)
            return ReadBatches(heard, targets, device, measured, held, listening(form, home))
        case Examples(), Tokens():
            found = resident(examples, positions, device, measured)
            return TokenBatches(found.inputs, found.targets, device, measured, found.held)
        case _:
            assert isinstance(examples, Examples)
            return resident(examples, positions, device, measured)


def _targets(examples: Ready, positions: np.ndarray[Any, Any], home: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.array(examples.targets[positions])).to(home)


def told(targets: torch.Tensor, classes: int) -> dict[str, Any]:
    """What a task may ask for of the training targets; see `dlcat.tasks.counting`."""
    own = targets.cpu()
    if own.dtype.is_floating_point:
        scale = torch.std_mean(own.double(), correction=0)
        return {"target_scale": (float(scale[1]), float(scale[0]))}
    if own.dim() == 2:
        counts = zip((own == 1).sum(0).tolist(), (own == 0).sum(0).tolist(), strict=True)
        return {"label_counts": list(counts)}
    return {"class_counts": torch.bincount(own[own != UNLABELLED], minlength=classes).tolist()}
