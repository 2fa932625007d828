"""Recurrent layers as one step over all words together: as many products, in a few operations instead of some per word."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class AllSteps(TorchFunctionMode):
    """Lets torch's gated recurrent units pass over all words at once, where only sizes count: on the meta device.

    Torch takes twenty operations a word, and following each takes a minute for a long text. The first state, which is none,
    is counted as one that learns.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") == "gru" and len(args) == 9:  # not packed: that call has other arguments
            return _gru(*args)
        return func(*args, **(kwargs or {}))


def _gru(
    inputs: Tensor,
    first: Tensor,
    weights: list[Tensor],
    has_bias: bool,
    layers: int,
    dropout: float,
    training: bool,
    both_directions: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """What `torch.gru` gives, in size: the states (N, T, H) or (T, N, H), H twice for both directions, and the last."""
    each = 4 if has_bias else 2
    directions = 2 if both_directions else 1
    for layer in range(layers):
        start = layer * directions * each
        own = [weights[start + each * turn : start + each * (turn + 1)] for turn in range(directions)]
        inputs = torch.cat([_states(inputs, *one, words=1 if batch_first else 0) for one in own], dim=-1)
        if layer < layers - 1:
            inputs = functional.dropout(inputs, dropout, training)
    return inputs, torch.empty_like(first)


def _states(
    inputs: Tensor,
    read: Tensor,
    kept: Tensor,
    bias: Tensor | None = None,
    kept_bias: Tensor | None = None,
    *,
    words: int,
) -> Tensor:
    """(1 - z) n + z h with r, z = sigmoid(W x + U h) and n = tanh(W x + r U h), for every word's state h before."""
    given = functional.linear(inputs, read, bias)
    before = given[..., : kept.shape[1]].cumsum(words)  # has to do with all words up to here
    if not torch.is_grad_enabled():
        return before  # what lies between is there for one word at a time only
    of_input, of_state = given.chunk(3, -1), functional.linear(before, kept, kept_bias).chunk(3, -1)
    reset, update = ((mine + theirs).sigmoid() for mine, theirs in zip(of_input[:2], of_state[:2], strict=True))
    new = (of_input[2] + reset * of_state[2]).tanh()
    return (before - new) * update + new
