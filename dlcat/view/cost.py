"""What networks cost, as text: their sums under each other, their layers, and two of them side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlcat import units
from dlcat.view.page import Column, Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    Plain = Mapping[str, Any]

NOTHING = "–"


def costs(groups: Sequence[Plain], *, layers: bool = False, console: Console | None = None) -> str:
    """Networks under each other, and with `layers` every layer, for `dlcat cost`.

    Args:
        groups: each a recipe and its changes: `prices`, the recipe's own first (a `dlcat.cost.Cost` as plain data, with
            `recipe`, `change` and `against_standard`); and `beside`, networks to draw next to the first one, as a
            `label` and `pairs` of `dlcat.cost.compare.Block` as plain data.
        layers: whether layers are shown.
        console: what draws on a terminal.
    """
    page = Page(console)
    prices = [price for group in groups for price in group["prices"]]
    _totals(page, prices)
    page.gap()
    page.line("MACs: multiply-accumulates of one example; back: those of the backward pass.", "dim")
    page.line("kept: activations for the backward pass; peak: the most in an evaluation;", "dim")
    page.line(f"both for a {_batches(prices)}.", "dim")
    if any(price["precision"] != "fp32" for price in prices):
        page.line("below fp32, both with the copies that autocast makes of weights.", "dim")
    for price in prices:
        if price["against_standard"] and price["against_standard"]["blocks"]:
            page.line(_share(price))
    if layers:
        page.line("field: input positions that an output position sees / from one to the next.", "dim")
    for group in groups if layers else ():
        for price in group["prices"][:1] if group["beside"] else group["prices"]:
            _layers(page, price)
        for other in group["beside"]:
            _pairs(page, _label(group["prices"][0]), other)
    return page.text()


def _totals(page: Page, prices: Sequence[Plain]) -> None:
    names = ("parameters", "MACs", "ratio", "back", "kept", "peak")
    first = max(prices[0]["macs"], 1)
    rows = [
        [
            _label(price),
            units.count(price["parameters"]),
            units.magnitude(price["macs"]),
            units.decimal(price["macs"] / first),
            units.magnitude(price["backward_macs"]),
            units.size(price["kept_bytes"]),
            units.size(price["evaluation_peak_bytes"]),
        ]
        for price in prices
    ]
    page.table([Column("recipe", style="bold", shrinks=True), *(Column(name, right=True) for name in names)], rows)


def _layers(page: Page, price: Plain) -> None:
    page.heading(_label(price))
    names = ("output", "parameters", "MACs", "back", "field", "kept")
    rows = [
        [
            layer["name"],
            layer["kind"],
            "×".join(map(str, layer["output_shape"])),
            units.count(layer["parameters"]),
            units.magnitude(layer["macs"]),
            units.magnitude(layer["backward_macs"]),
            _field(layer),
            units.size(layer["kept_bytes"]),
        ]
        for layer in price["layers"]
    ]
    columns = [Column("layer", shrinks=True), Column("kind", shrinks=True)]
    page.table([*columns, *(Column(name, right=True) for name in names)], rows)


def _pairs(page: Page, label: str, other: Plain) -> None:
    page.heading(f"{label}, and with {other['label']}")
    names = ("parameters", "with", "MACs", "with", "ratio", "field", "with")
    working = [
        pair for pair in other["pairs"] if any(block and (block["parameters"] or block["macs"]) for block in pair)
    ]
    rows = [[(first or second)["name"], *_pair(first, second)] for first, second in working]
    page.table([Column("layer", shrinks=True), *(Column(name, right=True) for name in names)], rows)


def _pair(first: Plain | None, second: Plain | None) -> list[str]:
    both = (first, second)
    ratio = second["macs"] / first["macs"] if first and second and first["macs"] else None
    return [
        *(units.count(block["parameters"]) if block else NOTHING for block in both),
        *(units.magnitude(block["macs"]) if block else NOTHING for block in both),
        NOTHING if ratio is None else units.decimal(ratio),
        *(_sizes(block["receptive_field"]) if block else NOTHING for block in both),
    ]


def _share(price: Plain) -> str:
    found = price["against_standard"]
    share = units.percent(found["macs"] / found["standard_macs"])
    return f"{_label(price)}: {share} of the MACs of standard convolutions."


def _batches(prices: Sequence[Plain]) -> str:
    every = dict.fromkeys(f"{price['batch_size']} in {price['precision']}" for price in prices)
    return f"batch of {', '.join(every)}"


def _label(price: Plain) -> str:
    return ", ".join(price["change"]) or str(price["recipe"])


def _field(layer: Plain) -> str:
    """Size, and from where positions see different things, how far apart: 5, 14/2, 32."""
    jumps = _sizes([units.decimal(jump) if jump % 1 else int(jump) for jump in layer["jump"]])
    return f"{_sizes(layer['receptive_field'])}/{jumps}" if any(layer["jump"]) else _sizes(layer["receptive_field"])


def _sizes(sizes: Sequence[object]) -> str:
    """One number where all axes have the same."""
    return "×".join(map(str, sizes if len(set(sizes)) > 1 else sizes[:1]))
