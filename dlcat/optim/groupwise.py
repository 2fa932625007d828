"""Optimizers of our own that move a group of parameters from one gradient of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, overload

import torch
from torch.optim import Optimizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Groupwise(Optimizer, ABC):
    """A torch optimizer whose step is said by `move`, for one group at a time."""

    def __init__(self, groups: list[dict[str, Any]], **defaults: Any) -> None:
        super().__init__(groups, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move the parameters along their gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self.move([parameter for parameter in group["params"] if parameter.grad is not None], group)
        return loss

    @abstractmethod
    def move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Move the parameters of a group, all of which have a gradient."""
