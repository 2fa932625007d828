"""Catalog, plans, runs and results as text: styled for the terminal that is given, plain and complete for a pipe.

Every function returns the text. Its `console` is what `terminal` made of a stream: None stands for a pipe or a file,
where nothing is shortened and rich is never imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unicodedata import combining, east_asian_width

from dlcat.errors import DlcatError
from dlcat.view import units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import TextIO

    from rich.console import Console, RenderableType
    from rich.text import Text

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.plan import Plan
    from dlcat.run import Run

WIDE_COLUMNS = 110
"""From this terminal width on, `datasets` has room for the tasks."""

PIPE_COLUMNS = 80
"""What a line of `datasets` is fitted to in a pipe: it is read by people in logs; programs read --json."""

ELLIPSIS = "…"
_GAP = 2
_LEAST = 8
_STATE_STYLES = {"ok": "green", "finished": "green", "corrupt": "red", "damaged": "red", "partial": "yellow"}
_CHINESE = {
    "name": "名称",
    "title": "标题",
    "tasks": "任务",
    "size": "大小",
    "access": "获取方式",
    "fetched": "已下载",
    "open": "开放",
    "by-hand": "需申请",
    "gone": "已失效",
    "homepage": "主页",
    "licence": "许可证",
    "download": "下载",
    "unpacked": "解压后",
    "splits": "划分",
    "classes": "类别",
    "sample": "样本",
    "paper": "论文",
    "known issues": "已知问题",
    "files": "文件",
    "file": "文件",
    "state": "状态",
    "part": "部分",
    "parts": "可选部分",
    "how to get it": "获取步骤",
    "default": "默认",
    "datasets": "个数据集",
}


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


def datasets(rows: Iterable[tuple[Dataset, bool]], language: str = "en", console: Console | None = None) -> str:
    """The catalog, a dataset a line, for `dlcat list`.

    Args:
        rows: each dataset, and whether it is in the cache whole.
        language: of the headings, en or zh.
        console: from `terminal`.
    """
    every, word = list(rows), _words(language)
    wide = console is not None and console.width >= WIDE_COLUMNS
    columns = [
        Column(word("name"), style="bold"),
        Column(word("title"), shrinks=True),
        *([Column(word("tasks"), shrinks=True, style="dim")] if wide else []),
        Column(word("size"), right=True),
        Column(word("access")),
        Column(word("fetched") if console is None else "", style="green"),
    ]
    mark = word("fetched") if console is None else "✓"
    cells = [
        [
            entry.name,
            entry.title,
            *([", ".join(entry.tasks)] if wide else []),
            units.size(entry.size.download),
            word(entry.access),
            mark if fetched else "",
        ]
        for entry, fetched in every
    ]
    if console is None:
        return plain_table(columns, _fitted(columns, cells, PIPE_COLUMNS))
    total = f"{len(every)} {word('datasets')}, {sum(fetched for _, fetched in every)} {word('fetched')}"
    return _drawn(console, _table(console, columns, cells), _text(total, "dim"))


def dataset(entry: Dataset, states: Mapping[str, str], language: str = "en", console: Console | None = None) -> str:
    """One dataset as a page, for `dlcat show NAME`.

    Args:
        entry: the dataset.
        states: artifact file to the word for its state (missing, partial, corrupt, ok).
        language: of summary and headings, en or zh.
        console: from `terminal`.
    """
    word = _words(language)
    summary = entry.summary.zh if language == "zh" else entry.summary.en
    page = Page(console)
    page.line(entry.title, "bold")
    page.line(f"{entry.name}  {entry.domain}  {', '.join(entry.tasks)}", "dim")
    page.paragraph(summary)
    page.pairs([(word(label), value) for label, value in _facts(entry, word)])
    if entry.access != "open":
        page.heading(word("how to get it"))
        page.paragraph(entry.instructions)
    if entry.parts:
        page.heading(word("parts"))
        page.pairs([(name, part.note + (f" ({word('default')})" * part.default)) for name, part in entry.parts.items()])
    if entry.known_issues:
        page.heading(word("known issues"))
        page.bullets(entry.known_issues)
    page.heading(word("files"))
    page.table(*_artifacts(entry.artifacts, states, word))
    return page.text()


def plan(planned: Plan, console: Console | None = None) -> str:
    """What `dlcat fetch` would do, for `dlcat plan NAME`."""
    columns = [
        Column("file", style="bold"),
        Column("size", right=True),
        Column("state"),
        Column("first source", shrinks=True, style="dim"),
    ]
    rows = [
        [each.file, units.size(each.size_bytes), each.state, each.sources[0] if each.sources else "by hand"]
        for each in planned.artifacts
    ]
    page = Page(console)
    page.line(planned.dataset, "bold")
    page.pairs(_room(planned))
    page.gap()
    page.table(columns, rows)
    return page.text()


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
    return _drawn(console, _table(console, columns, cells))


def result(outcome: Mapping[str, Any], report: Path, console: Console | None = None) -> str:
    """The end of a training: what came out, what it cost, and where the report is."""
    test, validation = (outcome["metrics"].get(split) or {} for split in ("test", "validation"))
    page = Page(console)
    page.gap()
    page.line(f"{outcome['recipe']} on {outcome['dataset']['title']}", "bold")
    page.pairs(
        [
            *((f"test {name}", value) for name, value in scores(test)),
            *((f"validation {name}", value) for name, value in scores(validation)),
            ("time", f"{units.duration(outcome['seconds'])}, {units.count(outcome['examples_per_second'])} examples/s"),
            ("on", f"{outcome['device']}, {outcome['precision']}, {outcome['layout']}"),
            ("parameters", units.count(outcome["parameters"])),
            ("report", str(report)),
        ]
    )
    return page.text()


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
            self._styled.append(_text(clean(text), style))

    def gap(self) -> None:
        """An empty line."""
        self.line("")

    def paragraph(self, text: str) -> None:
        """Text that wraps on a terminal, with an empty line before and after."""
        self.gap()
        for line in text.strip().splitlines():
            self.line(line)
        self.gap()

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
            self._styled.append(_table(self._console, columns, rows))

    def text(self) -> str:
        """The whole page."""
        return _drawn(self._console, *self._styled) if self._console else "".join(self._plain)

    def _grid(self, pairs: Sequence[tuple[str, str]], style: str) -> None:
        width = max((cells(label) for label, _ in pairs), default=0)
        self._plain += [f"{_padded(label, width)}  {clean(value)}\n" for label, value in pairs]
        if self._console:
            from rich.table import Table

            grid = Table.grid(padding=(0, _GAP, 0, 0))
            grid.add_column(no_wrap=True, style=style)
            grid.add_column(overflow="fold")
            for label, value in pairs:
                grid.add_row(_text(clean(label)), _text(clean(value)))
            self._styled.append(grid)


SHARES = frozenset({"accuracy", "top5", "precision", "recall", "f1"})
"""Metrics that are shares of one, shown as percentages."""


def scores(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The single numbers among metrics, as (name, text); accuracy leads and losses come last."""
    single = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    order = sorted(single, key=lambda name: (name != "accuracy", name == "loss", name))
    return [(name, score(name, single[name])) for name in order]


