"""A run's folder as one HTML page that needs nothing else: headline, curves, mistakes, recipe, data, environment."""

from __future__ import annotations

import math
from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from dlcat import units
from dlcat.view import charts
from dlcat.view.facts import Fact, dataset_facts, environment_facts, facts, facts_so_far
from dlcat.view.pictures import class_name, filters, mistakes
from dlcat.view.results import SHARES, beside, place, score, shown, words
from dlcat.view.templates import HERE, library

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dlcat.run import Run

MIXUPS_LIMIT = 8


def render(run: Run) -> str:
    """The report of a run as the text of one HTML file.

    A run that is unfinished or diverged is shown as far as it came, and the page says so.

    Raises:
        InvalidError: result.json, environment.json or errors.npz is there and damaged.
    """
    from markupsafe import Markup

    pages, style = library()
    script = (HERE / "report.js").read_text(encoding="utf-8")
    return pages.get_template("report.html.jinja").render(
        **_content(run),
        style=style,
        script=Markup(script),
        # Only this very script may run: markup that slipped in with the data could not.
        script_hash=f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}",
    )


def wilson(share: float, number: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share seen in `number` trials (Wilson 1927)."""
    z = 1.959964
    middle = share + z * z / (2 * number)
    reach = z * math.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    return (middle - reach) / (1 + z * z / number), (middle + reach) / (1 + z * z / number)


def _content(run: Run) -> dict[str, Any]:
    """Everything the template shows, as text and SVG; what the run does not have is empty."""
    epochs = run.epochs()
    outcome = run.result() if run.finished else {}
    environment = run.environment() if (run.path / "environment.json").is_file() else {}
    recipe = run.recipe_path.read_text(encoding="utf-8") if run.recipe_path.is_file() else ""
    metrics = outcome.get("metrics") or {}
    test, validation = metrics.get("test") or {}, metrics.get("validation") or {}
    classes = [str(name) for name in outcome.get("classes") or []]
    return {
        "name": outcome.get("recipe") or run.name,
        "question": outcome.get("question") or _question(recipe),
        "unfinished": None if outcome else _unfinished(epochs),
        "score": _score(outcome),
        "facts": list(facts(outcome, epochs) if outcome else facts_so_far(epochs, environment)),
        "charts": list(_charts(epochs, outcome.get("learning_rates") or [], outcome.get("mixtures") or [])),
        "metrics": _metrics(validation, test),
        "split": _split(outcome.get("split")),
        "confusion": _confusion(test.get("confusion"), classes),
        "classes": [_class_row(row) for row in test.get("per_class") or []],
        "filters": filters(run, outcome.get("filters")),
        "norms": _norms(outcome.get("norms")),
        "mistakes": list(mistakes(run.errors_path, classes)),
        "recipe": recipe,
        "command": outcome.get("command") or "",
        "dataset": list(dataset_facts(outcome.get("dataset") or {})),
        "files": environment.get("data") or [],
        "environment": list(environment_facts(environment)),
        "version": environment.get("dlcat") or units.UNKNOWN,
        "folder": run.name,
    }


def _question(recipe: str) -> str:
    """The first comment line of a recipe: the question it asks."""
    first = recipe.strip().partition("\n")[0]
    return first.lstrip("# ") if first.startswith("#") else ""


def _unfinished(epochs: Sequence[Mapping[str, Any]]) -> Fact:
    bad = next((epoch["epoch"] for epoch in epochs if not math.isfinite(_loss(epoch))), None)
    if bad is not None:
        return {
            "title": "This run diverged.",
            "text": f"The loss left the finite numbers in epoch {bad}; there is no test result.",
        }
    if not epochs:
        return {"title": "This run did not finish.", "text": "Not one epoch ended; there is no test result."}
    came = f"epoch {epochs[-1]['epoch']} of {epochs[-1]['epochs']}"
    return {
        "title": "This run did not finish.",
        "text": f"It was stopped, or still trains, after {came}; there is no test result yet.",
    }


def _loss(epoch: Mapping[str, Any]) -> float:
    value = epoch["train"].get("loss", 0.0)
    return math.nan if value is None else float(value)


def _score(outcome: Mapping[str, Any]) -> Fact | None:
    split, metrics = shown(outcome) if outcome else ("test", {})
    names = sorted((key for key in metrics if isinstance(metrics[key], int | float)), key=place)
    if not names:
        return None
    name = names[0]
    value, _, unit = score(name, metrics[name]).partition(" ")
    note = _interval(name, metrics[name], split, outcome)
    return {"name": f"{split} {words(name)}", "value": value, "unit": unit, "note": note, "beside": _beside(outcome)}


def _beside(outcome: Mapping[str, Any]) -> str:
    baseline = outcome.get("baseline")
    return f"Without a network {beside(baseline)}: {_decapitalized(baseline['about'])}" if baseline else ""


def _decapitalized(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _interval(name: str, value: float, split: str, outcome: Mapping[str, Any]) -> str:
    number = (outcome.get("split") or {}).get(split)
    if name != "accuracy" or not number or not math.isfinite(value):
        return ""
    low, high = wilson(value, number)
    return f"{low * 100:.2f} to {high * 100:.2f} % with 95 % confidence, from {units.count(number)} {split} examples"


def _charts(
    epochs: Sequence[Mapping[str, Any]], rates: Sequence[Sequence[float]], mixtures: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    from markupsafe import Markup

    # Only our own drawing becomes markup; every word of it was escaped when it was drawn.
    names = dict.fromkeys(name for epoch in epochs for name in (*epoch["train"], *(epoch["validation"] or {})))
    for name in names:
        yield {"title": f"{name} per epoch", "svg": Markup(charts.curves(epochs, name))}
    if len(epochs) > 1:
        yield {"title": "examples per second, by epoch", "svg": Markup(charts.throughput(epochs))}
    if rates:
        yield {"title": "learning rate per step", "svg": Markup(charts.learning_rate(rates))}
    if mixtures:
        yield {"title": "statistics that the norms mix", "svg": Markup(charts.mixtures(mixtures))}


def _metrics(validation: Mapping[str, Any], test: Mapping[str, Any]) -> list[Fact]:
    names = [
        name
        for name in dict.fromkeys((*test, *validation))
        if isinstance(test.get(name, validation.get(name)), int | float)
    ]
    names.sort(key=place)
    return [{"name": words(name), "validation": _cell(name, validation), "test": _cell(name, test)} for name in names]


def _cell(name: str, metrics: Mapping[str, Any]) -> str:
    return score(name, metrics[name]) if metrics.get(name) is not None else "-"


def _split(split: Mapping[str, Any] | None) -> str:
    """How many examples each part had, and how validation was split off."""
    if not split:
        return ""
    sizes = ", ".join(
        f"{units.count(split[part])} {part}" for part in ("train", "validation", "test") if split.get(part)
    )
    how = str(split.get("how") or "").strip().rstrip(".")
    return f"Examples: {sizes}." + (f" Validation: {how}." if how else "")


def _confusion(counts: Sequence[Sequence[int]] | None, classes: Sequence[str]) -> dict[str, Any] | None:
    from markupsafe import Markup

    if not counts:
        return None
    names = [class_name(position, classes) for position in range(len(counts))]
    return {"svg": Markup(charts.confusion(counts, names)), "mixups": _mixups(counts, names)}


def _mixups(counts: Sequence[Sequence[int]], names: Sequence[str]) -> list[Fact]:
    wrong = [
        (count, true, predicted)
        for true, row in enumerate(counts)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    wrong.sort(key=lambda mistake: -mistake[0])
    return [
        {
            "true": names[true],
            "predicted": names[predicted],
            "count": units.count(count),
            "share": units.percent(count / sum(counts[true])),
        }
        for count, true, predicted in wrong[:MIXUPS_LIMIT]
    ]


def _class_row(row: Mapping[str, Any]) -> dict[str, Any]:
    columns = ("precision", "recall", "f1", "support")
    return {
        "name": str(row["class"]),
        "cells": [
            {"value": row[name], "text": (units.percent if name in SHARES else units.count)(row[name])}
            for name in columns
        ],
    }


def _norms(norms: Sequence[Mapping[str, Any]] | None) -> Any:
    from markupsafe import Markup

    return Markup(charts.norms(norms)) if norms else None
