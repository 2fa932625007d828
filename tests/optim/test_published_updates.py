"""Every optimizer takes the steps that its paper writes down: against a few lines of NumPy in double precision each."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from dlcat.optim.closure import Closure, needs_closure
from dlcat.optim.optimizers import optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

STEPS = 8
"""Enough for RAdam to begin dividing, with a betas[1] of 0.8."""
START = np.linspace(-1.5, 2.5, 18).reshape(3, 2, 3)
"""Three matrices: Muon treats the first and the last like AdamW."""
STEEPNESS = np.linspace(3.0, 0.5, 18).reshape(3, 2, 3)


def _named(value: Any) -> str:
    """The same name in every process: a function's text would hold its address."""
    function = getattr(value, "func", value)
    return getattr(function, "__name__", str(value))


def _height(w: Array) -> float:
    return float((STEEPNESS * (w - 1) ** 2 / 2 + (w - 1) ** 4 / 4).sum())


def _gradient(w: Array) -> Array:
    return STEEPNESS * (w - 1) + (w - 1) ** 3


def _hessian(w: Array) -> Array:
    return STEEPNESS + 3 * (w - 1) ** 2


class Valley(nn.Module):
    """The same as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.tensor(part)) for part in START])

    def forward(self) -> torch.Tensor:
        """The height."""
        distance = torch.stack(list(self.weights)) - 1
        return (torch.tensor(STEEPNESS) * distance**2 / 2 + distance**4 / 4).sum()

    def place(self) -> Array:
        """The weights, (3, 2, 3)."""
        return np.stack([weight.detach().numpy().copy() for weight in self.weights])


def _places(name: str, options: dict[str, Any]) -> list[Array]:
    """Where the optimizer has been, from the start to the end."""
    valley = Valley()
    rule = optimizer[name](valley, **options)
    places = [valley.place()]
    for _ in range(STEPS):
        closure = Closure(rule.zero_grad, lambda: [valley()])
        if needs_closure(rule):
            rule.step(closure)
        else:
            closure()
            rule.step()
        places.append(valley.place())
    return places


def _sgd(w: Array, *, lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> Iterator[Array]:
    v = np.zeros_like(w)
    while True:
        v = momentum * v + _gradient(w) + weight_decay * w
        w = w - lr * v
        yield w


def _nesterov(w: Array, *, lr: float, momentum: float, weight_decay: float = 0.0) -> Iterator[Array]:
    v = np.zeros_like(w)
    while True:
        g = _gradient(w) + weight_decay * w
        v = momentum * v + g
        w = w - lr * (g + momentum * v)
        yield w


def _adagrad(w: Array, *, lr: float, eps: float) -> Iterator[Array]:
    u = np.zeros_like(w)
    while True:
        g = _gradient(w)
        u = u + g**2
        w = w - lr * g / (np.sqrt(u) + eps)
        yield w


def _rmsprop(
    w: Array, *, lr: float, smoothing: float, eps: float, momentum: float = 0.0, centered: bool = False
) -> Iterator[Array]:
    u, mean, v = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    while True:
        g = _gradient(w)
        u = smoothing * u + (1 - smoothing) * g**2
        mean = smoothing * mean + (1 - smoothing) * g
        v = momentum * v + g / (np.sqrt(u - mean**2 if centered else u) + eps)
        w = w - lr * v
        yield w


def _adadelta(w: Array, *, lr: float, smoothing: float, eps: float) -> Iterator[Array]:
    u, s = np.zeros_like(w), np.zeros_like(w)
    while True:
        g = _gradient(w)
        u = smoothing * u + (1 - smoothing) * g**2
        d = np.sqrt(s + eps) / np.sqrt(u + eps) * g
        s = smoothing * s + (1 - smoothing) * d**2
        w = w - lr * d
        yield w


def _adam(
    w: Array,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    largest: bool = False,
) -> Iterator[Array]:
    m, u, t = np.zeros_like(w), np.zeros_like(w), 0
    peak = u
    while True:
        t += 1
        g = _gradient(w) + (0 if decoupled else weight_decay * w)
        m = betas[0] * m + (1 - betas[0]) * g
        u = betas[1] * u + (1 - betas[1]) * g**2
        peak = np.maximum(peak, u) if largest else u
        step = m / (1 - betas[0] ** t) / (np.sqrt(peak / (1 - betas[1] ** t)) + eps)
        w = w - lr * step - (lr * weight_decay * w if decoupled else 0)
        yield w


def _adamax(w: Array, *, lr: float, betas: tuple[float, float], eps: float) -> Iterator[Array]:
    m, u, t = np.zeros_like(w), np.zeros_like(w), 0
    while True:
        t += 1
        g = _gradient(w)
        m = betas[0] * m + (1 - betas[0]) * g
        u = np.maximum(betas[1] * u, np.abs(g) + eps)
        w = w - lr / (1 - betas[0] ** t) * m / u
        yield w


def _nadam(w: Array, *, lr: float, betas: tuple[float, float], eps: float, momentum_decay: float) -> Iterator[Array]:
    m, u, t, product = np.zeros_like(w), np.zeros_like(w), 0, 1.0

    def share(time: int) -> float:
        return betas[0] * (1 - 0.5 * 0.96 ** (time * momentum_decay))

    while True:
        t += 1
        g = _gradient(w)
        m = betas[0] * m + (1 - betas[0]) * g
        u = betas[1] * u + (1 - betas[1]) * g**2
        product *= share(t)
        ahead = share(t + 1) * m / (1 - product * share(t + 1)) + (1 - share(t)) * g / (1 - product)
        w = w - lr * ahead / (np.sqrt(u / (1 - betas[1] ** t)) + eps)
        yield w


def _radam(w: Array, *, lr: float, betas: tuple[float, float], eps: float) -> Iterator[Array]:
    m, u, t, longest = np.zeros_like(w), np.zeros_like(w), 0, 2 / (1 - betas[1]) - 1
    while True:
        t += 1
        g = _gradient(w)
        m = betas[0] * m + (1 - betas[0]) * g
        u = betas[1] * u + (1 - betas[1]) * g**2
        step = m / (1 - betas[0] ** t)
        length = longest - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
        if length > 5:
            part = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            step = step * np.sqrt(part * (1 - betas[1] ** t)) / (np.sqrt(u) + eps)
        w = w - lr * step
        yield w


def _lion(w: Array, *, lr: float, betas: tuple[float, float], weight_decay: float) -> Iterator[Array]:
    m = np.zeros_like(w)
    while True:
        g = _gradient(w)
        w = w - lr * (np.sign(betas[0] * m + (1 - betas[0]) * g) + weight_decay * w)
        m = betas[1] * m + (1 - betas[1]) * g
        yield w


def _schedule_free(
    w: Array, *, lr: float, form: str, momentum: float, smoothing: float, eps: float, weight_decay: float
) -> Iterator[Array]:
    x, y, z, u, t = w, w, w, np.zeros_like(w), 0
    while True:
        t += 1
        g = _gradient(y)
        u = smoothing * u + (1 - smoothing) * g**2
        d = g / (np.sqrt(u / (1 - smoothing**t)) + eps) if form == "adamw" else g
        z = z - lr * (d + weight_decay * y)
        x = (1 - 1 / t) * x + z / t
        y = (1 - momentum) * z + momentum * x
        yield y


def _muon(w: Array, *, lr: float, momentum: float, weight_decay: float, **of_others: Any) -> Iterator[Array]:
    others = _adam(w, lr=lr, weight_decay=weight_decay, decoupled=True, **of_others)
    v, middle = np.zeros_like(w[1]), w[1]
    while True:
        g = _gradient(np.stack([w[0], middle, w[2]]))[1]
        v = momentum * v + g
        x = g + momentum * v
        x = x / np.linalg.norm(x)
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        middle = middle - lr * weight_decay * middle - lr * 0.2 * np.sqrt(3) * x
        first, _, last = next(others)
        yield np.stack([first, middle, last])


def _armijo(w: Array, direction: Array, first: float) -> float:
    """The first of `first`, a half, a quarter ... that falls by a ten thousandth of what the slope promises."""
    step, slope = first, float((_gradient(w) * direction).sum())
    while _height(w + step * direction) > _height(w) + 1e-4 * step * slope:
        step /= 2
    return step


def _backtracking(w: Array, *, lr: float, line_search: str) -> Iterator[Array]:
    assert line_search == "backtracking"
    step = lr
    while True:
        g = _gradient(w)
        step = _armijo(w, -g, min(lr, 2 * step))
        w = w - step * g
        yield w


def _newton_cg(w: Array, *, iterations: int) -> Iterator[Array]:
    while True:
        g, h = _gradient(w), _hessian(w)
        norm = np.linalg.norm(g)
        z, r, d = np.zeros_like(w), g, -g
        for _ in range(iterations):
            alpha = (r * r).sum() / (d * h * d).sum()
            z, before, r = z + alpha * d, r, r + alpha * h * d
            if np.linalg.norm(r) < min(0.5, np.sqrt(norm)) * norm:
                break
            d = -r + (r * r).sum() / (before * before).sum() * d
        w = w + _armijo(w, z, 1.0) * z
        yield w


UPDATES: list[tuple[str, dict[str, Any], Callable[..., Iterator[Array]]]] = [
    ("sgd", {"lr": 0.05, "weight_decay": 0.1}, _sgd),
    ("sgd", {"lr": 0.05, "momentum": 0.8}, _sgd),
    ("momentum", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}, _sgd),
    ("nesterov", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}, _nesterov),
    ("adagrad", {"lr": 0.3, "eps": 1e-10}, _adagrad),
    ("rmsprop", {"lr": 0.05, "smoothing": 0.9, "eps": 1e-3}, _rmsprop),
    ("rmsprop", {"lr": 0.05, "smoothing": 0.9, "eps": 1e-3, "momentum": 0.5, "centered": True}, _rmsprop),
    ("adadelta", {"lr": 2.0, "smoothing": 0.9, "eps": 1e-3}, _adadelta),
    ("adam", {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-3, "weight_decay": 0.1}, _adam),
    ("adamw", {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-3, "weight_decay": 0.1}, partial(_adam, decoupled=True)),
    ("amsgrad", {"lr": 0.1, "betas": (0.9, 0.8), "eps": 1e-3}, partial(_adam, largest=True)),
    ("adamax", {"lr": 0.1, "betas": (0.9, 0.9), "eps": 1e-3}, _adamax),
    ("nadam", {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-3, "momentum_decay": 0.1}, _nadam),
    ("radam", {"lr": 0.1, "betas": (0.9, 0.8), "eps": 1e-3}, _radam),
    ("lion", {"lr": 0.1, "betas": (0.9, 0.95), "weight_decay": 0.1}, _lion),
    (
        "schedule_free",
        {"lr": 0.3, "form": "adamw", "momentum": 0.9, "smoothing": 0.99, "eps": 1e-3, "weight_decay": 0.1},
        _schedule_free,
    ),
    (
        "schedule_free",
        {"lr": 0.1, "form": "sgd", "momentum": 0.8, "smoothing": 0.99, "eps": 1e-3, "weight_decay": 0.1},
        _schedule_free,
    ),
    ("muon", {"lr": 0.1, "momentum": 0.8, "betas": (0.9, 0.95), "eps": 1e-3, "weight_decay": 0.1}, _muon),
    ("gradient_descent", {"lr": 0.05}, _sgd),
    ("gradient_descent", {"lr": 0.7, "line_search": "backtracking"}, _backtracking),
    ("newton_cg", {"iterations": 4}, _newton_cg),
]


@pytest.mark.parametrize(("name", "options", "published"), UPDATES, ids=_named)
def test_the_steps_are_those_of_the_paper(
    name: str, options: dict[str, Any], published: Callable[..., Iterator[Array]]
) -> None:
    found = _places(name, options)
    expected = published(START, **options)
    for place in found[1:]:
        np.testing.assert_allclose(place, next(expected), rtol=1e-6, atol=1e-7)
    assert np.abs(found[-1] - START).max() > 0.1


def _down(places: list[Array]) -> Array:
    return -_gradient(places[-1])


def _conjugate(places: list[Array], beta: Callable[[Array, Array, Array], float]) -> Array:
    before = _gradient(places[0])
    direction = -before
    for place in places[1:]:
        g = _gradient(place)
        direction, before = beta(g, before, direction) * direction - g, g
    return direction


def _bfgs(places: list[Array]) -> Array:
    moves = [(after - before).ravel() for before, after in pairwise(places)]
    gradients = [_gradient(place).ravel() for place in places]
    changes = [after - before for before, after in pairwise(gradients)]
    inverse = np.eye(START.size)
    if moves:
        inverse *= moves[-1] @ changes[-1] / (changes[-1] @ changes[-1])
    for s, y in zip(moves, changes, strict=True):
        across = np.eye(START.size) - np.outer(y, s) / (y @ s)
        inverse = across.T @ inverse @ across + np.outer(s, s) / (y @ s)
    return (-inverse @ gradients[-1]).reshape(START.shape)


def _fletcher_reeves(g: Array, before: Array, direction: Array) -> float:
    return float((g * g).sum() / (before * before).sum())


def _polak_ribiere(g: Array, before: Array, direction: Array) -> float:
    return max(0.0, float((g * (g - before)).sum() / (before * before).sum()))


def _hestenes_stiefel(g: Array, before: Array, direction: Array) -> float:
    return max(0.0, float((g * (g - before)).sum() / (direction * (g - before)).sum()))


DIRECTIONS: list[tuple[str, dict[str, Any], float, Callable[[list[Array]], Array]]] = [
    ("gradient_descent", {"lr": 1.0, "line_search": "wolfe"}, 0.9, _down),
    ("conjugate_gradient", {"beta": "fletcher_reeves"}, 0.1, partial(_conjugate, beta=_fletcher_reeves)),
    ("conjugate_gradient", {"beta": "polak_ribiere"}, 0.1, partial(_conjugate, beta=_polak_ribiere)),
    ("conjugate_gradient", {"beta": "hestenes_stiefel"}, 0.1, partial(_conjugate, beta=_hestenes_stiefel)),
    ("lbfgs", {"iterations": 1, "history": STEPS}, 0.9, _bfgs),
]


@pytest.mark.parametrize(("name", "options", "curvature", "published"), DIRECTIONS, ids=_named)
def test_the_directions_are_those_of_the_paper_and_steps_meet_the_strong_wolfe_conditions(
    name: str, options: dict[str, Any], curvature: float, published: Callable[[list[Array]], Array]
) -> None:
    places = _places(name, options)
    for number in range(STEPS):
        place, after = places[number], places[number + 1]
        direction = published(places[: number + 1])
        step = ((after - place) * direction).sum() / (direction * direction).sum()
        slope = (_gradient(place) * direction).sum()
        assert step > 0
        np.testing.assert_allclose(after - place, step * direction, rtol=1e-6, atol=1e-6 * np.abs(after - place).max())
        assert _height(after) <= _height(place) + 1e-4 * step * slope
        assert abs((_gradient(after) * direction).sum()) <= -curvature * slope


def test_every_optimizer_is_held_against_its_paper() -> None:
    assert {name for name, *_ in [*UPDATES, *DIRECTIONS]} >= set(optimizer)
