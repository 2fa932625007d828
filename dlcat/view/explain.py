"""Explanations of parts as text of 80 columns, as Markdown pages made of it, and as HTML pages with their pictures."""

from __future__ import annotations

import textwrap
from html import escape
from typing import TYPE_CHECKING, Any

from dlcat import units
from dlcat.view import sketch
from dlcat.view.page import Column, plain_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Facts = Mapping[str, Any]
    Lines = Iterator[str]

DRAWN_WINDOW = 17
"""Windows up to this size are drawn."""
NOTHING = 1e-12
"""Smaller numbers are rounding, and written as 0."""


def text(facts: Facts) -> str:
    """One explanation: what the part says of itself, and what was found by running it."""
    title = textwrap.wrap(_title(facts["part"]), sketch.WIDTH, subsequent_indent="  ")
    lines = [*title, "", *_prose(facts["part"]["text"]), "", *_FAMILIES[facts["part"]["family"]](facts)]
    return "\n".join(lines) + "\n"


def markdown(every: Sequence[Facts], command: str, *, is_whole: bool) -> str:
    """The page of a family, a section per member; `command` made it, and `is_whole` tells that no member is left out."""
    family = every[0]["part"]["family"]
    sections = "".join(f"\n## {facts['part']['name']}\n\n```text\n{text(facts)}```\n" for facts in every)
    found = f"What every {family} does, found by running it." if is_whole else "Found by running it."
    return f"# {family}\n\n{found} Made by `{command}`; not written by hand.\n{sections}"


def html(every: Sequence[Facts], pictures: Sequence[str]) -> str:
    """One page without any other file: every explanation with its picture, which is SVG."""
    sections = "".join(
        f"<section><h2>{escape(_title(facts['part']))}</h2>{picture}<pre>{escape(text(facts))}</pre></section>\n"
        for facts, picture in zip(every, pictures, strict=True)
    )
    title = escape(" and ".join(dict.fromkeys(facts["part"]["family"] for facts in every)))
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>dlcat explain {title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style></head>\n<body>\n{sections}</body>\n</html>\n"
    )


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328;background:#fff}"
    "pre{font:13px/1.3 ui-monospace,monospace;overflow-x:auto}svg{max-width:100%;height:auto}"
)


def _title(part: Mapping[str, Any]) -> str:
    options = ", ".join(f"{name} {_plain(value)}" for name, value in part["options"].items())
    return f"{part['family']} {part['name']}" + (f" ({options})" if options else "")


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_plain, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _prose(written: str) -> Lines:
    """Paragraphs filled to the width; indented ones, which are formulas, stay as they are."""
    for number, paragraph in enumerate(written.split("\n\n")):
        if number:
            yield ""
        lines = paragraph.splitlines()
        if all(line.startswith(" ") for line in lines):
            for line in lines:
                yield from textwrap.wrap(line, sketch.WIDTH, subsequent_indent=" " * 8)
        else:
            yield from textwrap.wrap(" ".join(lines), sketch.WIDTH)


def _conv(facts: Facts) -> Lines:
    yield f"{_by(facts['input_shape'])} to {_by(facts['output_shape'])}, kernel {facts['kernel']}, stride {facts['stride']}"
    yield ""
    yield from _prices(facts)
    yield ""
    yield from _readings(facts)
    yield ""
    yield from textwrap.wrap(_equality(facts), sketch.WIDTH)


def _prices(facts: Facts) -> Lines:
    columns = [Column("step"), Column("output"), *(Column(name, right=True) for name in ("weights", "MACs"))]
    rows = [
        [f"{number} {step['name']}", _by(step["output_shape"]), units.count(step["weights"]), units.count(step["macs"])]
        for number, step in enumerate(facts["steps"], 1)
    ]
    for name, key in (("all", ""), ("standard", "standard_")):
        weights, macs = facts[f"{key}weights"], facts[f"{key}macs"]
        rows.append([name, _by(facts["output_shape"]), units.count(weights), units.count(macs)])
    shares = [_share(facts[key], facts[f"standard_{key}"]) for key in ("weights", "macs")]
    rows.append(["all / standard", "", *shares])
    yield from plain_table(columns, rows).splitlines()


def _share(part: int, whole: int) -> str:
    return units.percent(part / whole) if whole else units.UNKNOWN


