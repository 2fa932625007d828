"""Parts and their prices as text: what recipes can choose from, and what networks cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlcat import units
from dlcat.view.page import Column, Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console


def options(members: Sequence[Mapping[str, Any]], console: Console | None = None) -> str:
    """Families and their members, each with its description and options, for `dlcat options`."""
    page = Page(console)
    families = dict.fromkeys(member["family"] for member in members)
    for family in families:
        page.heading(family)
        page.pairs([pair for member in members if member["family"] == family for pair in _member(member)])
    return page.text()


def costs(every: Sequence[Mapping[str, Any]], *, layers: bool = False, console: Console | None = None) -> str:
    """Networks side by side, and with `layers` every layer of each, for `dlcat cost`."""
    page = Page(console)
    columns = [
        Column("recipe", style="bold"),
        *(Column(name, right=True) for name in ("parameters", "MACs", "relative")),
    ]
    first = max(every[0]["macs"], 1)
    page.table(
        columns,
        [
            [
                price["recipe"],
                units.count(price["parameters"]),
                units.count(price["macs"]),
                units.percent(price["macs"] / first, 1),
            ]
            for price in every
        ],
    )
    for price in every if layers else ():
        page.heading(price["recipe"])
        page.table(
            [Column("layer", shrinks=True), Column("kind"), Column("output", right=True), Column("parameters", right=True),
             Column("MACs", right=True)],
            [
                [layer["name"], layer["kind"], "×".join(map(str, layer["output_shape"])), units.count(layer["parameters"]),
                 units.count(layer["macs"])]
                for layer in price["layers"]
            ],
        )  # fmt: skip
    return page.text()


def _member(member: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What it is, and below it what a recipe may set."""
    options = ", ".join(f"{name}: {default}" for name, default in member["options"].items())
    return [(member["name"], member["description"]), ("", options)]
