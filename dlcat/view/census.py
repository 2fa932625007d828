"""What is in a dataset's splits, as text; `console` as in `tables`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcat import units
from dlcat.view.page import Column, Page, clean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from dlcat.readers.census import Absent, Counted, Overlap, Sizes

MOST_CLASSES = 40
"""Of more classes, the largest and the smallest are shown."""


def census(title: str, found: Iterable[Counted | Overlap | Absent], console: Console | None = None) -> str:
    """Every split, its classes, and what splits have in common."""
    from dlcat.readers.census import Absent, Counted

    page = Page(console)
    page.line(clean(title), "bold")
    for each in found:
        if isinstance(each, Counted):
            _split(page, each)
        elif isinstance(each, Absent):
            page.heading(each.split)
            page.line(clean(f"not here: {each.reason}"), "dim")
        else:
            page.line(_overlap(each), "yellow")
    return page.text()


def _split(page: Page, counted: Counted) -> None:
    page.heading(counted.split)
    page.pairs(
        [
            ("examples", units.count(counted.examples) + _against(counted)),
            ("without target", units.count(counted.unlabelled) if counted.unlabelled else ""),
            ("target", _numbers(counted)),
            ("size", _sizes(counted.sizes) if counted.sizes else ""),
            ("groups", units.count(counted.groups) if counted.groups else ""),
            ("repeated", f"{units.count(counted.repeated)} have the content of another" if counted.repeated else ""),
            ("unreadable", units.count(counted.unreadable) if counted.unreadable else ""),
        ]
    )
    if counted.unreadable_names:
        page.bullets(counted.unreadable_names)
    if counted.classes:
        _classes(page, counted)


def _against(counted: Counted) -> str:
    """What the catalog says of the number."""
    if counted.promised is None:
        return ", the catalog tells no number"
    there = counted.examples + counted.unreadable
    return (
        ", as the catalog says" if there == counted.promised else f"; the catalog says {units.count(counted.promised)}"
    )


def _numbers(counted: Counted) -> str:
    if counted.numbers is None:
        return ""
    least, mean, deviation, most = counted.numbers
    return f"{least:g} to {most:g}, {mean:.4g} ± {deviation:.3g}"


def _sizes(sizes: Sizes) -> str:
    def told(value: float) -> str:
        return (
            units.size(value)
            if sizes.unit == "bytes"
            else units.duration(value)
            if sizes.unit == "seconds"
            else units.count(value)
        )

    unit = " pixels" if sizes.unit == "pixels" else ""
    return f"{told(sizes.least)} to {told(sizes.most)}{unit}, half of them up to {told(sizes.median)}; {told(sizes.total)} in all"


def _classes(page: Page, counted: Counted) -> None:
    rows = list(counted.classes)
    if len(rows) > MOST_CLASSES:
        ranked = sorted(rows, key=lambda row: -row[1])
        rows = [*ranked[: MOST_CLASSES // 2], *ranked[-MOST_CLASSES // 2 :]]
        page.line(
            f"the largest and the smallest {MOST_CLASSES // 2} of {units.count(len(counted.classes))} classes", "dim"
        )
    total = max(1, sum(count for _, count in counted.classes))
    columns = [Column("class", shrinks=True), Column("examples", right=True), Column("share", right=True)]
    page.table(columns, [[clean(name), units.count(count), units.percent(count / total)] for name, count in rows])


def _overlap(overlap: Overlap) -> str:
    parts = []
    if overlap.repeated:
        parts.append(f"{units.count(overlap.repeated)} examples of {overlap.other} are in {overlap.split}, too")
    if overlap.groups:
        parts.append(f"{units.count(overlap.groups)} groups are in both {overlap.split} and {overlap.other}")
    return "; ".join(parts)
