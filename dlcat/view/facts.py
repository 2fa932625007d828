"""Facts of a run as its report lists them: label, value and perhaps a note."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from dlcat import units
from dlcat.view.results import ending, evaluation, score

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Fact = dict[str, str]
"""label, value and perhaps note."""


def facts(outcome: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]) -> Iterator[Fact]:
    """Of a finished run."""
    reasons, cost = outcome.get("reasons") or {}, outcome.get("macs")
    yield _fact("dataset", (outcome.get("dataset") or {}).get("title"))
    yield _fact("finished", _moment(outcome.get("finished")))
    yield from (_fact(label, text) for label, text in (*evaluation(outcome), *ending(outcome)))
    if outcome.get("class_weights"):
        yield _fact("class weights", f"{min(outcome['class_weights']):.3g} to {max(outcome['class_weights']):.3g}")
    yield _fact("training time", units.duration(outcome.get("seconds")), _length(outcome))
    yield from _beside_steps(outcome, epochs)
    yield _fact("speed", f"{units.count(outcome.get('examples_per_second'))} examples/s", _arithmetic(outcome))
    yield _fact(
        "parameters",
        units.count(outcome.get("parameters")),
        f"{units.magnitude(cost)} multiply-adds an example" if cost is not None else "",
    )
    yield from _resources(outcome)
    yield _fact("device", outcome.get("device"), reasons.get("device"))
    if outcome.get("processes", 1) > 1:
        yield _fact("processes", units.count(outcome["processes"]), "that trained together")
    yield _fact("precision", outcome.get("precision"), reasons.get("precision"))
    yield _fact("memory layout", outcome.get("layout"), reasons.get("layout"))
    yield _fact("compiled", "yes" if outcome.get("compiled") else "no", reasons.get("compile"))
    yield _fact("training inputs", (outcome.get("inputs") or {}).get("train"))
    if outcome.get("convolutions"):
        yield _fact("convolutions by", *_algorithms(outcome["convolutions"]))


def facts_so_far(epochs: Sequence[Mapping[str, Any]], environment: Mapping[str, Any]) -> Iterator[Fact]:
    """Of a run that is unfinished."""
    if environment.get("started"):
        yield _fact("started", _moment(environment["started"]))
    if epochs:
        last = epochs[-1]
        yield _fact("epochs", f"{last['epoch']} of {last['epochs']}")
        yield _fact("training time", units.duration(sum(epoch["seconds"] for epoch in epochs)))
        yield _fact("speed", f"{units.count(last['examples_per_second'])} examples/s")
        for name, value in (last["validation"] or {}).items():
            yield _fact(f"last validation {name}", score(name, value))


def _fact(label: str, value: Any, note: Any = "") -> Fact:
    return {"label": label, "value": units.UNKNOWN if value in (None, "") else str(value), "note": str(note or "")}


def _algorithms(convolutions: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """What computed how many of the convolutions, and the largest error among those that are not torch's own."""
    names = [" ".join(filter(None, (each["algorithm"], each["backend"]))) for each in convolutions]
    counted = ", ".join(f"{name} ({names.count(name)})" for name in dict.fromkeys(names))
    errors = [each["error"] for each in convolutions if each["error"] is not None]
    return counted, f"off by at most {max(errors):.1e} of the largest value, gradients included" if errors else ""


def _length(outcome: Mapping[str, Any]) -> str:
    """How many epochs, and how many gradients of the whole training split where those are not as many."""
    number, passes = outcome.get("epochs"), outcome.get("gradient_passes")
    if number is None:
        return ""
    said = f"{units.count(number)} {'epoch' if number == 1 else 'epochs'}"
    return said if passes is None or passes <= number else f"{said}, {units.decimal(passes)} gradients of all examples"


def _beside_steps(outcome: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]) -> Iterator[Fact]:
    """How much of the training time went to other things than steps; nothing where hardly any did."""
    seconds = outcome.get("seconds") or 0.0
    steps = sum(epoch["seconds"] for epoch in epochs)
    if epochs and seconds > steps * 1.001:
        share = units.percent(1 - steps / seconds)
        yield _fact("beside the steps", units.duration(seconds - steps), f"{share}: validation, keeping weights")


def _arithmetic(outcome: Mapping[str, Any]) -> str:
    """How much is multiplied in a second of training, by formula."""
    if any(outcome.get(key) is None for key in ("macs", "backward_macs", "examples_per_second")):
        return ""
    macs_per_second = (outcome["macs"] + outcome["backward_macs"]) * outcome["examples_per_second"]
    return f"{units.magnitude(macs_per_second)} multiply-adds/s, forward and backward"


def _resources(outcome: Mapping[str, Any]) -> Iterator[Fact]:
    """Memory and energy, as far as the machine told them."""
    peak_bytes, joules = outcome.get("peak_bytes") or {}, outcome.get("joules")
    process = f"{units.size(peak_bytes['process'])} of main memory" if "process" in peak_bytes else ""
    if "device" in peak_bytes:
        yield _fact("most memory", f"{units.size(peak_bytes['device'])} of the GPU's", process)
    elif process:
        yield _fact("most memory", process, "since the process began")
    if joules is not None:
        watts = f"{units.decimal(joules / outcome['seconds'])} W on average; " if outcome.get("seconds") else ""
        yield _fact("energy", units.energy(joules), f"{watts}all that ran on the processor counts")


def _moment(text: str | None) -> str:
    """An ISO 8601 time as people write it; whatever else stands there is shown as it is."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return text or units.UNKNOWN
    return f"{moment.day} {moment:%B %Y, %H:%M %Z}".rstrip()


def dataset_facts(dataset: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What the data are, whose, and where they come from."""
    for label, key in (("title", "title"), ("name", "name"), ("licence", "license"), ("homepage", "homepage")):
        value = dataset.get(key)
        if isinstance(value, dict):
            value = value.get("id")
        if label == "licence" and dataset and not value:
            value = "none stated"
        if value:
            # Any other scheme (javascript:) stays text.
            yield _fact(label, value) | {"link": str(value).startswith(("http://", "https://"))}


def environment_facts(environment: Mapping[str, Any]) -> Iterator[Fact]:
    """What the numbers depend on: versions, machine, git, lock file; and when it was taken up again."""
    for name, value in environment.items():
        if name == "data":
            continue
        if name == "git":
            yield _fact("git", _git(value))
        elif name == "lock":
            yield _fact("lock file", _lock(value))
        elif name == "started":
            yield _fact("started", _moment(value))
        elif name == "resumed":
            for pause in value:
                where = f"{_moment(pause['when'])}, after {pause['epochs']} epochs and {pause['steps']} steps"
                yield _fact("taken up again", where, "; ".join(pause["remarks"]))
        else:
            yield _fact(name.replace("_", " "), "none" if value is None else value)


def _lock(lock: Mapping[str, Any] | None) -> str:
    if not lock:
        return "none"
    held = "the data are those that are locked" if lock.get("holds") else "the data are not those that are locked"
    return f"{lock.get('file')}, sha256 {lock.get('sha256')}: {held}"


def _git(git: Mapping[str, Any] | None) -> str:
    if not git:
        return "not in a git checkout"
    return f"{git.get('commit')}" + (", with uncommitted changes" if git.get("dirty") else "")
