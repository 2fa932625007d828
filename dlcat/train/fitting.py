"""Whether a recipe's choices fit its data, found by trying them on empty images of their shape."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlcat.errors import InvalidError
from dlcat.inputs import Sounds, Tokens
from dlcat.models import model as models
from dlcat.train.augment import Shown, shrink, telling
from dlcat.train.augment import augmentation as augmentations
from dlcat.train.mix import mix as mixes

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from dlcat.document import Where
    from dlcat.inputs import Form
    from dlcat.recipe import Recipe
    from dlcat.registry import Choice
    from dlcat.train.mix import Mixed


def augmenting(choice: Choice) -> Callable[[Tensor, torch.Generator, Shown], Tensor]:
    """What changes images (N, C, H, W) as a choice says, told which examples they are and in which epoch."""
    return telling(augmentations.bind(choice))


def finishes(choice: Choice) -> bool:
    """Whether an augmentation changes what the network gets, not what is stored."""
    return bool(augmentations.traits(choice.name).changes == "spectrograms")


def require_takes(recipe: Recipe, form: Form | None) -> None:
    """Stop where the network takes something else than the recipe's inputs become.

    Raises:
        InvalidError: it takes tokens and there are none, or there are and it takes none.
    """
    takes = models.traits(recipe.model.name).takes
    found = "tokens" if isinstance(form, Tokens) else "signals"
    if takes != found:
        fitting_ones = [name for name in models if models.traits(name).takes == found]
        raise InvalidError(
            f"{recipe.at(('model', 'name'))}: {recipe.model.name} takes {takes}, found inputs that are {found}",
            hint=f"{found} are for {', '.join(sorted(fitting_ones))}",
        )


def require_changeable(recipe: Recipe, input_shape: tuple[int, ...], form: Form | None = None) -> None:
    """Stop where an augmentation or a mix cannot be applied to such inputs.

    Raises:
        InvalidError: they are too small for it, or of another kind.
    """
    with torch.device("cpu"):
        gets = torch.zeros(2, *input_shape)
        stored = _stored(gets, form)
        for number, choice in enumerate(recipe.augment):
            tried = gets if finishes(choice) else stored
            change = partial(augmenting(choice), tried, torch.Generator(), Shown(torch.arange(2), 1))
            fitting(recipe, ("augment", number), partial(_require_same_shape, choice.name, tried, change))
        for number, choice in enumerate(recipe.mix):
            fitting(
                recipe,
                ("mix", number),
                partial(_require_same_shape, choice.name, gets, partial(_tried, choice, gets)),
            )


def _stored(gets: Tensor, form: Form | None) -> Tensor:
    """Inputs as they are stored that become what the network gets."""
    if isinstance(form, Sounds):
        return torch.zeros(2, 1, form.samples, dtype=torch.int16)
    if isinstance(form, Tokens):
        return torch.zeros(2, form.length, dtype=torch.int64)
    return gets.to(torch.uint8)


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
    wanted = augmentations.traits(name).changes if name in augmentations else "images"
    shape = "C x H x W" if wanted == "images" else "C x T" if wanted == "waveforms" else "C x bands x frames"
    raise ValueError(f"{name} takes {wanted}, {shape}, found {' x '.join(map(str, stored.shape[1:]))}")


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
