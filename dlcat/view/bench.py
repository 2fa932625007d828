"""Benches as text: what each part takes on this machine, for `dlcat bench`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from dlcat import units
from dlcat.view.page import Column, Page, clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import TextIO

    from rich.console import Console
    from tqdm import tqdm

    Row = Mapping[str, Any]

_ABSENT = "–"


def bench(facts: Row, rows: Sequence[Row], console: Console | None = None) -> str:
    """A table per precision and order of memory, and below them what could not be measured, and why.

    Args:
        facts: what was measured, and on which machine.
        rows: measurements as plain records, each with its case's keys beside its own.
        console: what draws, or None for plain text.
    """
    page = Page(console)
    page.line(_subject(facts), "bold")
    threads = "1 thread" if facts["threads"] == 1 else f"{facts['threads']} threads"
    page.line(f"{facts['device']}, {threads}, torch {facts['torch']}")
    page.line(f"medians of {facts['repeats']} turns; memory beyond inputs and results; error to float64")
    measured = [row for row in rows if not row["reason"]]
    columns = _columns(measured)
    for how in dict.fromkeys(map(_how, measured)):
        page.heading(how)
        page.table(
            [column for column, _ in columns],
            [[draw(row) for _, draw in columns] for row in measured if _how(row) == how],
        )
    backends = sorted({name for row in measured if row["backend"] for name in row["backend"].split(", ")})
    if backends:
        page.gap()
        page.line(f"native is torch's {', '.join(backends)}", "dim")
    if len(measured) < len(rows):
        page.heading("not measured")
        page.pairs(_refusals(rows))
    return page.text()


class BenchProgress:
    """One bar on a terminal that fills as the turns go by; nothing in a pipe. A context manager."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Draw on `stream`, stderr by default."""
        self._stream = stream or sys.stderr
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> BenchProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, turn: Row) -> None:
        """Draw a turn, which begins: `case`, `number` and `total`."""
        if not self._stream.isatty():
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=turn["total"], unit=" turns", file=self._stream, leave=False, dynamic_ncols=True)
        self._bar.update(turn["number"] - 1 - self._bar.n)
        self._bar.set_description(clean(turn["case"]["member"]))


def _subject(facts: Row) -> str:
    if facts["family"] == "optimizer":
        return f"optimizer: a step over about {units.count(facts['weights'])} weights"
    size = "×".join(map(str, facts["shape"]))
    if facts["family"] == "norm":
        return f"norm: forward and backward, {size}"
    form = f"to {facts['channels_out']} channels, kernel {facts['kernel']}, stride {facts['stride']}"
    return f"conv: forward and backward, {size} {form}"


def _columns(rows: Sequence[Row]) -> list[tuple[Column, Callable[[Row], str]]]:
    """Those of which a row knows something."""
    every: list[tuple[str, Column, Callable[[Row], str]]] = [
        ("member", Column("part", shrinks=True, style="bold"), lambda row: str(row["member"])),
        ("algorithm", Column("algorithm"), lambda row: row["algorithm"] or _ABSENT),
        ("milliseconds", Column("ms", right=True), lambda row: _three_digits(row["milliseconds"])),
        ("least_milliseconds", Column("least–most", right=True), _spread),
        ("gigaflops_per_second", Column("GFLOP/s", right=True), lambda row: _three_digits(row["gigaflops_per_second"])),
        ("extra_bytes", Column("memory", right=True), lambda row: units.size(row["extra_bytes"])),
        (
            "relative_error",
            Column("error", right=True),
            lambda row: f"{row['relative_error']:.0e}" if row["relative_error"] else "0",
        ),
        ("state_bytes_per_weight", Column("state B", right=True), lambda row: f"{row['state_bytes_per_weight']:.1f}"),
        ("gradients_per_step", Column("gradients", right=True), lambda row: f"{row['gradients_per_step']:.1f}"),
    ]
    return [(column, draw) for key, column, draw in every if any(row[key] is not None for row in rows)]


def _refusals(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Every part that could not be measured and the reason, said once for all the ways in which it could not."""
    several = len(set(map(_how, rows))) > 1
    ways: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["reason"]:
            names = (row["algorithm"], _how(row) if several else None)
            ways.setdefault((row["member"], row["reason"]), []).append(" ".join(name for name in names if name))
    return [
        (member, ": ".join(text for text in ("; ".join(found) if any(found) else "", reason) if text))
        for (member, reason), found in ways.items()
    ]


def _how(row: Row) -> str:
    return ", ".join(text for text in (row["precision"], row["layout"]) if text)


def _spread(row: Row) -> str:
    return f"{_three_digits(row['least_milliseconds'])}–{_three_digits(row['most_milliseconds'])}"


def _three_digits(number: float | None) -> str:
    """0.0123, 1.23, 12.3, 123, 1,234."""
    if number is None:
        return _ABSENT
    decimals = 3 if number < 0.995 else 2 if number < 9.995 else 1 if number < 99.95 else 0
    return f"{number:,.{decimals}f}"
