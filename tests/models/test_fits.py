"""What goes together: a network that is built runs, and what does not fit is refused before it does, with the reason.

All of it on the meta device, where `dlcat cost` and the checks before a training look at a network, and as large as the
defaults make it. `test_models.py` has the same networks drawn small, with real numbers, and their gradients.
"""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from dlcat.errors import InvalidError
from dlcat.layers.convs import conv
from dlcat.layers.norms import norm
from dlcat.models import model
from dlcat.recipe import Model, Recipe, Train
from dlcat.registry import Choice
from dlcat.train.experiment import build_model

SIGNALS = [name for name in model if model.traits(name).takes == "signals"]
SHAPES = [(3, 32, 32), (1, 256)]  # models with two forms take the small one, and the large one
DIVIDE = r"\d+ groups do not divide \d+ channels"
# Why a part may be refused; one that is not here fits every model.
REASONS = {
    "depthwise": r"as many outputs for each channel: expected a multiple of \d+ channels, found \d+",
    "group": DIVIDE,
    "pointwise_group": DIVIDE,
    "weight_standardization": DIVIDE,
}
PARTS = [("conv", chosen) for chosen in conv] + [("norm", chosen) for chosen in norm]
CASES = [
    *((*case, SHAPES[0]) for case in PARTS if case[0] == "conv"),
    *(pytest.param(*case, SHAPES[0], marks=pytest.mark.slow) for case in PARTS if case[0] == "norm"),
    *(pytest.param(*case, SHAPES[1], marks=pytest.mark.slow) for case in PARTS if case[0] == "conv"),
]


def _built(name: str, part: str, chosen: str, shape: tuple[int, ...]) -> nn.Module | str:
    """The network of a recipe, or why there is none."""
    recipe = Recipe(
        dataset=Choice(name="any"),
        model=Model(name=name, **{part: Choice(name=chosen)}),
        optimizer=Choice(name="sgd", options={"lr": 0.1}),
        train=Train(epochs=1, batch_size=2),
        name="fits",
    )
    try:
        with torch.device("meta"):
            return build_model(recipe, shape, 10)
    except InvalidError as error:
        return str(error)


@pytest.mark.parametrize(("part", "chosen", "shape"), CASES, ids=str)
@pytest.mark.parametrize("name", SIGNALS)
def test_what_is_not_refused_with_a_known_reason_runs(
    name: str, part: str, chosen: str, shape: tuple[int, ...]
) -> None:
    built = _built(name, part, chosen, shape)
    if part not in model.traits(name).uses and chosen not in ("standard", "batch"):
        assert built == f"fits: model.{part}: {name} has no {part} to choose; expected none, found {chosen}"
        return
    if isinstance(built, str):
        assert chosen in REASONS, built
        assert re.match(rf"fits: model: .*{REASONS[chosen]}", built)
        return
    with torch.no_grad():
        assert built(torch.empty(2, *shape, device="meta")).shape == (2, 10)


@pytest.mark.parametrize(("part", "chosen"), [pair for pair in PARTS if pair[1] in REASONS])
def test_what_some_models_refuse_fits_others(part: str, chosen: str) -> None:
    fits = [not isinstance(_built(name, part, chosen, SHAPES[0]), str) for name in SIGNALS]
    assert any(fits)
    assert not all(fits)
