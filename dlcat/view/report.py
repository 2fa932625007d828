"""A run's folder as one HTML page that needs nothing else: headline, curves, mistakes, recipe, data, environment."""

from __future__ import annotations

import math
from base64 import b64encode
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from dlcat import units
from dlcat.errors import InvalidError
from dlcat.view import charts
from dlcat.view.tables import SHARES, beside, ending, evaluation, score

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jinja2 import Environment
    from markupsafe import Markup

    from dlcat.run import Run

HERE = Path(__file__).resolve().parent
MISTAKES_LIMIT = 24
MIXUPS_LIMIT = 8
THUMBNAIL_PIXELS = 160
"""Longest side of an embedded picture; larger ones are scaled down."""
FILTERS_LIMIT = 64
FILTER_COLUMNS = 16
FILTER_PIXELS = 44
"""How wide a filter is shown."""
PIXELATED_BELOW = 65
"""Pictures with shorter sides are shown with hard pixel edges, larger ones smoothly."""

Fact = dict[str, str]
"""label, value and perhaps note."""


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


def library() -> tuple[Environment, Markup]:
    """The templates of pages, which escape whatever they are given, and the style that pages share."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    pages = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return pages, Markup((HERE / "report.css").read_text(encoding="utf-8"))


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
        "score": _score(test, outcome),
        "facts": list(_facts(outcome, epochs) if outcome else _facts_so_far(epochs, environment)),
        "charts": list(_charts(epochs, outcome.get("learning_rates") or [], outcome.get("mixtures") or [])),
        "metrics": _metrics(validation, test),
        "split": _split(outcome.get("split")),
        "confusion": _confusion(test.get("confusion"), classes),
        "classes": [_class_row(row) for row in test.get("per_class") or []],
        "filters": _filters(run, outcome.get("filters")),
        "norms": _norms(outcome.get("norms")),
        "mistakes": list(_mistakes(run.errors_path, classes)),
        "recipe": recipe,
        "command": outcome.get("command") or "",
        "dataset": list(_dataset_facts(outcome.get("dataset") or {})),
        "files": environment.get("data") or [],
        "environment": list(_environment(environment)),
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


def _score(test: Mapping[str, Any], outcome: Mapping[str, Any]) -> Fact | None:
    names = sorted((key for key in test if isinstance(test[key], int | float)), key=lambda key: key != "accuracy")
    if not names:
        return None
    name = names[0]
    value, _, unit = score(name, test[name]).partition(" ")
    note = _interval(name, test[name], outcome)
    return {"name": f"test {name}", "value": value, "unit": unit, "note": note, "beside": _beside(outcome)}


def _beside(outcome: Mapping[str, Any]) -> str:
    baseline = outcome.get("baseline")
    return f"Without a network {beside(baseline)}: {_decapitalized(baseline['about'])}" if baseline else ""


def _decapitalized(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _interval(name: str, value: float, outcome: Mapping[str, Any]) -> str:
    number = (outcome.get("split") or {}).get("test")
    if name != "accuracy" or not number or not math.isfinite(value):
        return ""
    low, high = wilson(value, number)
    return f"{low * 100:.2f} to {high * 100:.2f} % with 95 % confidence, from {units.count(number)} test examples"


def _facts(outcome: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]) -> Iterator[Fact]:
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


def _facts_so_far(epochs: Sequence[Mapping[str, Any]], environment: Mapping[str, Any]) -> Iterator[Fact]:
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
    names.sort(key=lambda name: (name != "accuracy", name == "loss"))
    return [{"name": name, "validation": _cell(name, validation), "test": _cell(name, test)} for name in names]


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
    names = [_class_name(position, classes) for position in range(len(counts))]
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


def _class_name(position: int, classes: Sequence[str]) -> str:
    return classes[position] if 0 <= position < len(classes) else str(position)


def _mistakes(path: Path, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The worst errors as captioned pictures; none where the inputs are not pictures."""
    if not path.is_file():
        return
    inputs, targets, predictions, confidences = _arrays(path)
    if inputs.ndim != 4 or inputs.dtype.name != "uint8" or inputs.shape[1] not in (1, 3):
        return
    rows = zip(inputs, targets.tolist(), predictions.tolist(), confidences.tolist(), strict=True)
    for pixels, target, prediction, confidence in list(rows)[:MISTAKES_LIMIT]:
        true, predicted = _class_name(int(target), classes), _class_name(int(prediction), classes)
        share = units.percent(float(confidence), 0)
        yield {
            **_picture(pixels),
            "true": true,
            "predicted": predicted,
            "confidence": share,
            "alt": f"Test example of class {true} that was taken for {predicted}",
        }


