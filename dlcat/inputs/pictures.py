"""Pictures, decoded when they are needed and cut to squares of one size."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from dlcat.catalog.dataset import Sample
from dlcat.inputs import Pictures, inputs
from dlcat.readers.pixels import Crops
from dlcat.readers.prepare import channels


@inputs
def pictures(
    sample: Sample,
    *,
    size: Annotated[int, Ge(1)],
    least_area: Annotated[float, Gt(0), Le(1)] = 0.08,
    center: Annotated[float, Gt(0), Le(1)] = 0.875,
    shards: str | None = None,
    workers: Annotated[int, Ge(0)] | Literal["auto"] = "auto",
) -> Pictures:
    """Squares of `size` pixels a side, cut out of pictures that are decoded while the network trains (arXiv:1409.4842).

    Training sees random crops of at least the share `least_area` of a picture's area (1: the centre crop); evaluation the
    centre crop, whose side is the share `center` of the picture's shorter side. `shards` names the folder or address of what
    `dlcat pack` wrote. `workers` processes decode (auto: all cores but one); what comes out is the same for any number.
    """
    return Pictures(Crops(size, channels(sample), least_area, center), shards, workers)