def _readings(facts: Facts) -> Lines:
    """The channels and the window that outputs read, of every step and of all together."""
    every = [*facts["steps"], {"name": "all together", "reads": facts["reads"]}]
    titles = [f"{number} {step['name']}" for number, step in enumerate(facts["steps"], 1)]
    titles.append("all together" if titles else "")
    yield "Which inputs one output reads: channels (outputs down, inputs across; █ all of"
    yield "a block, ░▒▓ a part, . none), and below them the window of positions (# read)."
    yield ""
    tall = max(len(step["reads"]["channels"]) for step in every if step["reads"]) if facts["reads"] else 0
    dimensions = len(facts["output_shape"]) - 1
    yield from sketch.beside(
        [_reading(title, step["reads"], tall, dimensions) for title, step in zip(titles, every, strict=True)], gap=4
    )


def _reading(title: str, reads: Mapping[str, Any] | None, tall: int, dimensions: int) -> list[str]:
    head = [title] if title else []
    if reads is None:
        return [*head, "no window of its own"]
    channels = sketch.matrix(reads["channels"])
    padding = [""] * (tall + 1 - len(channels))
    window = reads["window"]
    taps = sum(sum(row) for row in window)
    drawn = sketch.grid(window) if len(window[0]) <= DRAWN_WINDOW else []
    return [*head, *channels, *padding, *drawn, f"{taps} of {_size(window, dimensions)}"]


def _size(window: Sequence[Sequence[bool]], dimensions: int) -> str:
    return _by((len(window), len(window[0]))[-dimensions:])


def _equality(facts: Facts) -> str:
    if facts["difference"] is None:
        return "No full convolution with a window does the same: outputs read the whole map, or nothing."
    size = _size(facts["reads"]["window"], len(facts["output_shape"]) - 1)
    full = f"the full convolution of {size} with {units.count(facts['dense_weights'])} weights"
    found = f"greatest difference {_small(facts['difference'])}, of outputs up to {units.decimal(facts['largest'])}"
    if facts["is_equal"]:
        return f"It equals {full}, whose kernel was read off by impulses: {found} (float64, a random input)."
    return f"It does not equal {full}, whose kernel was read off by impulses: {found}. It is not linear, or not the same at every position."


def _norm(facts: Facts) -> Lines:
    channels = facts["input_shape"][0]
    yield f"{_by(facts['input_shape'])} with {units.count(facts['weights'])} weights"
    yield ""
    yield "The output at @ is computed from the numbers at # as well, in training:"
    yield ""
    yield from _batch(facts["training"]["maps"])
    yield ""
    yield f"A sign per channel, 0 to {channels - 1}: # its whole map, + some of its positions, . none."
    yield "The positions of the map of @:"
    yield ""
    yield from _positions(facts)
    yield ""
    yield from _regions(facts)
    yield ""
    yield from _effects(facts["batches"])


def _batch(maps: Sequence[Sequence[str]]) -> Lines:
    for number, channels in enumerate(maps):
        label = f"example {number}  "
        signs = "".join(map(_map_sign, channels))
        for start in range(0, len(signs), 64):
            yield f"{label if not start else '':{len(label)}}{signs[start : start + 64]}"


def _map_sign(positions: str) -> str:
    if "@" in positions:
        return "@"
    return "." if "#" not in positions else "#" if "." not in positions else "+"


def _positions(facts: Facts) -> Lines:
    own = facts["training"]["maps"][0][facts["channel"]]
    width = facts["input_shape"][-1]
    for start in range(0, len(own), width):
        yield " ".join(own[start : start + width])


def _regions(facts: Facts) -> Lines:
    columns = [Column("it is computed from"), Column("in training"), Column("in evaluation")]
    pairs = zip(facts["training"]["regions"], facts["evaluation"]["regions"], strict=True)
    rows = [[training["name"], _of(training), _of(evaluation)] for training, evaluation in pairs]
    yield from plain_table(columns, rows).splitlines()


def _of(region: Mapping[str, Any]) -> str:
    return f"{units.count(region['moving'])} of {units.count(region['total'])}"


def _effects(batches: Sequence[Mapping[str, Any]]) -> Lines:
    if all((effect["spread"] or 0) < NOTHING and (effect["distance"] or 0) < NOTHING for effect in batches):
        yield "In training an example comes out the same in every batch, of 1 or of 1,024."
        return
    yield from textwrap.wrap(
        "What the rest of the batch does to an example in training: how its outputs spread over random batches, and how far "
        "they are from those in a batch of 1,024 (both root mean squares).",
        sketch.WIDTH,
    )
    yield ""
    columns = [Column(name, right=True) for name in ("batch", "spread", "distance")]
    rows = [[str(effect["batch"]), _small(effect["spread"]), _small(effect["distance"])] for effect in batches]
    yield from plain_table(columns, rows).splitlines()
    for refusal in dict.fromkeys(effect["refusal"] for effect in batches if effect["refusal"]):
        yield f"?: refused: {refusal}"


