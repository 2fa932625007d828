"""Sums over all trees of a text in closed form: which position hangs on which, if every tree has its share."""

from __future__ import annotations

from math import inf, log

import torch
from torch import Tensor


def tree_marginals(edges: Tensor, roots: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """How likely each edge and each root is, where a tree is as likely as the exponential of its scores' sum.

    A tree has one root, from which every other position of the text is reached in one way. The sum over all of them is a
    determinant (the matrix-tree theorem: Tutte 1984; Koo et al. 2007, section 3), and its derivatives, which are asked
    for, are in the inverse of that matrix. A float64 inverse, for it is a difference of large numbers where some edges
    are much likelier than others; an edge counts at least exp(-18) of the likeliest into the same position, so that
    there always is one.

    Args:
        edges: (N, T, T) scores of an edge from the first position to the second.
        roots: (N, T) scores of each position as the root.
        real: (N, T) which positions belong to the text: the first, and all up to some last one.

    Returns:
        (N, T, T) the probability of each edge, and (N, T) that of each root, in float32 at least. Into each position of
        the text they add up to 1; those of other positions are 0.
    """
    weights, firsts = _weights(edges, roots, real)
    inverse = torch.linalg.inv_ex(_laplacian(weights, firsts, real)).inverse  # a check would wait for the device
    into, back = inverse.diagonal(dim1=1, dim2=2).clone(), inverse.mT.clone()
    into[:, 0] = 0  # the first row has no Laplacian in it, but the roots
    back[:, 0] = 0
    dtype = torch.promote_types(edges.dtype, torch.float32)
    return (weights * (into[:, None] - back)).to(dtype), (firsts * inverse[..., 0]).to(dtype)


def _weights(edges: Tensor, roots: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Exponentials of the scores, as large as numbers bear; 0 where no edge or root can be.

    Every tree has one edge into each position, or its root there, and one root: what is taken off all scores into a
    position, or off those of all roots, changes no tree's share.
    """
    exact = torch.float32 if edges.device.type == "mps" else torch.float64
    least = log(torch.finfo(exact).eps) / 2
    itself = torch.eye(real.shape[1], dtype=torch.bool, device=real.device)
    possible = real[:, :, None] & real[:, None, :] & ~itself
    edges, roots = edges.to(exact).masked_fill(~possible, -inf), roots.to(exact)
    largest = edges.detach().amax(1)  # (N, T); of a single position there is none
    largest = largest.masked_fill(largest.isneginf(), 0)
    roots = (roots - largest).masked_fill(~real, -inf)
    weights = (edges - largest[:, None]).clamp(min=least).exp()
    firsts = (roots - roots.detach().amax(1, keepdim=True)).clamp(min=least).exp()
    return weights.masked_fill(~possible, 0), firsts.masked_fill(~real, 0)


def _laplacian(weights: Tensor, firsts: Tensor, real: Tensor) -> Tensor:
    """What enters each position on the diagonal, less the edges; the roots in the first row, 1 for filling."""
    diagonal = weights.sum(1).masked_fill(~real, 1)
    laplacian = torch.diag_embed(diagonal) - weights
    return torch.cat([firsts[:, None], laplacian[:, 1:]], dim=1)
