"""Costs of networks that take tokens, against formulas worked out by hand and torch's own counter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dlcat.cost import Cost, cost
from dlcat.cost.recurrence import AllSteps
from dlcat.layers.parts import choose
from dlcat.layers.tokens import Embedding
from dlcat.models import model

TEXTS = [name for name in model if model.traits(name).takes == "tokens"]
OUTPUTS = 5
VOCABULARY, LENGTH = 30, 24
SHAPE = (VOCABULARY, LENGTH)
SMALL: dict[str, dict[str, Any]] = {
    "char_cnn": {"features": 8, "hidden": 8},
    "gru": {"embedding": 8, "hidden": 6, "layers": 2},
    "structured_attention": {"window": 8},
    "vdcnn": {"depth": 9, "width": 0.125},
}


def _builder(name: str, norm: str = "batch", **options: Any) -> Callable[[], nn.Module]:
    chosen = options or SMALL.get(name, {})
    return lambda: model[name](SHAPE, OUTPUTS, choose(norm=norm, dimensions=1), **chosen)


def _price(name: str, norm: str = "batch", **options: Any) -> Cost:
    return cost(_builder(name, norm, **options), SHAPE, takes="tokens")


def test_looking_up_vectors_multiplies_nothing() -> None:
    price = cost(lambda: Embedding(VOCABULARY, 8, nn.init.normal_), SHAPE, takes="tokens")
    assert (price.macs, price.backward_macs, price.parameters) == (0, 0, VOCABULARY * 8)
    assert price.layers[0].output_shape == (8, LENGTH)
    assert price.layers[0].receptive_field == (1,)


def test_windows_over_words_cost_their_width_at_every_word() -> None:
    price = _price("text_cnn", embedding=8, channels=6, windows=(3, 4, 5))
    windows = 8 * 6 * (LENGTH * 3 + (LENGTH + 1) * 4 + LENGTH * 5)  # an even one is computed at one place more
    assert price.macs == windows + 3 * 6 * OUTPUTS
    assert price.backward_macs == 2 * price.macs


def test_a_recurrent_layer_costs_three_gates_of_what_it_reads_and_of_its_state_at_every_word() -> None:
    price = _price("gru", embedding=8, hidden=6)
    assert price.macs == 2 * LENGTH * 3 * 6 * (8 + 6) + 2 * 6 * OUTPUTS


def test_a_transformer_costs_its_projections_and_the_products_of_all_pairs() -> None:
    price = _price("text_transformer", width=16, depth=3, heads=2, expansion=4)
    projections, pairs, dense = 4 * LENGTH * 16**2, 2 * LENGTH**2 * 16, 2 * LENGTH * 16 * 64
    assert price.macs == 3 * (projections + pairs + dense) + 16 * OUTPUTS


def test_attentive_convolution_costs_its_windows_and_the_products_of_all_pairs() -> None:
    price = _price("attentive_conv", embedding=8, channels=6)
    assert price.macs == LENGTH * 3 * 8 * 6 + 2 * LENGTH**2 * 8 + LENGTH * 8 * 6 + 6 * OUTPUTS


def test_trees_cost_the_products_of_all_pairs_of_words_and_of_passages() -> None:
    price = _price("structured_attention", embedding=8, semantic=6, structure=4, window=8)
    macs = LENGTH * 3 * 8 * 10 + (LENGTH // 8) * 3 * 6 * 10 + 6 * OUTPUTS
    for texts, length in ((LENGTH // 8, 8), (1, LENGTH // 8)):
        at_each = 3 * 4 * 4 + 4 + 3 * 6 * 6  # parent, child and edge, root, and what joins
        macs += texts * (length * at_each + length**2 * (4 + 6 + 6) + length**3)
    assert price.macs == macs


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_model_costs_what_torch_counts(name: str) -> None:
    build = _builder(name)
    price = cost(build, SHAPE, takes="tokens")
    with torch.device("meta"):
        network, batch = build(), torch.empty(2, LENGTH, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        outputs = network(batch)
        forward = counter.get_total_flops()
        outputs.sum().backward()
    inverses = 2 * (3 * 8**3 + 3**3) if name == "structured_attention" else 0  # torch counts their gradients only
    assert 2 * (2 * price.macs - inverses) == forward
    # torch knows that the state before the first word does not learn: in both directions of both layers
    unlearned = 2 * (2 * 2 * 3 * 6**2) if name == "gru" else 0
    assert 2 * (2 * price.backward_macs - unlearned) == counter.get_total_flops() - forward


@pytest.mark.parametrize("both_directions", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_all_steps_of_recurrence_at_once_are_as_large_as_one_by_one(
    bias: bool, batch_first: bool, both_directions: bool
) -> None:
    with torch.device("meta"):
        layer = nn.GRU(5, 6, 2, bias, batch_first, 0.1, both_directions)
        inputs = torch.empty(3, 7, 5)
        one_by_one = layer(inputs)
        with AllSteps():
            at_once = layer(inputs)
    assert [found.shape for found in at_once] == [found.shape for found in one_by_one]


@pytest.mark.parametrize("name", TEXTS)
def test_the_layers_of_every_text_model_add_up_to_its_weights(name: str) -> None:
    price = _price(name)
    with torch.device("meta"):
        network = _builder(name)()
    assert price.parameters == sum(parameter.numel() for parameter in network.parameters())
    for total in ("parameters", "macs", "backward_macs", "kept_bytes"):
        assert sum(getattr(layer, total) for layer in price.layers) == getattr(price, total)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["text_cnn", "text_transformer", "structured_attention"])
def test_memory_grows_by_as_much_with_every_text(name: str, precision: str) -> None:
    prices = [cost(_builder(name), SHAPE, takes="tokens", batch_size=size, precision=precision) for size in (2, 3, 5)]
    two, three, five = (price.kept_bytes for price in prices)
    assert five - three == 2 * (three - two) > 0
    two, three, five = (price.evaluation_peak_bytes for price in prices)
    assert five - three >= 2 * (three - two) > 0  # more than as much where the peak comes to be at another time


def test_windows_over_words_see_as_many_words() -> None:
    price = _price("text_cnn", windows=(3, 4, 7))
    seen = [layer.receptive_field for layer in price.layers if layer.kind == "Conv1d"]
    assert seen == [(3,), (4,), (7,)]
    assert price.layers[-1].receptive_field == (LENGTH,)


def test_deep_windows_see_further_with_every_block_and_pool() -> None:
    """By r = 1 + sum of (k - 1) * jump: a stem, and twice two convolutions with a pool between."""
    price = _price("vdcnn")
    seen = [layer.receptive_field for layer in price.layers if layer.kind == "Conv1d"]
    assert seen[:5] == [(3,), (5,), (7,), (13,), (17,)]
    assert price.layers[-1].receptive_field == (LENGTH,)


@pytest.mark.parametrize("name", ["attentive_conv", "gru", "structured_attention", "text_transformer"])
def test_attention_and_recurrence_see_all_of_the_text(name: str) -> None:
    assert _price(name).layers[-1].receptive_field == (LENGTH,)
