"""Runs and what came out of them as text; `console` as in `tables`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlcat import units
from dlcat.errors import DlcatError
from dlcat.view.page import Column, Page, drawn, plain_table, rich_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from rich.console import Console

    from dlcat.run import Run


def runs(every: Iterable[Run], console: Console | None = None) -> str:
    """Runs, a line each, for `dlcat runs`; one that did not finish shows how far it came."""
    columns = [
        Column("run", style="bold"),
        Column("dataset", shrinks=True),
        Column("epochs", right=True),
        Column("test", right=True),
        Column("time", right=True),
        Column("state"),
    ]
    cells = [_run_cells(run) for run in every]
    if console is None:
        return plain_table(columns, cells)
    return drawn(console, rich_table(console, columns, cells))


def result(outcome: Mapping[str, Any], report: Path, console: Console | None = None) -> str:
    """The end of a training: what came out, what it cost, and where the report is."""
    test, validation = (outcome["metrics"].get(split) or {} for split in ("test", "validation"))
    page = Page(console)
    page.gap()
    page.line(f"{outcome['recipe']} on {outcome['dataset']['title']}", "bold")
    page.pairs(
        [
            *((f"test {words(name)}", value) for name, value in scores(test)),
            *((f"validation {words(name)}", value) for name, value in scores(validation)),
            *untested(outcome),
            *evaluation(outcome),
            *ending(outcome),
            ("without a network", beside(outcome.get("baseline"))),
            ("time", f"{units.duration(outcome['seconds'])}, {units.count(outcome['examples_per_second'])} examples/s"),
            ("on", _where(outcome)),
            ("parameters", units.count(outcome["parameters"])),
            ("report", str(report)),
        ]
    )
    return page.text()


def _where(outcome: Mapping[str, Any]) -> str:
    together = f", {outcome['processes']} processes" if outcome.get("processes", 1) > 1 else ""
    return f"{outcome['device']}, {outcome['precision']}, {outcome['layout']}{together}"


def exported(told: Mapping[str, Any], console: Console | None = None) -> str:
    """A network's file: what it takes, and how it was held against the run's own network."""
    page = Page(console)
    page.line(told["file"], "bold")
    page.pairs(
        [
            ("size", units.size(told["bytes"])),
            ("weights", f"of the {told['weights']} epoch"),
            ("takes", told["inputs"]),
            ("read back", f"on {told['examples']} examples of {told['examples_of']}"),
            ("difference", _difference(told)),
        ]
    )
    return page.text()


def _difference(told: Mapping[str, Any]) -> str:
    found, largest = told["largest_difference"], told["largest_output"]
    if found == 0:
        return "none: to the bit the outputs of the run's network"
    share = f"{found / largest:.1e} of the largest output; {told['tolerance']:.0e} is allowed"
    return f"at most {found:.1e}, {share}"


def curves(run: Run) -> str:
    """A run's epochs as CSV: a line each, a column a figure."""
    import csv
    from io import StringIO

    from dlcat.run import scalars

    lines = [{"epoch": epoch["epoch"], **scalars(epoch)} for epoch in run.epochs()]
    names = dict.fromkeys(name for line in lines for name in line)
    stream = StringIO()
    writer = csv.DictWriter(stream, names or ["epoch"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


_SEEN = {
    "flip": "each image and its mirror image",
    "flip_shift": "each image, moved by a pixel both ways along the diagonal, and their mirror images",
}


def evaluation(outcome: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How the network was evaluated, where not as it was trained, on each example once: as (label, text)."""
    facts = []
    if outcome.get("ema") is not None:
        facts.append(("weights", f"their exponential moving average, decay {outcome['ema']:g}"))
    if seen := _SEEN.get(outcome.get("test_time_augment", "none")):
        facts.append(("evaluated on", f"{seen}, outputs averaged"))
    return facts


def ending(outcome: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the training stopped early, and what its target took: as (label, text)."""
    facts = []
    if outcome.get("stopped"):
        leader = outcome["best"]
        facts.append(("stopped", f"after epoch {outcome['epochs']}: {outcome['stopped']}"))
        ((name, value),) = scores({key: value for key, value in leader.items() if key != "epoch"})
        facts.append(("best epoch", f"{leader['epoch']}, validation {words(name)} {value}"))
    if outcome.get("target"):
        facts.append(("target", _target(outcome["target"])))
    return facts


def _target(told: Mapping[str, Any]) -> str:
    wanted = {"accuracy": "at least", "loss": "at most"}
    asked = " and ".join(
        f"{name} {bound} {score(name, told[name])}" for name, bound in wanted.items() if told[name] is not None
    )
    if not told["reached"]:
        return f"{told['split']} {asked}: not reached"
    return (
        f"{told['split']} {asked}: reached in epoch {told['epoch']}, {units.duration(told['seconds'])} of training, "
        f"{units.count(told['steps'])} steps, {units.count(told['examples'])} examples, "
        f"{units.magnitude(told['flops'])}FLOP"
    )


def beside(baseline: Mapping[str, Any] | None) -> str:
    """What a baseline reached on the test split, and from how much: '92.34 % by logistic, from 10,000 examples in 2 s'."""
    if not baseline:
        return ""
    learned = f"from {units.count(baseline['examples'])} examples in {units.duration(baseline['seconds'])}"
    return f"{score('accuracy', baseline['accuracy'])} by {baseline['name']}, {learned}"


SHARES = frozenset(
    {"accuracy", "error", "top5", "precision", "recall", "f1", "mean_average_precision", "micro_f1", "macro_f1"}
)
"""Metrics that are shares of one, shown as percentages."""
LEADING = ("accuracy", "mean_average_precision", "mean_absolute_error")
"""What ranks runs, of whatever task: it is shown first."""


def place(name: str) -> tuple[bool, bool, str]:
    """Where a metric stands among others: what ranks first, the loss last."""
    return name not in LEADING, name == "loss", name


def words(name: str) -> str:
    """A metric's name to be read."""
    return name.replace("_", " ")


def shown(outcome: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """What a run is known by: its test, or where the test's labels are not published its validation; split and metrics."""
    metrics = outcome["metrics"]
    return ("test", metrics["test"]) if metrics.get("test") else ("validation", metrics.get("validation") or {})


def untested(outcome: Mapping[str, Any]) -> list[tuple[str, str]]:
    """That there is no test, where there is none: as (label, text)."""
    return [] if outcome["metrics"].get("test") else [("test", "none: its targets are not published")]


def scores(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The single numbers among metrics, as (name, text); what ranks leads, and losses come last."""
    single = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    return [(name, score(name, single[name])) for name in sorted(single, key=place)]


def score(name: str, value: float) -> str:
    """One metric as text: shares as percentages with two decimals, everything else to three digits."""
    return units.percent(value, 2) if name in SHARES else units.decimal(value)


def _run_cells(run: Run) -> list[str]:
    try:
        epochs = run.epochs()
        if not run.finished:
            total = f"/{epochs[-1]['epochs']}" if epochs else ""
            seconds = sum(epoch["seconds"] for epoch in epochs)
            return [run.name, "", f"{len(epochs)}{total}", "", units.duration(seconds) if epochs else "", "unfinished"]
        outcome = run.result()
        split, metrics = shown(outcome)
        best = scores(metrics)
        return [
            run.name,
            outcome["dataset"]["name"],
            str(outcome["epochs"]),
            f"{best[0][1]}{'' if split == 'test' else ' (val.)'}" if best else "",
            units.duration(outcome["seconds"]),
            "finished",
        ]
    # One folder that was tampered with must not hide the others.
    except (DlcatError, OSError, AttributeError, KeyError, TypeError):
        return [run.name, "", "", "", "", "damaged"]
