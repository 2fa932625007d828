"""Parts as text: what recipes can choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlcat.view.page import Page

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


def _member(member: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What it is, and below it what a recipe may set."""
    options = ", ".join(f"{name}: {default}" for name, default in member["options"].items())
    return [(member["name"], member["description"]), ("", options)]
