"""Limited-memory BFGS: a Hessian guessed from how the gradient changed over the last steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import nn, optim

from dlcat.optim.optimizers import Decay, Rate, groups, optimizer
from dlcat.optim.vector import with_decay

if TYPE_CHECKING:
    from torch import Tensor

    from dlcat.optim.closure import Closure

EVALUATIONS_IN_RESERVE = 25
"""What line searches may use up beyond one evaluation per iteration."""


@optimizer
def lbfgs(
    model: nn.Module,
    *,
    lr: Rate = 1.0,
    iterations: Annotated[int, Ge(1)] = 20,
    history: Annotated[int, Ge(1)] = 10,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Newton's direction guessed from the last gradients, as far as it pays (Liu & Nocedal 1989).

    A step is up to `iterations` line searches to where the strong Wolfe conditions hold; `history` pairs of moves and
    changes of the gradient stand for the Hessian, 2 * history numbers per weight. The first trial of a search is `lr`
    directions away. `weight_decay` / 2 times the sum of squares is part of what is minimised.
    """
    decayed = groups(model, weight_decay, decay_norms)
    return LimitedMemoryBFGS(decayed, lr=lr, iterations=iterations, history=history)


class LimitedMemoryBFGS(optim.LBFGS):
    """torch's L-BFGS, with a count of gradients, and with weight decay, for which torch's takes no groups."""

    needs_closure: ClassVar[bool] = True

    def __init__(self, parameters: list[dict[str, Any]], *, lr: float, iterations: int, history: int) -> None:
        super().__init__(
            [parameter for group in parameters for parameter in group["params"]],
            lr=lr,
            max_iter=iterations,
            max_eval=iterations + EVALUATIONS_IN_RESERVE,
            history_size=history,
            line_search_fn="strong_wolfe",
        )
        self._decays = [(parameter, group["weight_decay"]) for group in parameters for parameter in group["params"]]

    @property
    def gradient_evaluations(self) -> int:
        """How many gradients its steps took so far."""
        return int(self._memory.get("func_evals", 0))

    def step(self, closure: Closure) -> Tensor:  # type: ignore[override]
        """Move the weights; the loss where they were is returned, without what the decay adds."""
        if self.param_groups[0]["lr"] == 0:
            self._memory["func_evals"] = self.gradient_evaluations + 1
            return closure()
        losses: list[Tensor] = []

        def decayed() -> Tensor:
            losses.append(closure())
            return losses[-1] + self._add_decay()

        super().step(decayed)  # type: ignore[no-untyped-call]
        return losses[0]

    @property
    def _memory(self) -> dict[str, Any]:
        found: dict[str, Any] = self.state[self.param_groups[0]["params"][0]]
        return found

    @torch.no_grad()
    def _add_decay(self) -> float:
        """Add the decay's share to the gradients, and return that of the value."""
        added, gradients = with_decay(self._decays)
        for (parameter, _), gradient in zip(self._decays, gradients, strict=True):
            parameter.grad = gradient.contiguous()  # torch's L-BFGS cannot read channels_last
        return added
