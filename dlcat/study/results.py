"""What a study found: a group for every cell, what failed included, each compared to its base, and the paper beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlcat.study.groups import Failure, Group
from dlcat.study.trainings import measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlcat.study.axes import Cell
    from dlcat.study.design import Design
    from dlcat.study.trainings import Ended


def results(design: Design, ended: Sequence[Ended]) -> dict[str, Any]:
    """A study as JSON: what was compared over which axes, and a group for every cell, in their order."""
    groups = {cell: _group(design, cell, ended) for cell in design.cells}
    chosen = list(design.cells)
    if design.tuned is not None:
        chosen = design.chosen({cell: group.trials for cell, group in groups.items()})
    metric, bases = design.measure.metric, {cell: design.base(cell, chosen) or cell for cell in chosen}
    return {
        "metric": metric,
        "split": design.measure.split,
        "axes": design.axes,
        "tuned": None if design.tuned is None else list(design.axes)[design.tuned],
        "paper": design.source,
        "groups": [
            {**group.plain(groups[bases.get(cell, cell)], metric), "chosen": cell in chosen}
            for cell, group in groups.items()
        ],
    }


def _group(design: Design, cell: Cell, ended: Sequence[Ended]) -> Group:
    mine = [each for each in ended if each.order.cell == cell]
    trials = [measured(each.run, each.order, design) for each in mine if each.run]
    return Group(
        dict(cell.variants),
        tuple(sorted(trials, key=lambda each: (each.seed, each.fold or 0))),
        tuple(Failure(each.order.draw.seed, each.order.draw.fold, each.failure) for each in mine if not each.run),
        design.papers.get(tuple(name for _, name in cell.variants)),
    )
