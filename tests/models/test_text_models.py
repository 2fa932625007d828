"""Laws of every model that takes tokens: those of the others, and that filling behind a text says nothing."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlcat.layers.activations import activation
from dlcat.layers.convs import conv
from dlcat.layers.norms import norm
from dlcat.layers.parts import Parts, choose
from dlcat.models import model
from dlcat.registry import Choice, Family

TEXTS = [name for name in model if model.traits(name).takes == "tokens"]
FAMILIES: dict[str, Family] = {"conv": conv, "norm": norm, "activation": activation}
OUTPUTS = 4
VOCABULARY, LENGTH = 13, 24
FITTING: dict[str, dict[str, Any]] = {"group": {"groups": 4}, "weight_standardization": {"groups": 4}}
# Drawn small, and without dropout, so that the laws take seconds.
SMALL: dict[str, dict[str, Any]] = {
    "attentive_conv": {"embedding": 8, "channels": 16, "dropout": 0.0},
    "char_cnn": {"features": 16, "hidden": 16, "dropout": 0.0},
    "gru": {"embedding": 8, "hidden": 8, "layers": 2, "dropout": 0.0},
    "multichannel_char_cnn": {"embedding": 8, "channels": 8, "dropout": 0.0},
    "structured_attention": {"embedding": 8, "semantic": 12, "structure": 4, "window": 5, "dropout": 0.0},
    "text_cnn": {"embedding": 8, "channels": 8, "dropout": 0.0},
    "text_transformer": {"width": 16, "depth": 1, "dropout": 0.0},
    "vdcnn": {"depth": 9, "width": 0.125, "hidden": 16, "dropout": 0.0},
}
# What each can be besides, in its small form.
FORMS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in TEXTS),
    ("attentive_conv", {"form": "advanced", "energy": "bilinear"}),
    ("char_cnn", {"characters": "learned"}),
    ("gru", {"summary": "mean"}),
    ("gru", {"summary": "max", "layers": 1}),
    ("multichannel_char_cnn", {"vectors": ("nonstatic",)}),
    ("text_transformer", {"kernel": 3, "depth": 2}),
    ("vdcnn", {"shortcut": True}),
    ("vdcnn", {"shortcut": True, "halve": "stride"}),
]
# What does not fit, and what is said of it.
NO_MULTIPLE = "as many outputs for each channel"
NOTHING_LEFT = "leaves nothing of single positions"
REFUSALS = {
    ("conv", "structured_attention", "depthwise"): NO_MULTIPLE,
    ("conv", "text_transformer", "depthwise"): NO_MULTIPLE,
    ("norm", "gru", "instance"): NOTHING_LEFT,
    ("norm", "text_transformer", "instance"): NOTHING_LEFT,
}
QUICK = {"batch", "layer", "none", *conv, *activation}
CASES = [(part, name, chosen) for part, family in FAMILIES.items() for name, chosen in product(TEXTS, family)]


def _parts(conv: str = "standard", norm: str = "batch", activation: str = "relu") -> Parts:
    chosen = Choice(name=norm, options=FITTING.get(norm, {}))
    return choose(conv=conv, norm=chosen, activation=activation, dimensions=1)


def _build(
    name: str, parts: Parts | None = None, length: int = LENGTH, vocabulary: int = VOCABULARY, **options: Any
) -> Any:
    torch.manual_seed(0)
    return model[name]((vocabulary, length), OUTPUTS, parts or _parts(), **{**SMALL[name], **options})


def _texts(*lengths: int, length: int = LENGTH, vocabulary: int = VOCABULARY) -> Tensor:
    """Tokens of texts of such lengths, filled up."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(1, vocabulary, (len(lengths), length), generator=generator)
    return tokens * (torch.arange(length) < torch.tensor(lengths)[:, None])


def _learns(network: nn.Module, tokens: Tensor) -> Tensor:
    outputs: Tensor = network(tokens)
    assert outputs.shape == (len(tokens), OUTPUTS)
    nn.functional.cross_entropy(outputs, torch.arange(len(tokens)) % OUTPUTS).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    return outputs.detach()


