"""Three small functions of two weights on which optimizers differ: a narrow valley, a curved one, and a saddle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Landscape:
    """A function of two weights, and where a descent begins."""

    name: str
    formula: str
    question: str
    """What an optimizer shows here."""
    value: Callable[[Any, Any], Any]
    """Of numbers or tensors (x, y)."""
    slope: Callable[[float, float], Point]
    """Its gradient."""
    start: Point
    minima: tuple[Point, ...]
    across: tuple[float, float]
    """From where to where x is drawn."""
    up: tuple[float, float]
    """From where to where y is drawn."""
    target: float
    """The value that a descent is to reach."""
    budget: int
    """Gradients that a descent may ask for."""


def _square(number: Any) -> Any:
    return number * number  # ** raises an OverflowError far away, where a line search may look


VALLEY = Landscape(
    name="valley",
    formula="(x² + 90 y²) / 2",
    question="90 times as steep across as along: the rate that does not diverge across is small along",
    value=lambda x, y: (x * x + 90 * y * y) / 2,
    slope=lambda x, y: (x, 90 * y),
    start=(-4.3, 0.9),
    minima=((0.0, 0.0),),
    across=(-5.0, 2.0),
    up=(-1.3, 1.3),
    target=1e-3,
    budget=400,
)

ROSENBROCK = Landscape(
    name="rosenbrock",
    formula="(1 - x)² + 100 (y - x²)²",
    question="a narrow valley that bends: the way down it turns all the time (Rosenbrock 1960)",
    value=lambda x, y: _square(1 - x) + 100 * _square(y - x * x),
    slope=lambda x, y: (-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)),
    start=(-1.2, 1.0),
    minima=((1.0, 1.0),),
    across=(-1.8, 1.8),
    up=(-0.6, 2.0),
    target=1e-3,
    budget=500,
)

SADDLE = Landscape(
    name="saddle",
    formula="(9 x² - y²) / 2 + y⁴ / 4",
    question="beginning beside the ridge, where the slope is nearly 0 and the way out starts slowly",
    value=lambda x, y: (9 * _square(x) - _square(y)) / 2 + _square(_square(y)) / 4,
    slope=lambda x, y: (9 * x, y * y * y - y),
    start=(1.3, 1e-6),
    minima=((0.0, 1.0), (0.0, -1.0)),
    across=(-1.6, 1.6),
    up=(-1.5, 1.5),
    target=-0.2,
    budget=200,
)

LANDSCAPES = (VALLEY, ROSENBROCK, SADDLE)
