"""Runs side by side: those that differ in their seed and fold only are a group, and groups are compared draw by draw."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dlcat import document
from dlcat.study.statistics import Difference, Mean, difference, mean
from dlcat.study.trials import FOLD, FOLDS, SEED, Measure, Trial, trained, trial, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dlcat.run import Run

_TOLD = ("run", "seed", "fold", "value", "seconds", "gradient_passes", "precision")
"""What is said of each trial."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A training that came to no end."""

    seed: int
    fold: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Group:
    """The trials of one recipe, by seed and fold."""

    changes: dict[str, Any]
    """The keys or axes in which the groups differ, as this one has them; a key it has not is None."""
    trials: tuple[Trial, ...]
    failures: tuple[Failure, ...] = ()
    paper: float | None = None
    """What a paper found, shares in per cent."""

    @property
    def value(self) -> Mean | None:
        return self._mean(lambda each: each.value)

    @property
    def seconds(self) -> Mean | None:
        return self._mean(lambda each: each.seconds)

    @property
    def gradient_passes(self) -> Mean | None:
        return self._mean(lambda each: each.gradient_passes)

    def against(self, base: Group) -> Difference | None:
        """How much larger its values are than the base's of the same seeds and folds; None where they have none in common."""
        mine, others = ({each.drawn: each for each in group.trials} for group in (self, base))
        both = [drawn for drawn in mine if drawn in others]
        if not both:
            return None
        folds = mine[both[0]].folds
        overlap = 0.0 if folds is None else 1 / (folds - 1)
        return difference(
            [mine[drawn].value for drawn in both], [others[drawn].value for drawn in both], overlap=overlap
        )

    def plain(self, base: Group, metric: str) -> dict[str, Any]:
        """The group as JSON, compared to another.

        Args:
            base: that other one; itself where there is nothing to compare to.
            metric: whose curve is told, with that of the loss.
        """
        compared = None if base is self else self.against(base)
        first = self.trials[0] if self.trials else None
        return {
            "changes": self.changes,
            "value": _plain(self.value),
            "difference": None if compared is None else {**asdict(compared), "to": base.changes},
            "paper": self.paper,
            "seconds": _plain(self.seconds),
            "gradient_passes": _plain(self.gradient_passes),
            "parameters": first and first.parameters,
            "macs": first and first.macs,
            "trials": [
                {key: getattr(each, key) for key in _TOLD} | {"report": str(each.report)} for each in self.trials
            ],
            "failures": [asdict(failure) for failure in self.failures],
            "curves": {name: curve(self.trials, name) for name in dict.fromkeys((metric, "loss"))},
        }

    def _mean(self, what: Callable[[Trial], float]) -> Mean | None:
        return mean([what(each) for each in self.trials]) if self.trials else None


def curve(trials: Sequence[Trial], metric: str) -> list[dict[str, Any]]:
    """A metric of the validation split over epochs: mean, lowest and highest of the trials that have that epoch.

    Of the training split where no epoch looked at a validation split; empty where epochs do not tell that metric.
    """
    looked = any(metric in watched(epoch) for each in trials for epoch in each.epochs)
    found: dict[int, list[float]] = {}
    for each in trials:
        for epoch in each.epochs:
            values = watched(epoch) if looked else trained(epoch)
            if metric in values:
                found.setdefault(epoch["epoch"], []).append(values[metric])
    split = "validation" if looked else "train"
    return [
        {"epoch": number, "split": split, "mean": fmean(values), "low": min(values), "high": max(values)}
        for number, values in sorted(found.items())
    ]


def grouped(runs: Iterable[Run], measure: Measure) -> list[Group]:
    """The groups in the order in which they first come; of runs with the same recipe, seed and fold, the last counts.

    Args:
        runs: finished ones.
        measure: what is compared.

    Raises:
        InvalidError: a run is not finished, has no such metric, or its recipe cannot be read.
    """
    recipes: list[dict[str, Any]] = []
    members: list[dict[tuple[int, int | None], Trial]] = []
    for run in runs:
        recipe = flat(_of_the_network(document.load(run.recipe_path).data)) | _left_open(run)
        seed, fold, folds = recipe.pop(SEED, 0), recipe.pop(FOLD, 0), recipe.get(FOLDS)
        found = trial(run, measure, seed=seed, fold=None if folds is None else fold, folds=folds)
        if recipe not in recipes:
            recipes.append(recipe)
            members.append({})
        members[recipes.index(recipe)][found.drawn] = found
    return [
        Group(changes, tuple(sorted(found.values(), key=lambda each: (each.seed, each.fold or 0))))
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


def _left_open(run: Run) -> dict[str, Any]:
    """What a run's recipe left to be measured: groups do not differ in what the machine answered."""
    found = run.environment().get("found") if (run.path / "environment.json").is_file() else None
    return {f"train.{key}": "auto" for key in found or {}}


def _plain(found: Mean | None) -> Mapping[str, Any] | None:
    return None if found is None else asdict(found)
