"""What is taken over a text is what a loop over its words takes, whatever stands behind it."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from dlcat.layers.attention import Attention
from dlcat.layers.convs import conv
from dlcat.layers.parts import choose
from dlcat.layers.per_position import PerPosition
from dlcat.layers.tokens import (
    Embedding,
    FixedEmbedding,
    OneHot,
    k_max_over,
    max_over,
    mean_over,
    real_positions,
    silence,
)
from dlcat.layers.windows import window
from dlcat.models.gru import BothDirections, turned

LENGTHS = (5, 1, 7)
REAL = torch.arange(7) < torch.tensor(LENGTHS)[:, None]


def _maps(channels: int = 4) -> Tensor:
    return torch.randn(3, channels, 7, generator=torch.Generator().manual_seed(0))


def test_a_text_ends_with_its_last_token() -> None:
    tokens = torch.tensor([[3, 1, 0, 2, 0, 0], [0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]])
    assert real_positions(tokens).sum(1).tolist() == [4, 1, 6]  # what stands before it is no filling
    assert real_positions(tokens)[0].tolist() == [True] * 4 + [False] * 2


def test_filling_is_a_vector_of_zeros() -> None:
    tokens = torch.tensor([[1, 2, 0]])
    for layer in (Embedding(5, 3, nn.init.normal_), FixedEmbedding(5, 3, nn.init.normal_), OneHot(5)):
        vectors = layer(tokens)
        assert vectors.shape == (1, 4 if isinstance(layer, OneHot) else 3, 3)
        assert vectors[..., :2].any(1).all()
        assert not vectors[..., 2].any()


def test_vectors_are_drawn_as_they_are_told_to_be() -> None:
    vectors = Embedding(2000, 10, partial(nn.init.uniform_, a=-0.25, b=0.25)).weight[1:]
    assert -0.25 <= vectors.min() < -0.24
    assert 0.24 < vectors.max() <= 0.25


def test_a_one_hot_code_is_a_channel_for_each_token_but_the_filling() -> None:
    assert torch.equal(
        OneHot(4)(torch.tensor([[3, 0, 1, 2]]))[0], torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])
    )


def test_fixed_vectors_are_kept_but_do_not_learn() -> None:
    layer = FixedEmbedding(5, 3, nn.init.normal_)
    assert list(layer.parameters()) == []
    assert list(layer.state_dict()) == ["vectors"]
    assert list(OneHot(5).state_dict()) == []


def test_means_and_largest_values_are_those_of_the_text() -> None:
    maps = _maps()
    for text, length in enumerate(LENGTHS):
        words = maps[text, :, :length]
        torch.testing.assert_close(mean_over(maps, REAL)[text], words.mean(1))
        torch.testing.assert_close(max_over(maps, REAL)[text], words.amax(1))
        torch.testing.assert_close(silence(maps, REAL)[text, :, :length], words)
        assert not silence(maps, REAL)[text, :, length:].any()


@pytest.mark.parametrize("k", [1, 3, 6, 9])
def test_the_k_largest_values_stand_in_their_order(k: int) -> None:
    maps = _maps().relu()  # with equal values among them
    found = k_max_over(maps, REAL, k)
    assert found.shape == (3, 4, k)
    for text, length in enumerate(LENGTHS):
        for values, kept in zip(maps[text, :, :length].tolist(), found[text].tolist(), strict=True):
            places = sorted(range(length), key=lambda place: (-values[place], place))[:k]
            assert kept == [values[place] for place in sorted(places)] + [0.0] * (k - len(places))


@pytest.mark.parametrize("width", [1, 2, 3, 4, 7, 8])
def test_a_window_of_any_width_sums_up_its_words(width: int) -> None:
    torch.manual_seed(0)
    layer = window(4, 5, width, choose(norm="none", dimensions=1))
    inner = next(step for step in layer.modules() if isinstance(step, nn.Conv1d))
    assert inner.weight.shape == (5, 4, width)
    maps = _maps()
    padded = nn.functional.pad(maps, (width // 2, width))
    for place in range(7):
        expected = torch.einsum("nck,dck->nd", padded[..., place : place + width], inner.weight) + inner.bias
        torch.testing.assert_close(layer(maps)[..., place], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", ["none", "weight_standardization"])
@pytest.mark.parametrize("name", list(conv))
def test_every_convolution_has_windows_of_an_even_width(name: str, norm: str) -> None:
    layer = window(4, 8, 4, choose(conv=name, norm=norm, dimensions=1))
    outputs = layer(_maps())
    assert outputs.shape == (3, 8, 7)
    outputs.square().sum().backward()
    assert all(weight.grad is not None for weight in layer.parameters())
    assert not any(step.kernel_size == (5,) for step in layer.modules() if isinstance(step, nn.Conv1d))


@pytest.mark.parametrize("name", list(conv))
def test_no_window_hears_of_filling_that_is_zeros(name: str) -> None:
    layer = window(4, 8, 4, choose(conv=name, dimensions=1))
    maps = silence(_maps(), REAL)
    for text, length in enumerate(LENGTHS):
        alone = layer(maps[text : text + 1, :, :length])[0]
        torch.testing.assert_close(layer(maps)[text, :, :length], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("heads", "scale"), [(1, None), (2, None), (2, 1.0)])
def test_attention_is_a_mean_weighed_by_the_softmax_of_products(heads: int, scale: float | None) -> None:
    torch.manual_seed(0)
    query, key, value, output = (nn.Conv1d(4, 4, 1) for _ in range(4))
    maps = _maps()
    found = Attention(query, key, value, output, heads=heads, scale=scale)(maps, maps, REAL)
    size = 4 // heads
    for text, length in enumerate(LENGTHS):
        q, k, v = (projection(maps[text, :, :length]) for projection in (query, key, value))
        for place in range(length):
            read = []
            for head in range(heads):
                own = slice(head * size, (head + 1) * size)
                shares = torch.softmax((q[own, place] @ k[own]) * (scale or size**-0.5), dim=0)
                read.append(v[own] @ shares)
            expected = output(torch.cat(read)[:, None])[:, 0]
            torch.testing.assert_close(found[text, :, place], expected, atol=1e-5, rtol=1e-5)


def test_a_norm_per_position_is_shown_each_as_an_example() -> None:
    maps = _maps()
    per_position = PerPosition(choose(norm="layer", dimensions=1).norm(4))
    for place in range(7):
        expected = nn.functional.layer_norm(maps[..., place], (4,))
        torch.testing.assert_close(per_position(maps)[..., place], expected)
        torch.testing.assert_close(per_position(maps[..., place]), expected)


def test_texts_are_turned_round_where_they_are_text() -> None:
    sequence = torch.arange(7)[None, :, None].expand(3, 7, 1)
    found = turned(sequence, REAL)[..., 0].tolist()
    assert found == [[4, 3, 2, 1, 0, 5, 6], [0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0]]


def test_both_directions_are_those_of_torchs_own_on_each_text_alone() -> None:
    torch.manual_seed(0)
    layer = BothDirections(4, 3)
    both = nn.GRU(4, 3, batch_first=True, bidirectional=True)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    weights = {name: getattr(layer.forwards, name) for name in names}
    both.load_state_dict(weights | {f"{name}_reverse": getattr(layer.backwards, name) for name in names})
    maps = _maps()
    for text, length in enumerate(LENGTHS):
        expected, _ = both(maps[text : text + 1, :, :length].mT)
        torch.testing.assert_close(layer(maps, REAL)[text, :, :length], expected[0].mT)
