"""Weights, gradients and the optimizer's state divided over the processes, for models that one device cannot hold.

Fully sharded data parallel (Rajbhandari et al. 2020, arXiv:1910.02054) by torch's FSDP2: each process keeps a part of every
weight, has the whole of a block while it computes with it, and keeps its part of the gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.optim import Optimizer

    from dlcat.train.distributed import World


def shard(model: nn.Module, world: World, kind: str) -> None:
    """Divide a model in place, block by block; `kind` of device is that of its weights.

    Raises:
        NotImplementedError: weights do not lie in memory as torch can divide them; it says which.
    """
    mesh = init_device_mesh(kind, (world.size,))
    for block in [*_blocks(model), model]:
        fully_shard(block, mesh=mesh)
        assert isinstance(block, FSDPModule)
        block.set_gradient_divide_factor(1)  # losses are shares of the batch's mean already: gradients are summed
        block.set_force_sum_reduction_for_comms(True)  # gloo has no other


def unfuse(optimizer: Optimizer) -> None:
    """Let an optimizer step without torch's fused kernels, not all of which know divided weights."""
    for group in optimizer.param_groups:
        if group.get("fused"):
            group["fused"], group["foreach"] = False, True


def whole(value: Any) -> Any:
    """A state as it would be undivided; all processes ask for it together."""
    if isinstance(value, DTensor):
        return value.full_tensor()
    if isinstance(value, dict):
        return {key: whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [whole(each) for each in value]
    return value


def divided(value: Any, like: Any) -> Any:
    """An undivided state, its tensors divided as those of another state of the same form."""
    if isinstance(like, DTensor):
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    if isinstance(like, dict):
        return {key: divided(each, like.get(key)) for key, each in value.items()}
    return value


def divided_optimizer(state: dict[str, Any], weights: list[Tensor]) -> dict[str, Any]:
    """An optimizer's undivided state; what has the shape of a weight is divided as that is."""
    kept = {
        key: {name: divided(each, _like(each, weights[int(key)])) for name, each in own.items()}
        for key, own in state["state"].items()
    }
    return {**state, "state": kept}


def _like(value: Any, weight: Tensor) -> Tensor | None:
    return weight if isinstance(value, Tensor) and value.shape == weight.shape else None


def _blocks(model: nn.Module) -> Iterator[nn.Module]:
    """Members of the model's sequences and lists that have weights, innermost sequences apart."""
    for module in model.children():
        if isinstance(module, nn.Sequential | nn.ModuleList):
            yield from _blocks(module)
        elif any(True for _ in module.parameters()):
            yield module
