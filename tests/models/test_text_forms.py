"""Networks for tokens compute what their papers' formulas say, written out word by word."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlcat.layers.parts import choose
from dlcat.layers.tokens import max_over
from dlcat.layers.trees import tree_marginals
from dlcat.models import model
from dlcat.models.attentive_conv import GatedConvolution
from dlcat.models.structured_attention import Structured
from dlcat.models.text_transformer import TransformerLayer
from dlcat.models.vdcnn import TextPool

LENGTHS = (6, 2)
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 2], [6, 5, 0, 0, 0, 0]])
REAL = TOKENS.ne(0)


def _build(name: str, norm: str = "none", **options: Any) -> Any:
    torch.manual_seed(0)
    network = model[name]((9, 6), 3, choose(norm=norm, dimensions=1), **options).double().eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.rand_like(weight))  # biases that are not 0
        for module in network.modules():
            if isinstance(module, nn.Embedding):
                module.weight[0] = 0
    return network


def _maps(channels: int, length: int = 6) -> Tensor:
    return torch.randn(2, channels, length, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _around(vectors: Tensor, place: int, before: int, behind: int) -> Tensor:
    """The vectors (T, C) of a place and its neighbours, zeros beyond the text: (before + 1 + behind, C)."""
    padded = nn.functional.pad(vectors, (0, 0, before, behind))
    return padded[place : place + before + 1 + behind]


def _window(layer: nn.Conv1d, vectors: Tensor, place: int) -> Tensor:
    """What one convolution gives at one place of vectors (T, C)."""
    width = layer.kernel_size[0]
    seen = _around(vectors, place, width // 2, (width - 1) // 2)
    found = torch.einsum("dck,kc->d", layer.weight, seen)
    return found if layer.bias is None else found + layer.bias


def test_text_cnn_takes_the_largest_answer_of_each_window() -> None:
    network = _build("text_cnn", embedding=4, channels=5, windows=(2, 3, 4))
    windows = [layer for layer in network.modules() if isinstance(layer, nn.Conv1d)]
    for text, length in enumerate(LENGTHS):
        vectors = network.embedding.weight[TOKENS[text, :length]]
        answers = [
            torch.stack([_window(layer, vectors, place).relu() for place in range(length)]).amax(0) for layer in windows
        ]
        torch.testing.assert_close(network(TOKENS)[text], network.head(torch.cat(answers)))


@pytest.mark.parametrize("energy", ["dot", "bilinear"])
def test_light_attentive_convolution_adds_what_each_word_finds_in_the_text(energy: str) -> None:
    network = _build("attentive_conv", embedding=4, channels=5, energy=energy)
    bilinear = network.attention.query.weight[..., 0] if energy == "bilinear" else torch.eye(4, dtype=torch.float64)
    context = network.attention.output.weight[..., 0]
    for text, length in enumerate(LENGTHS):
        vectors = network.embedding.weight[TOKENS[text, :length]]  # (T, C)
        answers = []
        for place in range(length):
            shares = torch.stack([(bilinear @ vectors[place]) @ other for other in vectors]).softmax(0)
            found = sum(share * other for share, other in zip(shares, vectors, strict=True))
            answers.append((_window(network.convolution, vectors, place) + context @ found).relu())
        torch.testing.assert_close(network(TOKENS)[text], network.head(torch.stack(answers).amax(0)))


def test_a_gated_convolution_keeps_or_renews_each_number() -> None:
    torch.manual_seed(0)
    layer: Any = GatedConvolution(4, 3, choose(norm="none", dimensions=1)).double()
    maps = _maps(4)
    for text, found in zip(maps, layer(maps), strict=True):
        for place in range(6):
            gate = 1 / (1 + torch.exp(-_window(layer.gate, text.T, place)))
            new = torch.tanh(_window(layer.new, text.T, place))
            torch.testing.assert_close(found[:, place], gate * text[:, place] + (1 - gate) * new)


def test_advanced_attentive_convolution_compares_two_grains_and_looks_at_a_third() -> None:
    network = _build("attentive_conv", embedding=4, channels=5, form="advanced")
    vectors = network.embedding(TOKENS)
    single, neighbours = network.compared.branches
    assert (single.new.kernel_size, neighbours.new.kernel_size) == ((1,), (3,))
    both = torch.cat([single(vectors), neighbours(vectors)], 1)
    found = network.attention(both, both, REAL)
    windows = network.convolution(network.convolved(vectors).masked_fill(~REAL[:, None], 0))
    torch.testing.assert_close(network(TOKENS), network.head(max_over((windows + found).relu(), REAL)))


def test_a_layer_of_the_transformer_is_torchs_own() -> None:
    network = _build("text_transformer", norm="layer", width=8, heads=2, depth=1, dropout=0.0)
    ours = network.layers[0]
    assert isinstance(ours, TransformerLayer)
    theirs = nn.TransformerEncoderLayer(8, 2, 32, 0.0, batch_first=True, norm_first=True).double()
    attention: Any = ours.attention
    three = (attention.query, attention.key, attention.value)
    theirs.load_state_dict({
        "self_attn.in_proj_weight": torch.cat([each.weight[..., 0] for each in three]),
        "self_attn.in_proj_bias": torch.cat([attention.query.bias, torch.zeros(8), attention.value.bias]),
        "self_attn.out_proj.weight": attention.output.weight[..., 0],
        "self_attn.out_proj.bias": attention.output.bias,
        "linear1.weight": ours.widened[0].weight[..., 0],
        "linear1.bias": ours.widened[0].bias,
        "linear2.weight": ours.narrowed.weight[..., 0],
        "linear2.bias": ours.narrowed.bias,
        "norm1.weight": ours.attention_norm.norm.weight,
        "norm1.bias": ours.attention_norm.norm.bias,
        "norm2.weight": ours.norm.norm.weight,
        "norm2.bias": ours.norm.norm.bias,
    })  # fmt: skip
    maps = _maps(8)
    expected = theirs(maps.mT, src_key_padding_mask=~REAL).mT
    torch.testing.assert_close(ours(maps, REAL).mT[REAL], expected.mT[REAL])


def test_the_transformer_adds_positions_and_takes_the_mean_over_words() -> None:
    network = _build("text_transformer", norm="layer", width=8, heads=2, depth=1, dropout=0.0)
    maps = network.embedding(TOKENS) + network.positions.vectors
    said = network.norm(network.layers[0](maps, REAL))
    means = torch.stack([said[text, :, :length].mean(1) for text, length in enumerate(LENGTHS)])
    torch.testing.assert_close(network(TOKENS), network.head(means))


def test_each_word_is_joined_with_what_it_hangs_on_and_what_hangs_on_it() -> None:
    torch.manual_seed(0)
    layer: Any = Structured(nn.Identity(), 4, 3, choose(norm="none", dimensions=1)).double()
    nn.init.normal_(layer.root_says)
    maps = _maps(7)
    found = layer(maps, REAL)
    for text, length in enumerate(LENGTHS):
        says, decides = maps[text, :4, :length].T, maps[text, 4:, :length].T  # (T, C) each
        heads, children = (torch.tanh(decides @ one.weight[..., 0].T + one.bias) for one in (layer.parent, layer.child))
        edges = torch.stack(
            [torch.stack([head @ layer.edge.weight[..., 0] @ child for child in children]) for head in heads]
        )
        roots = decides @ layer.root.weight[0, :, 0]
        hangs, is_root = tree_marginals(edges[None], roots[None], torch.ones(1, length, dtype=torch.bool))
        for place in range(length):
            above = sum(hangs[0, other, place] * says[other] for other in range(length))
            above = above + is_root[0, place] * layer.root_says
            below = sum(hangs[0, place, other] * says[other] for other in range(length))
            joined = layer.join.weight[..., 0] @ torch.cat([says[place], above, below]) + layer.join.bias
            torch.testing.assert_close(found[text, :, place], torch.tanh(joined))


def test_a_pool_of_a_text_takes_the_largest_of_three_words_around_every_second() -> None:
    maps = _maps(4) - 5  # below the zeros that stand for filling
    found, left = TextPool(choose(dimensions=1))(maps, REAL)
    assert left.sum(1).tolist() == [3, 1]
    for text, length in enumerate(LENGTHS):
        for index, place in enumerate(range(0, length, 2)):
            expected = maps[text, :, max(0, place - 1) : min(place + 2, length)].amax(1)
            torch.testing.assert_close(found[text, :, index], expected)
        assert not found[text, :, left[text].sum() :].any()


def test_vdcnn_with_shortcuts_adds_what_a_block_reads() -> None:
    network = _build("vdcnn", norm="batch", depth=9, width=0.125, hidden=4, shortcut=True)
    block = network.steps[0]
    maps = _maps(8).masked_fill(~REAL[:, None], 0)
    found, _ = block(maps, REAL)
    inner = block.first(maps).masked_fill(~REAL[:, None], 0)
    torch.testing.assert_close(found, (block.second(inner) + maps).masked_fill(~REAL[:, None], 0))


def test_multichannel_char_cnn_reads_each_kind_of_vector_with_windows_of_its_own() -> None:
    network = _build("multichannel_char_cnn", embedding=4, channels=5, windows=(2, 3))
    answers = [
        answer(embedding(TOKENS), REAL) for embedding, answer in zip(network.embeddings, network.answers, strict=True)
    ]
    torch.testing.assert_close(network(TOKENS), network.head(torch.cat(answers, 1)))
    assert not any(one is other for one in network.answers[0].parameters() for other in network.answers[1].parameters())


@pytest.mark.parametrize("summary", ["ends", "mean", "max"])
def test_a_gru_tells_the_ends_the_mean_or_the_largest_of_its_states(summary: str) -> None:
    network = _build("gru", embedding=4, hidden=3, summary=summary)
    states = network.layers[0](network.embedding(TOKENS), REAL)
    told = {
        "ends": [torch.cat([states[text, :3, length - 1], states[text, 3:, 0]]) for text, length in enumerate(LENGTHS)],
        "mean": [states[text, :, :length].mean(1) for text, length in enumerate(LENGTHS)],
        "max": [states[text, :, :length].amax(1) for text, length in enumerate(LENGTHS)],
    }
    torch.testing.assert_close(network(TOKENS), network.head(torch.stack(told[summary])))
