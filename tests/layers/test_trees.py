"""Probabilities of edges and roots against sums over all trees, one by one."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from dlcat.layers.trees import tree_marginals


def _trees(length: int) -> list[tuple[int, ...]]:
    """All trees over so many positions, as what each position hangs on; the root hangs on itself."""
    return [
        parents
        for parents in product(range(length), repeat=length)
        if sum(parent == place for place, parent in enumerate(parents)) == 1 and _all_reach_the_root(parents)
    ]


def _all_reach_the_root(parents: tuple[int, ...]) -> bool:
    for place in range(len(parents)):
        for _ in parents:
            place = parents[place]
        if parents[place] != place:
            return False
    return True


def _summed(edges: Tensor, roots: Tensor) -> tuple[Tensor, Tensor]:
    """The share of each edge and of each root in the sum over all trees, in float64."""
    length = len(roots)
    each, root = edges.new_zeros(length, length), roots.new_zeros(length)
    total = edges.new_zeros(())
    for parents in _trees(length):
        hanging = [(parent, place) for place, parent in enumerate(parents) if parent != place]
        (top,) = (place for place, parent in enumerate(parents) if parent == place)
        weight = (roots[top] + sum((edges[edge] for edge in hanging), roots.new_zeros(()))).exp()
        total, root[top] = total + weight, root[top] + weight
        for edge in hanging:
            each[edge] += weight
    return each / total, root / total


def _scores(length: int, spread: float = 2.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(length)
    edges = spread * torch.randn(3, length, length, generator=generator, dtype=torch.float64)
    return edges, spread * torch.randn(3, length, generator=generator, dtype=torch.float64)


def _all_real(length: int) -> Tensor:
    return torch.ones(3, length, dtype=torch.bool)


def test_there_are_as_many_trees_as_cayley_counted() -> None:
    assert [len(_trees(length)) for length in range(1, 6)] == [length ** (length - 1) for length in range(1, 6)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_probabilities_are_sums_over_all_trees(length: int, dtype: torch.dtype) -> None:
    edges, roots = (scores.to(dtype) for scores in _scores(length))
    found, found_roots = tree_marginals(edges, roots, _all_real(length))
    assert found.dtype == found_roots.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    for text in range(3):
        expected, expected_roots = _summed(edges[text].double(), roots[text].double())
        torch.testing.assert_close(found[text].double(), expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(found_roots[text].double(), expected_roots, atol=1e-6, rtol=0)


def test_filling_hangs_on_nothing_and_changes_nothing() -> None:
    edges, roots = _scores(7)
    real = torch.arange(7) < torch.tensor([4, 1, 7])[:, None]
    found, found_roots = tree_marginals(edges, roots, real)
    for text, length in enumerate((4, 1, 7)):
        alone = (edges[text : text + 1, :length, :length], roots[text : text + 1, :length])
        expected, expected_roots = tree_marginals(*alone, real[text : text + 1, :length])
        torch.testing.assert_close(found[text, :length, :length], expected[0])
        torch.testing.assert_close(found_roots[text, :length], expected_roots[0])
        assert not found[text, length:].any()
        assert not found[text, :, length:].any()
        assert not found_roots[text, length:].any()


@pytest.mark.parametrize("spread", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("length", [5, 40])
def test_one_edge_or_the_root_enters_each_position_however_large_the_scores(length: int, spread: float) -> None:
    edges, roots = (scores.float().requires_grad_() for scores in _scores(length, spread))
    found, found_roots = tree_marginals(edges, roots, _all_real(length))
    torch.testing.assert_close(found.sum(1) + found_roots, torch.ones(3, length), atol=1e-4, rtol=0)
    torch.testing.assert_close(found_roots.sum(1), torch.ones(3), atol=1e-4, rtol=0)
    assert found.min() > -1e-4
    (found.square().sum() + found_roots.square().sum()).backward()
    assert edges.grad is not None
    assert edges.grad.isfinite().all()


def test_two_words_that_only_hang_on_each_other_still_have_a_root() -> None:
    """Where the likeliest edges are a circle, the trees are sums of what is far less likely."""
    edges, roots = torch.zeros(1, 4, 4), torch.zeros(1, 4)
    edges[0, 0, 1] = edges[0, 1, 0] = edges[0, 2, 3] = edges[0, 3, 2] = 15
    found, found_roots = tree_marginals(edges, roots, torch.ones(1, 4, dtype=torch.bool))
    expected, expected_roots = _summed(edges[0].double(), roots[0].double())
    torch.testing.assert_close(found[0].double(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found_roots[0].double(), expected_roots, atol=1e-5, rtol=0)


def test_gradients_are_exact() -> None:
    edges, roots = (scores.requires_grad_() for scores in _scores(4))
    real = torch.arange(4) < torch.tensor([4, 3, 1])[:, None]
    assert torch.autograd.gradcheck(lambda *scores: tree_marginals(*scores, real), (edges, roots))