def _norms(norms: Sequence[Mapping[str, Any]] | None) -> Any:
    from markupsafe import Markup

    return Markup(charts.norms(norms)) if norms else None


def _filters(run: Run, layer: str | None) -> dict[str, Any] | None:
    """The filters of a layer as one picture; None where there are none to look at, or no weights."""
    if not layer or not run.weights_path.is_file():
        return None
    weights = _weights(run.weights_path, f"{layer}.weight")
    pixels, columns = contact_sheet(weights)
    shape = " x ".join(map(str, weights.shape[2:]))
    return {
        **_embedded(pixels, max(pixels.shape)),
        "layer": layer,
        "shown": min(len(weights), FILTERS_LIMIT),
        "all": len(weights),
        "shape": shape,
        "pixels": columns * FILTER_PIXELS,
    }


def _weights(path: Path, name: str) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stored:
            return stored.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise InvalidError(f"{path}: expected {name}; cannot be read: {error}") from error


def contact_sheet(weights: Any) -> tuple[Any, int]:
    """Filters (O, C, h, w) side by side as pixels (H, W, 4) uint8, a transparent pixel between; and how many in a row.

    Each is scaled by its own largest weight: grey is 0, or with three colours, no colour.
    """
    import numpy as np

    chosen = weights[:FILTERS_LIMIT].transpose(0, 2, 3, 1).astype(np.float64)  # (O, h, w, C)
    count, height, width, _ = chosen.shape
    largest = np.maximum(np.abs(chosen).max(axis=(1, 2, 3), keepdims=True), 1e-12)
    columns = min(count, FILTER_COLUMNS)
    rows = -(-count // columns)
    sheet = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, 4), np.uint8)
    for position, pixels in enumerate(np.round(127.5 + 127.5 * chosen / largest)):
        top, left = position // columns * (height + 1), position % columns * (width + 1)
        sheet[top : top + height, left : left + width, :3] = pixels  # one channel is repeated
        sheet[top : top + height, left : left + width, 3] = 255
    return sheet, columns


def _arrays(path: Path) -> tuple[Any, Any, Any, Any]:
    import numpy as np

    try:
        # Opened here: np.load leaves a damaged file open.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return stored["inputs"], stored["targets"], stored["predictions"], stored["confidences"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InvalidError(
            f"{path}: expected inputs, targets, predictions, confidences; cannot be read: {error}"
        ) from error


def _picture(pixels: Any) -> dict[str, Any]:
    """One image, uint8 (C, H, W), as a PNG in a data URI."""
    return _embedded(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0).copy(), THUMBNAIL_PIXELS)


def _embedded(pixels: Any, longest_side: int) -> dict[str, Any]:
    """Pixels (H, W) or (H, W, channels), uint8, as a PNG in a data URI, scaled down where they are larger."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((longest_side, longest_side))
    stream = BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return {
        "source": f"data:image/png;base64,{b64encode(stream.getvalue()).decode()}",
        "width": image.width,
        "height": image.height,
        "small": max(image.size) < PIXELATED_BELOW,
    }


def _dataset_facts(dataset: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for label, key in (("title", "title"), ("name", "name"), ("licence", "license"), ("homepage", "homepage")):
        value = dataset.get(key)
        if isinstance(value, dict):
            value = value.get("id")
        if label == "licence" and dataset and not value:
            value = "none stated"
        if value:
            # Any other scheme (javascript:) stays text.
            yield _fact(label, value) | {"link": str(value).startswith(("http://", "https://"))}


def _environment(environment: Mapping[str, Any]) -> Iterator[Fact]:
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
