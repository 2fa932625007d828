"""Runs side by side: those that differ in their seed only are a group, and groups are compared seed by seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dlcat import document
from dlcat.errors import InvalidError, nearest
from dlcat.study.statistics import Difference, Mean, difference, mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlcat.run import Run

SEED = "train.seed"


@dataclass(frozen=True, slots=True)
class Trial:
    """One finished run, as far as it is compared."""

    run: str
    seed: int
    value: float
    """Of the metric that is compared."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Group:
    """The runs of one recipe, by seed."""

    changes: dict[str, Any]
    """The keys in which the groups differ, as this one has them; a key it has not is None."""
    trials: tuple[Trial, ...]
    parameters: int
    macs: int

    @property
    def value(self) -> Mean:
        return mean([trial.value for trial in self.trials])

    @property
    def seconds(self) -> Mean:
        return mean([trial.seconds for trial in self.trials])

    def against(self, base: Group) -> Difference | None:
        """How much larger its values are than the base's of the same seeds; None where they have none in common."""
        mine, others = ({trial.seed: trial.value for trial in group.trials} for group in (self, base))
        both = [seed for seed in mine if seed in others]
        return difference([mine[seed] for seed in both], [others[seed] for seed in both]) if both else None

    def plain(self, base: Group) -> dict[str, Any]:
        """The group as JSON, compared to another."""
        compared = self.against(base) if base is not self else None
        return {
            **asdict(self),
            "value": asdict(self.value),
            "seconds": asdict(self.seconds),
            "difference": None if compared is None else asdict(compared),
        }


def grouped(runs: Iterable[Run], metric: str) -> list[Group]:
    """The groups in the order in which they first come; of runs with the same recipe and seed, the last counts.

    Args:
        runs: finished ones.
        metric: of the test split, such as accuracy.

    Raises:
        InvalidError: a run is not finished, has no such metric, or its recipe cannot be read.
    """
    recipes: list[dict[str, Any]] = []
    members: list[dict[int, tuple[Trial, dict[str, Any]]]] = []
    for run in runs:
        result = run.result()
        recipe = flat(_of_the_network(document.load(run.recipe_path).data))
        seed = recipe.pop(SEED, 0)
        trial = Trial(run.name, seed, _measured(run, result, metric), result["seconds"])
        if recipe not in recipes:
            recipes.append(recipe)
            members.append({})
        members[recipes.index(recipe)][seed] = trial, result
    return [
        Group(changes, tuple(found[seed][0] for seed in sorted(found)), *_cost(found))
        for changes, found in zip(changed(recipes), members, strict=True)
    ]


def flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A recipe's plain data as one level of dotted keys; a choice's name stands at the choice's own key.

    >>> flat({"model": {"name": "resnet", "depth": 20, "norm": "batch"}, "train": {"epochs": 3}})
    {'model': 'resnet', 'model.depth': 20, 'model.norm': 'batch', 'train.epochs': 3}
    """
    found: dict[str, Any] = {}
    for key, value in data.items():
        place = f"{prefix}{key}"
        if prefix and key == "name":
            found[prefix[:-1]] = value
        elif isinstance(value, dict):
            found |= flat(value, f"{place}.")
        else:
            found[place] = value
    return found


def changed(recipes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each recipe the keys in which they differ; where a choice has another name, its options are left out."""
    every = dict.fromkeys(key for recipe in recipes for key in recipe)
    differing = [key for key in every if any(recipe.get(key) != recipes[0].get(key) for recipe in recipes)]
    told = [key for key in differing if not any(key.startswith(f"{other}.") for other in differing)]
    return [{key: recipe.get(key) for key in told} for recipe in recipes]


def _of_the_network(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe without what stands beside the network, and changes nothing of it."""
    return {key: value for key, value in recipe.items() if key != "baseline"}


def _measured(run: Run, result: dict[str, Any], metric: str) -> float:
    measures = {name: value for name, value in result["metrics"]["test"].items() if isinstance(value, int | float)}
    if metric not in measures:
        raise InvalidError(f"{run.path}: its test split has no {metric!r}", hint=nearest(metric, measures))
    return float(measures[metric])


def _cost(found: dict[int, tuple[Trial, dict[str, Any]]]) -> tuple[int, int]:
    _, result = next(iter(found.values()))
    return result["parameters"], result["macs"]
