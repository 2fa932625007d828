"""A run as a model card: Markdown that says what a network is, came from and is good for, with Hugging Face's metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcat import units
from dlcat.errors import InvalidError
from dlcat.view.page import clean
from dlcat.view.report import wilson
from dlcat.view.results import beside, evaluation, score, scores, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dlcat.catalog.dataset import Dataset
    from dlcat.run import Run

HERE = Path(__file__).resolve().parent
PIPELINES = {"image": "image-classification", "nlp": "text-classification", "audio": "audio-classification"}
"""What the Hub calls a classifier of each domain."""
HUB_LICENSES = ("cc-", "mit", "apache-", "bsd-", "odc-", "pddl", "gpl-", "lgpl-", "cc0-")
"""How the SPDX identifiers begin that the Hub takes, in lower case; all others are `other` there, by name."""
CLASSES_LIMIT = 20
"""So many class names are written out in a sentence."""


def render(run: Run, dataset: Dataset) -> str:
    """The card of a finished run, with what the catalog knows of its dataset.

    Raises:
        InvalidError: the run is not finished, or one of its files is damaged.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(  # Markdown has no escaping of its own that holds everywhere: texts are cleaned one by one
        loader=FileSystemLoader(HERE), autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pages.filters["cell"] = _cell
    try:
        content = _content(run, dataset)
    except (KeyError, TypeError) as error:
        raise InvalidError(f"{run.path}: not as this version of dlcat writes it: {error}") from error
    return pages.get_template("card.md.jinja").render(content)


def _content(run: Run, dataset: Dataset) -> dict[str, Any]:
    outcome, environment, inputs = run.result(), run.environment(), _inputs(run)
    split, test = shown(outcome)
    validation = (outcome["metrics"]["validation"] or {}) if split == "test" else {}
    classes = [_cell(name) for name in inputs["classes"]]
    return {
        "front": _front(outcome, dataset),
        "name": clean(outcome["recipe"]),
        "question": clean(outcome["question"]),
        "about": _about(outcome, dataset, environment),
        "splits": [split, *(["validation"] if validation else [])],
        "metrics": [_metric(name, test, validation) for name, _ in scores(test)],
        "interval": _interval(split, test, outcome["split"][split]),
        "beside": beside(outcome.get("baseline")),
        "classes": [_class(row) for row in test.get("per_class", [])],
        "data": list(_data(outcome, dataset)),
        "files": environment["data"],
        "recipe": run.recipe_path.read_text(encoding="utf-8").strip(),
        "facts": list(_facts(outcome, environment)),
        "shape": ", ".join(map(str, ("N", *inputs["shape"]))),
        "peak": f"{inputs['statistics']['peak']:g}",
        "order": ", ".join(classes[:CLASSES_LIMIT]) + (", …" if len(classes) > CLASSES_LIMIT else ""),
        "command": outcome["command"],
        "limits": list(_limits(outcome, dataset)),
        "citation": dataset.citation.strip(),
    }


def _front(outcome: Mapping[str, Any], dataset: Dataset) -> str:
    """The metadata that the Hub reads, as YAML."""
    import yaml

    split, metrics = shown(outcome)
    figures = [{"type": name, "value": metrics[name]} for name, _ in _figures(outcome)]
    task = {"type": PIPELINES[dataset.domain]}
    about = {"type": dataset.name, "name": clean(dataset.title), "split": split}
    front = {
        "library_name": "dlcat",
        "pipeline_tag": PIPELINES[dataset.domain],
        **_license(dataset),
        "tags": ["dlcat", dataset.name],
        "metrics": [name for name, _ in _figures(outcome)],
        "model-index": [{"name": outcome["recipe"], "results": [{"task": task, "dataset": about, "metrics": figures}]}],
    }
    written: str = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    return written


def _figures(outcome: Mapping[str, Any]) -> list[tuple[str, str]]:
    return scores(shown(outcome)[1])


def _license(dataset: Dataset) -> dict[str, str]:
    """The data's licence in the Hub's words, which has its own names for the usual ones."""
    known, link = dataset.license.id, dataset.license.url
    if known is None:
        return {"license": "unknown"}
    if known.lower().startswith(HUB_LICENSES):
        return {"license": known.lower()}
    return {"license": "other", "license_name": known, **({"license_link": link} if link else {})}


def _about(outcome: Mapping[str, Any], dataset: Dataset, environment: Mapping[str, Any]) -> str:
    size = f"{units.count(outcome['parameters'])} parameters, {units.count(outcome['macs'])} multiply-adds an example"
    return f"A network ({size}) trained on {_cell(dataset.title)} with dlcat {environment['dlcat']}."


def _metric(name: str, test: Mapping[str, Any], validation: Mapping[str, Any]) -> list[str]:
    told = [score(name, test[name])]
    if validation:
        told.append(score(name, validation[name]) if name in validation else "")
    return [name, *told]


def _interval(split: str, metrics: Mapping[str, Any], examples: int) -> str:
    if "accuracy" not in metrics:
        return ""
    low, high = wilson(metrics["accuracy"], examples)
    return f"{split.capitalize()} accuracy lies in {100 * low:.2f} to {100 * high:.2f} % (Wilson's 95 % interval, {units.count(examples)} examples)."


def _class(row: Mapping[str, Any]) -> list[str]:
    shares = [units.percent(row[name]) for name in ("precision", "recall", "f1")]
    return [_cell(row["class"]), *shares, units.count(row["support"])]


def _data(outcome: Mapping[str, Any], dataset: Dataset) -> Iterator[tuple[str, str]]:
    licence, split = dataset.license, outcome["split"]
    yield "dataset", f"{_cell(dataset.title)}, <{dataset.homepage}>"
    yield "licence", _cell("  ".join(filter(None, (licence.id or "none stated", licence.note, licence.url))))
    yield "what it holds", _cell(dataset.summary.en)
    sizes = ", ".join(f"{units.count(split[part])} {part}" for part in ("train", "validation", "test") if split[part])
    yield "examples", f"{sizes}. Validation: {split['how']}"


def _facts(outcome: Mapping[str, Any], environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    seconds, rate = units.duration(outcome["seconds"]), units.count(outcome["examples_per_second"])
    yield "training", f"{units.count(outcome['epochs'])} epochs in {seconds}, {rate} examples/s, seed {outcome['seed']}"
    how = ", ".join([outcome["precision"], outcome["layout"], *(["compiled"] if outcome.get("compiled") else [])])
    yield "computed on", f"{environment['gpu'] or environment['cpu']}, {how}"
    yield "threads", f"{environment['threads']} of {environment['cores']} cores"
    versions = ("dlcat", "torch", "numpy", "python")
    yield "software", ", ".join(f"{name} {environment[name]}" for name in versions) + f" on {environment['platform']}"
    if git := environment.get("git"):
        yield "commit", git["commit"] + (", with uncommitted changes" if git["dirty"] else "")
    yield "finished", outcome["finished"]


def _limits(outcome: Mapping[str, Any], dataset: Dataset) -> Iterator[str]:
    yield f"It knows the {units.count(len(outcome['classes']))} classes above, and calls whatever it is shown one of them."
    yield f"It was measured on {_cell(dataset.title)} only; pictures of another kind or source were not tried."
    yield "These are the figures of one seed; `dlcat study` tells how far seeds lie apart."
    yield "The licence above is the data's; dlcat knows of none for the weights."
    for label, text in evaluation(outcome):
        yield f"The figures were {label} {text}; exported networks do the same."
    for issue in dataset.known_issues:
        yield f"Known of the data: {_cell(issue)}"


def _inputs(run: Run) -> dict[str, Any]:
    path = run.path / "inputs.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError) as error:
        raise InvalidError(f"{path}: cannot be read: {error}") from error


def _cell(text: Any) -> str:
    """Text on one line that neither ends a cell of a table nor begins markup."""
    told = clean(str(text))
    for sign in "\\|<>`":
        told = told.replace(sign, f"\\{sign}")
    return told