def _small(value: float | None) -> str:
    return "0" if value is not None and value < 1e-15 else units.decimal(value)


def _optimizer(facts: Facts) -> Lines:
    rates = facts["rates"]
    yield from textwrap.wrap(
        f"Two weights, float64, weight decay off unless given. Where no learning rate is given, {len(rates)} from "
        f"{max(rates):g} down to {min(rates):g} are tried in turn, but no more once {facts['patience']} in a row were no "
        f"better than the best before, which did not diverge. The best needs the fewest gradients or, out of reach of the "
        f"target, ends lowest. S start, o after each step, X minimum, . contours.",
        sketch.WIDTH,
    )
    for scene in facts["scenes"]:
        yield ""
        yield from _scene(scene)


def _scene(scene: Mapping[str, Any]) -> Lines:
    yield f"{scene['name']}: {scene['formula']}"
    yield from textwrap.wrap(scene["question"], sketch.WIDTH)
    yield ""
    blocks = [
        [
            _shown_options(descent),
            *sketch.contour_map(
                scene["heights"], scene["across"], scene["up"], path=descent["points"], minima=scene["minima"]
            ),
            *textwrap.wrap(_outcome(descent, scene), 38),
            *_search(descent["rates"]),
        ]
        for descent in scene["descents"]
    ]
    yield from sketch.beside(blocks, gap=0)


def _shown_options(descent: Mapping[str, Any]) -> str:
    options = ", ".join(
        f"{name} {_plain(value)}"
        for name, value in descent["options"].items()
        if (name, value) != ("weight_decay", 0.0)
    )
    return f"{descent['name']}, {options}" if options else str(descent["name"])


def _outcome(descent: Mapping[str, Any], scene: Mapping[str, Any]) -> str:
    asked = _times(descent["gradients"], "gradient")
    if descent["value"] is None:
        return f"diverged after {asked}"
    if not descent["reached"]:
        return f"not {scene['target']:g}: {units.decimal(descent['value'])} after {asked}"
    return f"{scene['target']:g} after {asked} in {_times(len(descent['points']) - 1, 'step')}"


def _search(rates: Sequence[float]) -> Lines:
    if rates:
        yield f"best of {len(rates)} rates, {rates[0]:g} to {rates[-1]:g}"


def _times(number: int, noun: str) -> str:
    return f"{units.count(number)} {noun}{'' if number == 1 else 's'}"


def _activation(facts: Facts) -> Lines:
    yield "The value * and the slope · of an activation at x:"
    yield ""
    yield from sketch.curve(
        [(x, value) for x, value, _ in facts["points"]], others=[(x, slope) for x, _, slope in facts["points"]]
    )
    yield ""
    columns = [Column(name, right=True) for name in ("x", "value", "slope")]
    whole = [row for row in facts["points"] if row[0] == round(row[0])]
    yield from plain_table(columns, [[_figure(number) for number in row] for row in whole]).splitlines()
    yield ""
    at, lowest = facts["lowest"]
    yield f"lowest from -5 to 5: {_figure(lowest)} at {_figure(at)}"
    yield f"slope far left {_figure(facts['ends'][0])}, far right {_figure(facts['ends'][1])}"


def _figure(value: float) -> str:
    return "0" if abs(value) < NOTHING else f"{value:.4g}"


def _schedule(facts: Facts) -> Lines:
    yield "What the base rate is multiplied by, from the beginning of a run to its end:"
    yield ""
    yield from sketch.curve(facts["points"])
    yield ""
    yield f"mean over the run: {units.decimal(facts['mean'])}"
    if facts["losses"]:
        yield ""
        yield from textwrap.wrap(
            f"It goes by the validation loss; here by this one, made up, at {len(facts['losses'])} looks:", sketch.WIDTH
        )
        yield ""
        yield from sketch.curve(facts["losses"], height=8)


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


_FAMILIES: dict[str, Callable[[Facts], Lines]] = {
    "conv": _conv,
    "norm": _norm,
    "optimizer": _optimizer,
    "activation": _activation,
    "schedule": _schedule,
}
