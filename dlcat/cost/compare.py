"""Two networks side by side, convolution by convolution, where their layers go by the same names."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcat.cost import Cost, LayerCost


@dataclass(frozen=True, slots=True)
class Block:
    """The steps of one convolution together, or one layer."""

    name: str
    parameters: int
    macs: int
    backward_macs: int
    kept_bytes: int
    receptive_field: tuple[int, ...]
    """At its output."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a convolution multiplies for one example, and what a standard one would in its place."""

    name: str
    macs: int
    standard_macs: int


@dataclass(frozen=True, slots=True)
class AgainstStandard:
    """The convolutions of a network that multiply more or less than standard ones in their place, and their sums."""

    macs: int
    standard_macs: int
    blocks: tuple[Share, ...]


def against_standard(price: Cost, standard: Cost) -> AgainstStandard:
    """A network beside the same with standard convolutions."""
    shares = tuple(
        Share(ours.name, ours.macs, theirs.macs)
        for ours, theirs in pairs(price, standard)
        if ours and theirs and ours.macs != theirs.macs
    )
    return AgainstStandard(sum(share.macs for share in shares), sum(share.standard_macs for share in shares), shares)


def blocks(price: Cost) -> list[Block]:
    """The layers of a network with the steps of each convolution put together, in the order in which they run."""
    return [_block(name, list(layers)) for name, layers in groupby(price.layers, key=lambda layer: layer.block)]


def pairs(first: Cost, second: Cost) -> list[tuple[Block | None, Block | None]]:
    """The blocks of two networks, those of one name beside each other; None where only one has it.

    In the order of the first network; what only the second has stands behind what it has before it.
    """
    ours = {block.name: block for block in blocks(first)}
    theirs = {block.name: block for block in blocks(second)}
    names = list(ours)
    place = 0
    for name in theirs:
        if name not in ours:
            names.insert(place, name)
        place = names.index(name) + 1
    return [(ours.get(name), theirs.get(name)) for name in names]


def _block(name: str, layers: list[LayerCost]) -> Block:
    return Block(
        name,
        parameters=sum(layer.parameters for layer in layers),
        macs=sum(layer.macs for layer in layers),
        backward_macs=sum(layer.backward_macs for layer in layers),
        kept_bytes=sum(layer.kept_bytes for layer in layers),
        receptive_field=layers[-1].receptive_field,
    )
