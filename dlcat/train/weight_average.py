"""The exponential moving average of the weights, which is evaluated and kept in place of what the last step left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class WeightAverage:
    """Follows a model's weights from step to step; the model has it in their place while it is evaluated.

    After step n it is d times itself and 1 - d times the weights, with d the lower of `decay` and (1 + n) / (10 + n): at
    first the average is of few steps, and soon forgets what chance began with (Tarvainen & Valpola 2017, arXiv:1703.01780).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Begin with the model's weights as they are."""
        self._model = model
        self._decay = decay
        self._steps = 0
        self._average = [weights.detach().clone() for weights in model.parameters()]
        self._trained: dict[str, Tensor] | None = None

    @torch.no_grad()
    def follow(self) -> None:
        """Take in the weights as a step left them."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._average, list(self._model.parameters()), 1 - decay)

    @torch.no_grad()
    def show(self, shown: bool) -> None:
        """Let the model have the average, or what is trained: its weights, and whatever else it keeps, to the bit."""
        if shown and self._trained is None:
            self._trained = {name: own.clone() for name, own in self._model.state_dict().items()}
            torch._foreach_copy_(list(self._model.parameters()), self._average)
        elif not shown and self._trained is not None:
            for name, own in self._model.state_dict().items():
                own.copy_(self._trained[name])
            self._trained = None

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"steps": self._steps, "average": self._average}

    @torch.no_grad()
    def take_up(self, state: dict[str, Any]) -> None:
        """Be what it was when the state was taken."""
        self._steps = state["steps"]
        for own, kept in zip(self._average, state["average"], strict=True):
            own.copy_(kept)
