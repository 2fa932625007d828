"""Whether a recipe's choices fit its data, found by trying them on empty images of their shape."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlcat.errors import InvalidError
from dlcat.train.augment import Shown, shrink, telling
from dlcat.train.augment import augmentation as augmentations
from dlcat.train.mix import mix as mixes

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from dlcat.document import Where
    from dlcat.recipe import Recipe
    from dlcat.registry import Choice
    from dlcat.train.mix import Mixed


def augmenting(choice: Choice) -> Callable[[Tensor, torch.Generator, Shown], Tensor]:
    """What changes images (N, C, H, W) as a choice says, told which examples they are and in which epoch."""
    return telling(augmentations.bind(choice))


def require_changeable(recipe: Recipe, input_shape: tuple[int, ...]) -> None:
    """Stop where an augmentation or a mix cannot be applied to such inputs.

    Raises:
        InvalidError: they are too small for it, or no images.
    """
    with torch.device("cpu"):
        stored = torch.zeros(2, *input_shape, dtype=torch.uint8)
        for number, choice in enumerate(recipe.augment):
            change = partial(augmenting(choice), stored, torch.Generator(), Shown(torch.arange(2), 1))
            fitting(recipe, ("augment", number), partial(_require_same_shape, choice.name, stored, change))
        for number, choice in enumerate(recipe.mix):
            fitting(
                recipe,
                ("mix", number),
                partial(_require_same_shape, choice.name, stored, partial(_tried, choice, stored)),
            )


def _tried(choice: Choice, stored: Tensor) -> Tensor:
    """Inputs mixed with themselves."""
    mixed: Mixed = mixes.bind(choice)(stored.float(), stored.float(), np.random.default_rng(0))
    return mixed.inputs


def _require_same_shape(name: str, stored: Tensor, change: Callable[[], Tensor]) -> None:
    """Stop where what changes images is given something else.

    Raises:
        ValueError: the inputs are no images, or what it says of images that it cannot change.
    """
    try:
        if change().shape == stored.shape:
            return
    except (RuntimeError, IndexError, ValueError):
        if stored.dim() == 4:
            raise
    raise ValueError(f"{name} takes images, C x H x W, found {' x '.join(map(str, stored.shape[1:]))}")


def require_resizable(recipe: Recipe, model: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Stop where the network cannot see the small images that training begins with.

    Raises:
        ValueError: the inputs are no images, are smaller already, or the network takes one size only.
    """
    chosen = recipe.train.progressive_resize
    if chosen is None:
        return
    if len(input_shape) != 3 or chosen.size >= min(input_shape[1:]):
        raise ValueError(
            f"expected a size below the images' shorter side, found {chosen.size} for "
            f"inputs of {' x '.join(map(str, input_shape))}"
        )
    try:
        with torch.inference_mode():
            model.eval()(shrink(torch.zeros(1, *input_shape), chosen.size))
    except RuntimeError as error:
        raise ValueError(
            f"model {recipe.model.name!r} takes images of one size only; leave progressive_resize out"
        ) from error


def fitting(recipe: Recipe, where: Where, build_part: Callable[[], Any]) -> Any:
    """What the builder gives; where it says that its parts do not fit, that is the recipe's fault, and is said there."""
    try:
        return build_part()
    except ValueError as error:
        raise InvalidError(f"{recipe.at(where)}: {error}") from error
