"""Muon's step: orthogonal within what the iteration promises, for the weights it is meant for, of Adam's size."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcat.optim.optimizers import optimizer
from dlcat.optim.optimizers.muon import ADAM_ROOT_MEAN_SQUARE, orthogonalise


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(16, 5))


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 8, 72), (2, 72, 8), (1, 1, 5)])
def test_singular_values_come_near_one(shape: tuple[int, int, int]) -> None:
    found = orthogonalise(torch.randn(shape, generator=torch.Generator().manual_seed(1)), 8)
    values = torch.linalg.svdvals(found)
    assert found.shape == shape
    assert ((values > 0.6) & (values < 1.3)).all()


def test_the_directions_are_those_of_the_decomposition() -> None:
    matrix = torch.randn(1, 6, 10, generator=torch.Generator().manual_seed(2))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    cosine = nn.functional.cosine_similarity(orthogonalise(matrix, 8).flatten(), (left @ right).flatten(), dim=0)
    assert cosine > 0.98


def test_a_matrix_of_zeros_stays_one() -> None:
    assert torch.equal(orthogonalise(torch.zeros(1, 4, 6), 5), torch.zeros(1, 4, 6))


def test_only_weights_between_the_first_and_the_last_are_made_orthogonal() -> None:
    network = _network()
    groups = optimizer["muon"](network, lr=0.1).param_groups
    orthogonal = [each for group in groups if group["orthogonal"] for each in group["params"]]
    assert [id(each) for each in orthogonal] == [id(network[2].weight)]
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


def test_a_step_is_as_large_as_one_of_adam_usually_is() -> None:
    network = _network()
    rule = optimizer["muon"](network, lr=0.1, weight_decay=0.0)
    before = network[2].weight.detach().clone()
    network(torch.randn(32, 3, 6, 6)).square().mean().backward()
    rule.step()
    moved = (network[2].weight.detach() - before).square().mean().sqrt().item()
    assert moved == pytest.approx(0.1 * ADAM_ROOT_MEAN_SQUARE, rel=0.3)


def test_vectors_move_as_with_adamw() -> None:
    ours, theirs = _network(), _network()
    options = {"lr": 0.01, "betas": (0.9, 0.95), "weight_decay": 0.1}
    for network, name in ((ours, "muon"), (theirs, "adamw")):
        rule = optimizer[name](network, **options)
        for turn in range(4):
            for position, parameter in enumerate(network.parameters()):
                parameter.grad = torch.randn(
                    parameter.shape, generator=torch.Generator().manual_seed(10 * turn + position)
                )
            rule.step()
    for at in (0, 1, 4):
        torch.testing.assert_close(ours[at].weight, theirs[at].weight)
        torch.testing.assert_close(ours[at].bias, theirs[at].bias)
