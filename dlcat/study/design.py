"""What a study is to do: its cells, how often each is trained, what is compared, and with what."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dlcat.errors import InvalidError, UsageError, nearest
from dlcat.recipe import Study
from dlcat.study.axes import Axis, Cell, axis, cells, full_key, written
from dlcat.study.trials import Measure, Trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dlcat.document import Where
    from dlcat.recipe import Paper, Recipe

LOWER_IS_BETTER = ("loss", "error")


@dataclass(frozen=True, slots=True)
class Draw:
    """What a training draws by, and what it holds out."""

    seed: int
    fold: int | None
    folds: int | None


@dataclass(frozen=True, slots=True)
class Design:
    """A study, sound and resolved."""

    axes: dict[str, list[str]]
    """By name, the names of their variants."""
    cells: tuple[Cell, ...]
    draws: tuple[Draw, ...]
    """Every cell is trained with each; where an axis is tuned, all cells with the first seed's only, the chosen with all."""
    measure: Measure
    tuned: int | None
    """Position of the axis that is tuned."""
    papers: dict[tuple[str, ...], float]
    """What a paper found, by the names of a cell's variants."""
    source: str
    """Which paper."""

    @property
    def first(self) -> tuple[Draw, ...]:
        """What every cell is trained with."""
        return self.draws if self.tuned is None else tuple(each for each in self.draws if each.seed == 0)

    @property
    def trainings(self) -> int:
        """How many there are, unless some fail."""
        rivals = {self.beside(cell) for cell in self.cells}
        return len(self.cells) * len(self.first) + len(rivals) * (len(self.draws) - len(self.first))

    def beside(self, cell: Cell) -> tuple[str, ...]:
        """The names of its variants but that of the tuned axis: cells that are alike here are rivals."""
        return tuple(name for position, (_, name) in enumerate(cell.variants) if position != self.tuned)

    def chosen(self, trials: Mapping[Cell, Sequence[Trial]]) -> list[Cell]:
        """Of each cell's rivals the one that the first trials' validation split likes best, in the order of cells."""
        seeds = {draw.seed for draw in self.first}
        merits = {}
        for cell in self.cells:
            if first := [each for each in trials.get(cell, ()) if each.seed in seeds]:
                merits[cell] = self._merit(first)
        best: dict[tuple[str, ...], Cell] = {}
        for cell in merits:
            rival = best.setdefault(self.beside(cell), cell)
            if merits[cell] > merits[rival]:
                best[self.beside(cell)] = cell
        return [cell for cell in merits if cell in best.values()]

    def base(self, cell: Cell, among: Iterable[Cell]) -> Cell | None:
        """What a cell is compared to: of those that are alike on every other axis, the first axis's first variant."""
        alike = [each for each in among if self.beside(each)[1:] == self.beside(cell)[1:]]
        first = self.beside(self.cells[0])[:1]
        return next((each for each in alike if self.beside(each)[:1] == first), None)

    def _merit(self, trials: Sequence[Trial]) -> float:
        value = fmean(each.validation[self.measure.metric] for each in trials)
        return -value if self.measure.metric in LOWER_IS_BETTER else value


def design(
    recipe: Recipe,
    *,
    over: Sequence[str] = (),
    seeds: int | None = None,
    folds: int | None = None,
    metric: str | None = None,
    split: str | None = None,
) -> Design:
    """The study that a recipe's `study` section describes; what is given here wins over it.

    Args:
        recipe: checked.
        over: axes as `axes.axis` reads them; any of them replace all of the section's.
        seeds: how often to train each.
        folds: hold out each of so many folds in turn.
        metric: what is compared.
        split: where it is measured; by default, with folds the validation split, else the test split.

    Raises:
        InvalidError: the section contradicts itself.
        UsageError: an option does.
    """
    section = recipe.study or Study()
    axes = _axes(recipe, section, over)
    folds = folds or section.folds
    measure = Measure(metric or section.metric, split or section.split or ("test" if folds is None else "validation"))
    paper = None if over else section.paper
    tuned = None if over else _tuned(recipe, section, axes, folds)
    try:
        every = tuple(cells(axes))
    except ValueError as error:
        raise UsageError(f"--over {error}") from error
    if measure.split == "validation" and folds is None and not recipe.train.holds_out:
        raise InvalidError(f"{recipe.at(('train', 'validation'))}: a study compares that split; expected more than 0")
    numbers = [None] if folds is None else range(folds)
    draws = tuple(Draw(seed, fold, folds) for seed, fold in product(range(seeds or section.seeds), numbers))
    named = {each.name: [variant.name for variant in each.variants] for each in axes}
    return Design(named, every, draws, measure, tuned, _papers(recipe, paper, axes), paper.source if paper else "")


def _axes(recipe: Recipe, section: Study, over: Sequence[str]) -> list[Axis]:
    if over:
        return [axis(text) for text in over]
    found = []
    for name, content in section.over.items():
        try:
            found.append(written(name, content))
        except ValueError as error:
            raise InvalidError(f"{recipe.at(('study', 'over', name))}: {error}") from error
    return found


def _tuned(recipe: Recipe, section: Study, axes: Sequence[Axis], folds: int | None) -> int | None:
    if section.tune is None:
        return None
    names, wanted = [each.name for each in axes], full_key(section.tune)
    if wanted not in names:
        raise InvalidError(f"{recipe.at(('study', 'tune'))}: no axis named {wanted!r}; {nearest(wanted, names)}")
    if folds is None and not recipe.train.holds_out:
        raise InvalidError(f"{recipe.at(('study', 'tune'))}: expected a validation split to choose by, found none")
    return names.index(wanted)


def _papers(recipe: Recipe, paper: Paper | None, axes: Sequence[Axis]) -> dict[tuple[str, ...], float]:
    """The paper's values by the names of variants.

    Raises:
        InvalidError: a name is not that of a variant, or what is inside is not a number.
    """
    found: dict[tuple[str, ...], float] = {}

    def read(content: Any, names: tuple[str, ...]) -> None:
        place: Where = ("study", "paper", "values", *names)
        if len(names) == len(axes):
            if isinstance(content, bool) or not isinstance(content, int | float):
                raise InvalidError(f"{recipe.at(place)}: expected a number, found {content!r}")
            found[names] = float(content)
            return
        known = [variant.name for variant in axes[len(names)].variants]
        if not isinstance(content, dict):
            raise InvalidError(
                f"{recipe.at(place)}: expected a value for each of {', '.join(known)}, found {content!r}"
            )
        for name, inner in content.items():
            if name not in known:
                raise InvalidError(f"{recipe.at((*place, name))}: no variant named {name!r}; {nearest(name, known)}")
            read(inner, (*names, name))

    if paper is not None:
        read(paper.values, ())
    return found
