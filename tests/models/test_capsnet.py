"""Capsules route by agreement as the paper's procedure says, and the network has the paper's weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from dlcat.layers.parts import choose
from dlcat.models import model
from dlcat.models.capsnet import Capsules, LengthLogit, Routing, squash
from dlcat.registry import Choice
from dlcat.tasks import task


def _build(shape: tuple[int, ...] = (1, 28, 28), norm: str = "none", conv: str = "standard", **options: Any) -> Any:
    torch.manual_seed(0)
    parts = choose(conv=conv, norm=norm, dimensions=len(shape) - 1)
    return model["capsnet"](shape, 10, parts, **options)


def _weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_network_for_mnist_has_the_weights_of_the_paper() -> None:
    # arXiv:1710.09829, section 5: 8.2 million, and 6.8 million without the reconstruction, which is not built here.
    first, primary = 256 * (9 * 9 + 1), 256 * (256 * 9 * 9 + 1)
    routing = (32 * 6 * 6) * 8 * 10 * 16
    reconstruction = (160 + 1) * 512 + (512 + 1) * 1024 + (1024 + 1) * 784
    with torch.device("meta"):
        assert _weights(_build()) == first + primary + routing == 6_804_224
    assert (first + primary + routing) / 1e6 == pytest.approx(6.8, abs=0.05)
    assert (first + primary + routing + reconstruction) / 1e6 == pytest.approx(8.2, abs=0.05)


def test_the_maps_for_mnist_have_the_sizes_of_the_paper() -> None:
    network = _build(width=0.125)
    images = torch.randn(2, 1, 28, 28)
    assert network[:1](images).shape == (2, 32, 20, 20)
    maps = network[:2](images)
    assert maps.shape == (2, 64, 6, 6)
    assert torch.equal(network[:4](images), maps)  # neither a norm nor means over positions
    assert network[:5](images).shape == (2, 8 * 6 * 6, 8)
    assert network[:6](images).shape == (2, 10, 16)


@pytest.mark.parametrize(
    ("shape", "options", "left"),
    [
        ((3, 24, 24), {}, (4, 4)),  # the paper's crops of CIFAR-10
        ((3, 32, 32), {}, (8, 8)),
        ((1, 8, 8), {}, (4, 4)),  # zeros around
        ((1, 1, 1), {}, (1, 1)),
        ((2, 9, 31), {}, (5, 8)),
        ((3, 64, 64), {}, (8, 8)),
        ((3, 224, 224), {}, (8, 8)),
        ((3, 32, 32), {"stem": "imagenet"}, (4, 4)),
        ((1, 100), {}, (8,)),
        ((1, 28, 28), {"conv": "dilated"}, (8, 8)),  # zeros around: windows of 17 would leave 2 a side
        ((1, 28, 28), {"conv": "flattened"}, (6, 6)),
        ((1, 28, 28), {"conv": "pointwise"}, (8, 8)),
        ((1, 28, 28), {"conv": "transposed"}, (8, 8)),
    ],
    ids=str,
)
def test_capsules_are_on_a_grid_of_what_is_left_and_at_most_8_a_side(
    shape: tuple[int, ...], options: dict[str, str], left: tuple[int, ...]
) -> None:
    network = _build(shape, width=0.125, **options)
    maps = network[:4](torch.randn(2, *shape))
    assert maps.shape[2:] == left
    assert network[4:](maps).shape == (2, 10)


def test_windows_stay_inside_the_map_where_it_is_large_enough() -> None:
    for side, padding in ((28, (0, 0)), (16, (4, 4))):
        convolutions = [
            module for module in _build((1, side, side), width=0.125).modules() if isinstance(module, nn.Conv2d)
        ]
        assert [convolution.padding for convolution in convolutions] == [padding] * 2


def test_standardized_convolutions_keep_inside_too() -> None:
    parts = choose(norm=Choice(name="weight_standardization", options={"groups": 4}))
    network = model["capsnet"]((1, 28, 28), 10, parts, width=0.125)
    assert network[:2](torch.randn(2, 1, 28, 28)).shape == (2, 64, 6, 6)


def test_a_capsule_is_neighbouring_channels_at_one_position() -> None:
    maps = torch.randn(2, 12, 3, 5)
    capsules = Capsules(4)(maps)
    assert capsules.shape == (2, 3 * 15, 4)
    torch.testing.assert_close(capsules[1, 15 + 2 * 5 + 3], squash(maps[1, 4:8, 2, 3]))


def test_squashing_keeps_the_direction_and_bounds_the_length() -> None:
    vectors = torch.randn(50, 3, dtype=torch.float64) * torch.logspace(-6, 6, 50, dtype=torch.float64)[:, None]
    squashed = squash(vectors)
    length, before = squashed.norm(dim=1), vectors.norm(dim=1)
    assert (length < 1).all()
    torch.testing.assert_close(length, before**2 / (1 + before**2))
    torch.testing.assert_close(squashed / length[:, None], vectors / before[:, None])


def test_a_vector_of_length_0_stays_one_and_has_finite_gradients() -> None:
    vectors = torch.zeros(2, 3, requires_grad=True)
    logits = LengthLogit()(squash(vectors))
    assert logits.isfinite().all()
    logits.sum().backward()
    assert not vectors.grad.any()


def test_an_output_is_the_logit_of_its_capsules_length() -> None:
    vectors = torch.randn(4, 10, 16, dtype=torch.float64)
    lengths = squash(vectors).norm(dim=-1)
    torch.testing.assert_close(LengthLogit()(vectors).sigmoid(), lengths, atol=1e-6, rtol=1e-6)


def _routed(capsules: np.ndarray, weight: np.ndarray, iterations: int) -> np.ndarray:
    """Procedure 1 of arXiv:1710.09829 for one example, written out; the sums s_j of the last iteration."""
    count, _, classes, length = weight.shape
    predictions = np.array([[weight[i, :, j].T @ capsules[i] for j in range(classes)] for i in range(count)])
    logits = np.zeros((count, classes))
    for _ in range(iterations):
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        sums = np.array([sum(shares[i, j] * predictions[i, j] for i in range(count)) for j in range(classes)])
        squares = (sums**2).sum(1, keepdims=True)
        outputs = squares / (1 + squares) * sums / np.sqrt(squares)
        for i in range(count):
            for j in range(classes):
                logits[i, j] += predictions[i, j] @ outputs[j]
    assert sums.shape == (classes, length)
    return sums


@pytest.mark.parametrize("iterations", [1, 2, 3, 5])
def test_routing_is_the_papers_procedure(iterations: int) -> None:
    torch.manual_seed(iterations)
    routing = Routing(7, 3, 4, 5, iterations).double()
    nn.init.normal_(routing.weight)  # large, so that capsules disagree
    capsules = torch.randn(2, 7, 4, dtype=torch.float64)
    weight = routing.weight.detach().numpy()
    expected = np.stack([_routed(example.numpy(), weight, iterations) for example in capsules])
    np.testing.assert_allclose(routing(capsules).detach().numpy(), expected, rtol=1e-10)


def test_iterations_let_capsules_agree_more() -> None:
    torch.manual_seed(0)
    capsules, lengths = torch.randn(1, 30, 8), []
    for iterations in (1, 2, 4):
        routing = Routing(30, 4, 8, 16, iterations)
        nn.init.normal_(routing.weight, std=0.3, generator=torch.Generator().manual_seed(1))
        lengths.append(routing(capsules).norm(dim=-1).max().item())
    assert lengths[0] < lengths[1] < lengths[2]


@pytest.mark.parametrize("iterations", [1, 3])
def test_gradients_of_routing_are_exact(iterations: int) -> None:
    torch.manual_seed(0)
    routing = Routing(4, 3, 2, 3, iterations).double()
    network = nn.Sequential(Capsules(2), routing, LengthLogit())
    maps = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, (maps,))
    assert torch.autograd.gradcheck(
        lambda weight: torch.func.functional_call(routing, {"weight": weight}, (squash(torch.ones(1, 4, 2).double()),)),
        (routing.weight,),
    )


def test_sums_begin_about_as_long_as_their_longest_capsule() -> None:
    torch.manual_seed(0)
    for capsules_in, classes in ((1152, 10), (100, 3)):
        capsules = nn.functional.normalize(torch.randn(4, capsules_in, 8), dim=-1)
        lengths = Routing(capsules_in, classes, 8, 16, 1)(capsules).norm(dim=-1)
        assert lengths.mean().item() == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize("shape", [(2, 17), (1, 9, 12), (3, 1, 1)], ids=str)
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_gradients_reach_every_weight(shape: tuple[int, ...], norm: str) -> None:
    network = _build(shape, norm=norm, width=0.125)
    outputs = network(torch.randn(4, *shape))
    assert outputs.shape == (4, 10)
    outputs[:, :3].sum().backward()
    missing = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert missing == []


@pytest.mark.parametrize("name", ["margin", "classify"])
def test_it_learns_the_bundled_digits(name: str) -> None:
    images, targets = load_digits(return_X_y=True)
    inputs = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8)[:512] / 8 - 1
    classes = torch.tensor(targets)[:512]
    network = _build((1, 8, 8), width=0.125)
    asked = task[name]([str(digit) for digit in range(10)])
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for step in range(40):
        part = slice(64 * (step % 8), 64 * (step % 8 + 1))
        loss = asked.loss(network(inputs[part]), classes[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-8:]) < 0.5 * sum(losses[:8])
    with torch.inference_mode():
        assert asked.measure(network(inputs), classes)["accuracy"] > 0.8


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"norm": "group"}, "32 groups do not divide 48 channels"),
        ({"conv": "depthwise"}, "expected a multiple of 48 channels, found 64"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_the_reason(options: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason), torch.device("meta"):
        _build(width=0.2, **options)


@pytest.mark.parametrize(("option", "value"), [("width", 0), ("iterations", 0), ("stem", "tiny")])
def test_options_out_of_bounds_are_refused(option: str, value: object) -> None:
    assert [where for where, _ in model.check(Choice(name="capsnet", options={option: value}))[1]] == [option]