def _trained(network: nn.Module) -> nn.Module:
    """Some steps on, in evaluation: norms have averages of their own, and biases are none of 0."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        _learns(network, _texts(24, 7, 3, 1))
        optimizer.step()
    return network.eval()


@pytest.mark.parametrize(
    ("part", "name", "chosen"),
    [
        case if case[2] in QUICK else pytest.param(*case, marks=pytest.mark.slow)
        for case in CASES
        if case not in REFUSALS
    ],
)
def test_every_text_model_learns_with_every_part_that_fits(part: str, name: str, chosen: str) -> None:
    outputs = _learns(_build(name, _parts(**{part: chosen})), _texts(24, 7, 3))
    assert outputs.std().item() < 10


@pytest.mark.parametrize(("part", "name", "chosen"), list(REFUSALS))
def test_a_part_that_does_not_fit_is_refused_with_the_reason(part: str, name: str, chosen: str) -> None:
    with pytest.raises(ValueError, match=REFUSALS[part, name, chosen]):
        _build(name, _parts(**{part: chosen}))


@pytest.mark.parametrize("part", list(FAMILIES))
@pytest.mark.parametrize("name", TEXTS)
def test_a_model_uses_the_parts_that_it_says(name: str, part: str) -> None:
    other = {"conv": "flattened", "norm": "rms", "activation": "mish"}[part]
    one, another = _build(name), _build(name, _parts(**{part: other}))
    assert (str(one) != str(another)) == (part in model.traits(name).uses)


@pytest.mark.parametrize("name", TEXTS)
def test_a_gradient_lies_in_memory_as_its_weight_does(name: str) -> None:
    network = _build(name)
    _learns(network, _texts(24, 7, 3))
    for named, weight in network.named_parameters():
        sides = [side for side, length in enumerate(weight.shape) if length > 1]
        assert [weight.stride(side) for side in sides] == [weight.grad.stride(side) for side in sides], named


@pytest.mark.parametrize("length", [1, 2, 5, 97])
@pytest.mark.parametrize(("name", "options"), FORMS, ids=str)
def test_every_text_model_takes_odd_lengths(name: str, options: dict[str, Any], length: int) -> None:
    _learns(_build(name, length=length, **options), _texts(length, 1, 1, length=length))


@pytest.mark.parametrize("shape", [(70, 1014), (20_000, 200)], ids=str)
@pytest.mark.parametrize("name", TEXTS)
def test_every_text_model_takes_its_datasets_as_it_is_by_default(name: str, shape: tuple[int, int]) -> None:
    options = {"characters": "learned"} if name == "char_cnn" and shape[0] > 70 else {}
    with torch.device("meta"):
        network = model[name](shape, OUTPUTS, _parts(), **options)
        assert network(torch.zeros(2, 20, dtype=torch.int64)).shape == (2, OUTPUTS)


@pytest.mark.parametrize(("name", "options"), FORMS, ids=str)
def test_every_weight_has_a_say(name: str, options: dict[str, Any]) -> None:
    network = _build(name, **options)
    _learns(network, _texts(24, 24, 23, 22, 20, 12, 11, 9))
    assert [key for key, weight in network.named_parameters() if not weight.grad.any()] == []


@pytest.mark.parametrize(("name", "options"), FORMS, ids=str)
def test_filling_says_nothing(name: str, options: dict[str, Any]) -> None:
    network = _trained(_build(name, **options))
    tokens = _texts(7, 5, 1)
    whole = network(tokens)
    for length in (7, 8, 9, 15, 16):
        torch.testing.assert_close(network(tokens[:, :length]), whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(network(tokens[1:, :5]), whole[1:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("chosen", [name for name in norm if name != "instance"])
@pytest.mark.parametrize("name", ["gru", "text_transformer"])
def test_filling_says_nothing_to_any_norm_of_single_positions(name: str, chosen: str) -> None:
    network = _trained(_build(name, _parts(norm=chosen)))
    tokens = _texts(7, 5, 1)
    torch.testing.assert_close(network(tokens[:, :7]), network(tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "char_cnn"])
def test_filling_does_not_learn_and_stays_zeros(name: str) -> None:
    network = _trained(_build(name))
    vectors = [each.weight for each in network.modules() if isinstance(each, nn.Embedding)]
    assert vectors
    for each in vectors:
        assert each[1:].any(1).all()
        assert not each[0].any()
        assert not each.grad[0].any()


@pytest.mark.parametrize(("name", "options"), FORMS, ids=str)
def test_an_empty_text_has_an_answer(name: str, options: dict[str, Any]) -> None:
    network = _trained(_build(name, **options))
    outputs = network(_texts(0, 24))
    assert outputs.isfinite().all()
    torch.testing.assert_close(network(_texts(0)), outputs[:1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "options"), FORMS, ids=str)
def test_the_order_of_words_matters(name: str, options: dict[str, Any]) -> None:
    network = _trained(_build(name, **options))
    tokens = _texts(24)
    assert (network(tokens) - network(tokens.flip(1))).abs().max() > 1e-4


@pytest.mark.parametrize("name", TEXTS)
def test_double_precision_gives_the_same_answer(name: str) -> None:
    network = _build(name).eval()
    tokens = _texts(24, 7, 3)
    single = network(tokens)
    double = network.double()(tokens)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", TEXTS)
def test_bf16_gives_nearly_the_same_answer_and_gradients_for_all(name: str) -> None:
    tokens = _texts(24, 7, 3, 12)
    exact = _learns(_build(name, _parts(norm="layer")), tokens)
    network = _build(name, _parts(norm="layer"))
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(tokens)
    nn.functional.cross_entropy(rough.float(), torch.arange(4)).backward()
    assert nn.functional.cosine_similarity(rough.detach().float().flatten(), exact.flatten(), dim=0) > 0.98
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())


@pytest.mark.parametrize("name", TEXTS)
def test_the_seed_decides_the_first_weights_and_all_that_is_kept(name: str) -> None:
    first, second = (_build(name).state_dict() for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(("name", "options"), FORMS, ids=str)
def test_a_network_of_other_weights_gives_the_same_answer_with_those_that_were_kept(
    name: str, options: dict[str, Any]
) -> None:
    network = _trained(_build(name, **options))
    other = _build(name, **options).eval()
    for weight in other.parameters():
        nn.init.constant_(weight, 0.5)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(_texts(24, 7)), network(_texts(24, 7)))


@pytest.mark.parametrize(("name", "options"), FORMS, ids=str)
def test_which_of_two_words_occurs_is_learned(name: str, options: dict[str, Any]) -> None:
    tokens = _texts(*(24, 17, 12, 5) * 5).clamp(max=VOCABULARY - 3)
    targets = torch.arange(len(tokens)) % 2
    tokens[torch.arange(len(tokens)), torch.arange(len(tokens)) % 5] = VOCABULARY - 2 + targets
    network = _build(name, _parts(norm="layer"), **options)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(150):
        outputs = network(tokens)
        if torch.equal(outputs.argmax(1), targets):
            return
        optimizer.zero_grad()
        nn.functional.cross_entropy(outputs, targets).backward()
        optimizer.step()
    pytest.fail("not learned in 150 steps")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The tensor attributes self.layers")  # torch's own layer of recurrence keeps a list
@pytest.mark.parametrize("name", TEXTS)
def test_every_text_model_leaves_as_a_graph_for_any_batch(name: str) -> None:
    network = _trained(_build(name))
    graph = torch.export.export(network, (_texts(24, 7),), dynamic_shapes=({0: torch.export.Dim("examples")},)).module()
    for tokens in (_texts(24, 7), _texts(3), _texts(1, 2, 3, 4, 24)):
        torch.testing.assert_close(graph(tokens), network(tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TEXTS if name != "gru"])  # torch's compiler leaves recurrence alone
def test_every_text_model_is_one_graph_to_the_compiler(name: str) -> None:
    network = _build(name)
    compiled = torch.compile(_build(name), backend="eager", fullgraph=True)
    torch.testing.assert_close(_learns(compiled, _texts(24, 7)), _learns(network, _texts(24, 7)))


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        (name, option, value)
        for name in TEXTS
        for option, value in (("embedding", 0), ("dropout", 1.0), ("windows", ()), ("depth", 0), ("size", "tiny"))
        if option in model.options(name)
    ],
)
def test_options_out_of_bounds_are_refused(name: str, option: str, value: object) -> None:
    faults = model.check(Choice(name=name, options={option: value}))[1]
    assert [where for where, _ in faults] == [option]
