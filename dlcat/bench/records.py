"""What a bench yields: turns as they go by, and at the end a measurement of every case."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured."""

    member: str
    """Of the family."""
    precision: str
    """fp32, bf16 or fp16: what the layer computes in, or what the optimizer's weights are stored in."""
    layout: str | None = None
    """contiguous or channels_last; of layers only."""
    algorithm: str | None = None
    """What computes it; of convolutions only."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A case comes up: the `number`-th of `total` turns of all cases."""

    case: Case
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one case costs: forward and backward of a layer, or a step of an optimizer.

    Where `reason` is not empty the case could not be measured, and nothing else is known.
    """

    case: Case
    reason: str = ""
    """Why it could not be measured."""
    backend: str = ""
    """Of convolutions that torch computes: what it took for them, in its words (Mkldnn); empty where it does not say."""
    milliseconds: float | None = None
    """The median of its turns."""
    least_milliseconds: float | None = None
    most_milliseconds: float | None = None
    gigaflops_per_second: float | None = None
    """Of convolutions: the operations of the direct sum, whatever the algorithm does instead, per second."""
    extra_bytes: int | None = None
    """Memory beyond what is there before and what is left; see `dlcat.bench.memory`."""
    relative_error: float | None = None
    """The largest |found - exact| / |exact| of all results, norms taken over a whole tensor, exact being float64.

    It is nan where they are not all finite.
    """
    state_bytes_per_weight: float | None = None
    """Of optimizers: what it remembers from step to step."""
    gradients_per_step: float | None = None
    """Of optimizers: how often it asked for the gradient; a product with the Hessian counts as three."""

    def plain(self) -> dict[str, Any]:
        """As one record, the case's keys beside its own."""
        record = asdict(self)
        case: dict[str, Any] = record.pop("case")
        return case | record
