"""The page that views write on: lines, pairs and tables, drawn by rich on a terminal and by hand in a pipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from unicodedata import combining, east_asian_width

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from rich.console import Console, RenderableType
    from rich.text import Text

ELLIPSIS = "…"
_GAP = 2
_LEAST = 8
_STATE_STYLES = {"ok": "green", "finished": "green", "corrupt": "red", "damaged": "red", "partial": "yellow"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: how it is headed, aligned and styled, and whether its text may be shortened to fit."""

    heading: str
    right: bool = False
    shrinks: bool = False
    style: str = ""


def terminal(stream: TextIO, *, color: bool = True) -> Console | None:
    """What draws on a stream: a console where it is a terminal, None where it is a pipe or a file."""
    if not stream.isatty():
        return None
    from rich.console import Console

    return Console(file=stream, highlight=False, no_color=None if color else True)


class Page:
    """Lines, pairs and tables one under the other, drawn by rich on a terminal and by hand in a pipe."""

    def __init__(self, console: Console | None) -> None:
        self._console = console
        self._plain: list[str] = []
        self._styled: list[RenderableType] = []

    def line(self, text: str, style: str = "") -> None:
        """One line; `style` is rich's."""
        self._plain.append(clean(text) + "\n")
        if self._console:
            self._styled.append(literal(clean(text), style))

    def gap(self) -> None:
        """An empty line."""
        self.line("")

    def paragraph(self, text: str) -> None:
        """Text that wraps on a terminal, with an empty line before and after."""
        self.gap()
        for line in text.strip().splitlines():
            self.line(line)
        self.gap()

    def block(self, lines: Iterable[str]) -> None:
        """Lines whose spaces matter: a drawing in characters."""
        for line in lines:
            self._plain.append(f"{line}\n")
            if self._console:
                self._styled.append(literal(line))

    def drawing(self, drawn: RenderableType) -> None:
        """What only a terminal can show; in a pipe nothing."""
        self._styled.append(drawn)

    def heading(self, text: str) -> None:
        """What the next block is about, one empty line before it."""
        if self._plain and self._plain[-1] != "\n":
            self.gap()
        self.line(text, "bold cyan")

    def bullets(self, items: Iterable[str]) -> None:
        """A list."""
        self._grid([("-", item) for item in items], "dim")

    def pairs(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Labels and values side by side; an empty value is left out."""
        self._grid([pair for pair in pairs if pair[1]], "dim")

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """A table, fitted to the terminal."""
        self._plain.append(plain_table(columns, rows))
        if self._console:
            self._styled.append(rich_table(self._console, columns, rows))

    def text(self) -> str:
        """The whole page."""
        return drawn(self._console, *self._styled) if self._console else "".join(self._plain)

    def _grid(self, pairs: Sequence[tuple[str, str]], style: str) -> None:
        width = max((cells(label) for label, _ in pairs), default=0)
        self._plain += [f"{_padded(label, width)}  {clean(value)}\n" for label, value in pairs]
        if self._console:
            from rich.table import Table

            grid = Table.grid(padding=(0, _GAP, 0, 0))
            grid.add_column(no_wrap=True, style=style)
            grid.add_column(overflow="fold")
            for label, value in pairs:
                grid.add_row(literal(clean(label)), literal(clean(value)))
            self._styled.append(grid)


def plain_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns without any styling, a header line first."""
    lines = [[column.heading for column in columns], *([clean(cell) for cell in row] for row in rows)]
    widths = [max(cells(line[position]) for line in lines) for position in range(len(columns))]
    return "".join(_aligned(line, columns, widths).rstrip() + "\n" for line in lines)


def rich_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> RenderableType:
    """A table for a terminal, its shrinking columns shortened until a line fits."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(
            literal(column.heading), justify="right" if column.right else "left", style=column.style, no_wrap=True
        )
    for row in fitted(columns, [[clean(cell) for cell in row] for row in rows], console.width):
        table.add_row(*(literal(cell, _STATE_STYLES.get(cell, "")) for cell in row))
    return table


def fitted(columns: Sequence[Column], rows: list[list[str]], width: int) -> list[list[str]]:
    """Rows whose shrinking columns are shortened, the widest first, until a line fits into `width` columns."""
    widths = [max(cells(text) for text in (column.heading, *texts)) for column, texts in _columnwise(columns, rows)]
    excess = sum(widths) + _GAP * (len(columns) - 1) - width
    shrinking = [position for position, column in enumerate(columns) if column.shrinks]
    while excess > 0 and shrinking:
        widest = max(shrinking, key=lambda position: widths[position])
        if widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
        excess -= 1
    return [[shortened(text, widths[position]) for position, text in enumerate(row)] for row in rows]


def drawn(console: Console, *renderables: RenderableType) -> str:
    """What the console would print, without spaces at the ends of lines."""
    with console.capture() as captured:
        for renderable in renderables:
            console.print(renderable, highlight=False)
    return "".join(line.rstrip(" ") for line in captured.get().splitlines(keepends=True))


def literal(text: str, style: str = "") -> Text:
    """Text that is never read as markup."""
    from rich.text import Text

    return Text(text, style=style)


def clean(text: str) -> str:
    """Text on one line, without control characters: a catalog must not be able to move the cursor."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split(" ")).strip()


def cells(text: str) -> int:
    """The columns text takes on a terminal; Chinese characters take two."""
    return sum(0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def shortened(text: str, width: int) -> str:
    """Text cut to at most `width` terminal columns, its end marked by an ellipsis."""
    if cells(text) <= width:
        return text
    kept = ""
    for sign in text:
        if cells(kept + sign) > width - 1:
            break
        kept += sign
    return kept.rstrip() + ELLIPSIS


def _columnwise(columns: Sequence[Column], rows: list[list[str]]) -> Iterable[tuple[Column, list[str]]]:
    for position, column in enumerate(columns):
        yield column, [row[position] for row in rows]


def _aligned(line: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    parts = (_padded(text, width, column.right) for text, width, column in zip(line, widths, columns, strict=True))
    return (" " * _GAP).join(parts)


def _padded(text: str, width: int, right: bool = False) -> str:
    space = " " * (width - cells(text))
    return space + text if right else text + space