def score(name: str, value: float) -> str:
    """One metric as text: shares as percentages with two decimals, everything else to three digits."""
    return units.percent(value, 2) if name in SHARES else units.decimal(value)


def plain_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns without any styling, a header line first."""
    lines = [[column.heading for column in columns], *([clean(cell) for cell in row] for row in rows)]
    widths = [max(cells(line[position]) for line in lines) for position in range(len(columns))]
    return "".join(_aligned(line, columns, widths).rstrip() + "\n" for line in lines)


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


def _room(planned: Plan) -> Iterable[tuple[str, str]]:
    least = "" if planned.sizes_known else "at least "
    yield "to download", least + units.size(planned.download_bytes)
    yield "to unpack", units.size(planned.unpacked_bytes)
    yield "room needed", least + units.size(planned.peak_bytes)
    yield "room free", units.size(planned.free_bytes) + ("" if planned.fits else ": too little")
    yield "access", planned.access
    yield "licence", planned.license or "none stated"
    yield "folder", str(planned.folder)


def _facts(entry: Dataset, word: Callable[[str], str]) -> Iterable[tuple[str, str]]:
    terms = entry.license
    yield "access", word(entry.access)
    yield "licence", "  ".join(filter(None, (terms.id or "none stated", terms.note, terms.url)))
    yield "homepage", entry.homepage
    yield "download", units.size(entry.size.download)
    yield "unpacked", units.size(entry.size.unpacked)
    yield "splits", ", ".join(f"{name} {units.count(number)}" for name, number in entry.splits.items())
    yield "classes", _classes(entry.classes)
    yield "sample", _sample(entry)
    if entry.paper:
        yield "paper", "  ".join(filter(None, (entry.paper.title, entry.paper.url)))


def _classes(classes: list[str] | int | str | None) -> str:
    if classes is None:
        return ""
    if isinstance(classes, list):
        names = ", ".join(classes[:10]) + (f", {ELLIPSIS}" if len(classes) > 10 else "")
        return f"{len(classes)} ({names})"
    return units.count(classes) if isinstance(classes, int) else f"listed in {classes}"


def _sample(entry: Dataset) -> str:
    sample = entry.sample
    shape = " × ".join(str(length) for length in sample.shape)
    rate = f"{units.count(sample.rate_hertz)} Hz" if sample.rate_hertz else ""
    return "  ".join(filter(None, (shape, sample.dtype, rate, sample.note)))


def _artifacts(
    artifacts: Sequence[Artifact], states: Mapping[str, str], word: Callable[[str], str]
) -> tuple[list[Column], list[list[str]]]:
    parted = any(artifact.part for artifact in artifacts)
    columns = [
        Column(word("file"), shrinks=True, style="bold"),
        *([Column(word("part"))] if parted else []),
        Column(word("size"), right=True),
        Column(word("state")),
    ]
    rows = [
        [
            artifact.file,
            *([artifact.part or ""] if parted else []),
            units.size(artifact.size),
            states.get(artifact.file, "missing"),
        ]
        for artifact in artifacts
    ]
    return columns, rows


def _run_cells(run: Run) -> list[str]:
    try:
        epochs = run.epochs()
        if not run.finished:
            total = f"/{epochs[-1]['epochs']}" if epochs else ""
            seconds = sum(epoch["seconds"] for epoch in epochs)
            return [run.name, "", f"{len(epochs)}{total}", "", units.duration(seconds) if epochs else "", "unfinished"]
        outcome = run.result()
        best = scores(outcome["metrics"]["test"])
        return [
            run.name,
            outcome["dataset"]["name"],
            str(outcome["epochs"]),
            best[0][1] if best else "",
            units.duration(outcome["seconds"]),
            "finished",
        ]
    # One folder that was tampered with must not hide the others.
    except (DlcatError, OSError, KeyError, TypeError):
        return [run.name, "", "", "", "", "damaged"]


def _words(language: str) -> Callable[[str], str]:
    known = _CHINESE if language == "zh" else {}
    return lambda text: known.get(text, text)


def _table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> RenderableType:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    fitted = _fitted(columns, [[clean(cell) for cell in row] for row in rows], console.width)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(
            _text(column.heading), justify="right" if column.right else "left", style=column.style, no_wrap=True
        )
    for row in fitted:
        table.add_row(*(_text(cell, _STATE_STYLES.get(cell, "")) for cell in row))
    return table


def _fitted(columns: Sequence[Column], rows: list[list[str]], width: int) -> list[list[str]]:
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


def _columnwise(columns: Sequence[Column], rows: list[list[str]]) -> Iterable[tuple[Column, list[str]]]:
    for position, column in enumerate(columns):
        yield column, [row[position] for row in rows]


def _drawn(console: Console, *renderables: RenderableType) -> str:
    with console.capture() as captured:
        for renderable in renderables:
            console.print(renderable, highlight=False)
    return "".join(line.rstrip(" ") for line in captured.get().splitlines(keepends=True))


def _text(text: str, style: str = "") -> Text:
    """Text that is never read as markup."""
    from rich.text import Text

    return Text(text, style=style)


def _aligned(line: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    parts = (_padded(text, width, column.right) for text, width, column in zip(line, widths, columns, strict=True))
    return (" " * _GAP).join(parts)


def _padded(text: str, width: int, right: bool = False) -> str:
    space = " " * (width - cells(text))
    return space + text if right else text + space
