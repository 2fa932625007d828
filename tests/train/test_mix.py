"""Laws of every mix: what it makes of two examples, and that their targets are weighed as their inputs are."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional

from dlcat.tasks import task
from dlcat.train.mix import Mixed, mix, mixing, partners

CLASSIFY = task["classify"](list("abcdef"))


def _apart(count: int = 6, height: int = 8, width: int = 5) -> Tensor:
    """Images that are 1 in a channel of their own, 0 in all others: a mean over positions says what an image is made of."""
    return torch.eye(count)[:, :, None, None].repeat(1, 1, height, width)


def _mixed(name: str, inputs: Tensor, seed: int = 0, **options: Any) -> Mixed:
    made: Mixed = mix[name](inputs, partners(inputs), np.random.default_rng(seed), **options)
    return made


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", list(mix))
def test_an_input_is_made_of_its_own_and_its_partners_by_the_share(name: str, seed: int) -> None:
    inputs = _apart()
    mixed = _mixed(name, inputs, seed, alpha=1.0)
    assert 0 <= mixed.share <= 1
    made_of = mixed.inputs.mean((2, 3))  # (examples, channels)
    targets = mixed.share * torch.eye(6) + (1 - mixed.share) * partners(torch.eye(6))
    torch.testing.assert_close(made_of, targets)
    torch.testing.assert_close(targets.mean(0), torch.full((6,), 1 / 6))  # no class gains by mixing
    torch.testing.assert_close(mixed.inputs.mean(0), inputs.mean(0))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("name", list(mix))
def test_the_memory_format_and_the_inputs_handed_in_stay(name: str, memory_format: torch.memory_format) -> None:
    inputs = _apart().contiguous(memory_format=memory_format)
    mixed = _mixed(name, inputs, 1, alpha=5.0)
    assert mixed.share < 1
    assert mixed.inputs.is_contiguous(memory_format=memory_format)
    assert torch.equal(inputs, _apart())


@pytest.mark.parametrize("name", list(mix))
def test_as_many_batches_are_mixed_as_asked(name: str) -> None:
    def mixed(probability: float) -> int:
        shares = [_mixed(name, _apart(), seed, alpha=9.0, probability=probability).share for seed in range(300)]
        return sum(share < 1 for share in shares)

    assert mixed(0.0) == 0
    assert 75 < mixed(1 / 3) < 125
    assert mixed(1.0) > 290  # a box may be too small for one pixel


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_draws_its_shares_from_the_beta_distribution(alpha: float) -> None:
    shares = [_mixed("mixup", _apart(2, 1, 1), seed, alpha=alpha).share for seed in range(400)]
    assert stats.kstest(shares, partial(stats.beta.cdf, a=alpha, b=alpha)).pvalue > 0.01


def test_cutmix_pastes_one_box_and_every_pixel_may_be_in_it() -> None:
    pasted = torch.zeros(8, 5)
    for seed in range(200):
        mixed = _mixed("cutmix", _apart(), seed)
        inside = mixed.inputs[0, 1]  # where the first image shows its partner
        rows, columns = inside.any(1), inside.any(0)
        assert torch.equal(inside, torch.outer(rows, columns).float())
        for marked in (rows, columns):
            assert int(marked.int().diff().ne(0).sum()) <= 2  # in one stretch
        pasted += inside
    assert pasted.min() > 20


def test_cutmix_is_for_images() -> None:
    with pytest.raises(ValueError, match="expected \\(N, C, H, W\\), found 2 axes"):
        _mixed("cutmix", torch.rand(4, 9))


@pytest.mark.parametrize("share", [1.0, 0.7, 0.5, 0.2, 0.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_cross_entropy_with_both_targets(share: float, smoothing: float) -> None:
    outputs, targets = torch.randn(6, 6), torch.tensor([0, 1, 2, 3, 4, 4])
    both = share * functional.one_hot(targets, 6) + (1 - share) * functional.one_hot(partners(targets), 6)
    expected = functional.cross_entropy(outputs, both, label_smoothing=smoothing)
    found = Mixed(outputs, share).loss(task["classify"](list("abcdef"), label_smoothing=smoothing), outputs, targets)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("share", "rightly"), [(1.0, 6), (0.5, 6), (0.49, 0), (0.0, 0)])
def test_an_answer_counts_by_the_heavier_target(share: float, rightly: int) -> None:
    targets = torch.arange(6)
    mixed = Mixed(torch.zeros(6), share)
    assert mixed.hits(CLASSIFY, torch.eye(6), targets) == rightly
    assert mixed.hits(CLASSIFY, partners(torch.eye(6)), targets) == 6 - rightly


def test_without_a_mix_nothing_changes_and_nothing_is_drawn() -> None:
    before, inputs = torch.get_rng_state(), _apart()
    mixed = mixing([])(inputs)
    assert mixed.inputs is inputs
    assert mixed.share == 1
    assert torch.equal(torch.get_rng_state(), before)


def test_pieces_of_a_batch_are_mixed_alike_and_batches_are_not() -> None:
    rules = [partial(mix[name], alpha=1.0) for name in ("mixup", "cutmix")]
    shares = []
    torch.manual_seed(0)
    for _ in range(40):
        apply = mixing(rules)
        first, second = apply(_apart(6, 30, 20)), apply(_apart(6, 30, 20))
        assert first.share == second.share
        assert torch.equal(first.inputs, second.inputs)
        shares.append((first.share, bool(((first.inputs == 0) | (first.inputs == 1)).all())))
    assert len(set(shares)) > 30
    assert 8 < sum(is_cut for _, is_cut in shares) < 32  # about as many by the one as by the other


def test_torchs_seed_decides_what_is_drawn() -> None:
    def draw(seed: int) -> Mixed:
        torch.manual_seed(seed)
        return mixing([mix["mixup"], mix["cutmix"]])(_apart())

    assert torch.equal(draw(1).inputs, draw(1).inputs)
    assert draw(1).share != draw(2).share
