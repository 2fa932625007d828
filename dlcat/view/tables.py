"""Catalog, plans and cache as text: styled for the terminal that is given, plain and complete for a pipe.

Every function returns the text. Its `console` is what `page.terminal` made of a stream: None stands for a pipe or a file,
where nothing is shortened and rich is never imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcat import units
from dlcat.view.page import ELLIPSIS, Column, Page, drawn, fitted, literal, plain_table, rich_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.console import Console

    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.care.collect import Holding
    from dlcat.fetch.plan import Estimate, Plan, Planned
    from dlcat.fetch.slices.plan import PlannedSlice, SlicePlan
    from dlcat.fetch.terms import Agreement

WIDE_COLUMNS = 110
"""From this terminal width on, `datasets` has room for the tasks."""

PIPE_COLUMNS = 80
"""What a line of `datasets` is fitted to in a pipe: it is read by people in logs; programs read --json."""

_TRAVELS = {
    "ranges": "the wanted files",
    "stream": "all; a part is kept",
    "whole": "all",
    "here": "nothing: it is here",
}

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
    "terms": "使用条款",
    "accepted": "是否已接受",
    "datasets": "个数据集",
}


def datasets(rows: Iterable[tuple[Dataset, bool]], language: str = "en", console: Console | None = None) -> str:
    """The catalog, a dataset a line, for `dlcat list`.

    Args:
        rows: each dataset, and whether it is in the cache whole.
        language: of the headings, en or zh.
        console: from `page.terminal`.
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
        return plain_table(columns, fitted(columns, cells, PIPE_COLUMNS))
    total = f"{len(every)} {word('datasets')}, {sum(fetched for _, fetched in every)} {word('fetched')}"
    return drawn(console, rich_table(console, columns, cells), literal(total, "dim"))


def dataset(
    entry: Dataset,
    states: Mapping[str, str],
    language: str = "en",
    console: Console | None = None,
    terms: Agreement | None = None,
) -> str:
    """One dataset as a page, for `dlcat show NAME`.

    Args:
        entry: the dataset.
        states: artifact file to the word for its state (missing, partial, corrupt, ok).
        language: of summary and headings, en or zh.
        console: from `page.terminal`.
        terms: what upstream wants agreed to, and whether the user has; see `dlcat.fetch.terms`.
    """
    word = _words(language)
    summary = entry.summary.zh if language == "zh" else entry.summary.en
    page = Page(console)
    page.line(entry.title, "bold")
    page.line(f"{entry.name}  {entry.domain}  {', '.join(entry.tasks)}", "dim")
    page.paragraph(summary)
    page.pairs([(word(label), value) for label, value in _facts(entry, word, terms)])
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
    rows = [[each.file, units.size(each.size_bytes), each.state, _first_source(each)] for each in planned.artifacts]
    page = Page(console)
    page.line(planned.dataset, "bold")
    page.pairs(_room(planned))
    page.gap()
    page.table(columns, rows)
    return page.text()


def slice_plan(planned: SlicePlan, console: Console | None = None) -> str:
    """What `dlcat fetch` would do for a part of a dataset, for `dlcat plan NAME --only ...`."""
    columns = [
        Column("file", style="bold"),
        Column("at most", right=True),
        Column("what travels"),
        Column("first source", shrinks=True, style="dim"),
    ]
    rows = [
        [
            each.file,
            units.size(each.download_bytes),
            _TRAVELS[each.how],
            _first_source(each),
        ]
        for each in planned.artifacts
    ]
    page = Page(console)
    page.line(f"{planned.dataset}, a part of it", "bold")
    page.pairs(_slice_room(planned))
    page.gap()
    page.table(columns, rows)
    return page.text()


def holdings(held: Iterable[Holding], console: Console | None = None) -> str:
    """What the cache holds, a dataset a line, for `dlcat cache ls`."""
    every = list(held)
    columns = [
        Column("dataset", style="bold"),
        *(Column(heading, right=True) for heading in ("downloads", "unpacked", "prepared", "partial", "total")),
        Column("used"),
    ]
    cells = [
        [
            each.dataset,
            *(units.size(size_bytes) if size_bytes else "" for size_bytes in _kinds(each)),
            units.size(each.size_bytes),
            f"{each.used:%Y-%m-%d}" if each.used else "",
        ]
        for each in every
    ]
    if console is None:
        return plain_table(columns, cells)
    total = f"{units.size(sum(each.size_bytes for each in every))} in all"
    return drawn(console, rich_table(console, columns, cells), literal(total, "dim"))


def _first_source(each: Planned | PlannedSlice) -> str:
    return each.sources[0] if each.sources else "by hand"


def _room(planned: Plan) -> Iterable[tuple[str, str]]:
    least = "" if planned.sizes_known else "at least "
    yield "to download", least + units.size(planned.download_bytes)
    yield "to unpack", units.size(planned.unpacked_bytes)
    yield "room needed", least + units.size(planned.peak_bytes)
    yield "room free", units.size(planned.free_bytes) + ("" if planned.fits else ": too little")
    yield "time", _time(planned.estimate, "about ")
    yield from _conditions(planned)


def _slice_room(planned: SlicePlan) -> Iterable[tuple[str, str]]:
    bound = "" if planned.exact else "at most " if planned.sizes_known else "not known; published sizes add up to "
    yield "to download", bound + units.size(planned.download_bytes)
    yield "room needed", "" if planned.peak_bytes is None else units.size(planned.peak_bytes)
    yield "room free", units.size(planned.free_bytes) + ("" if planned.fits else ": too little")
    yield "time", _time(planned.estimate, "about " if planned.exact else "at most about ")
    yield from _conditions(planned)


def _conditions(planned: Plan | SlicePlan) -> Iterable[tuple[str, str]]:
    yield "access", planned.access
    yield "licence", planned.license or "none stated"
    yield from _terms(planned.dataset, planned.terms)
    yield "folder", str(planned.folder)


def _time(found: Estimate | None, bound: str) -> str:
    """How long it takes, and how that is known; nothing where it is not."""
    if found is None:
        return ""
    speed, hosts = f"{units.size(found.bytes_per_second)}/s", " and ".join(found.hosts)
    part = "" if found.complete else ", without files whose size or speed is not known"
    return f"{bound}{units.duration(found.seconds)} at {speed}, seen from {hosts} on {found.seen[:10]}{part}"


def _terms(name: str, found: Agreement | None) -> Iterable[tuple[str, str]]:
    if found is None:
        return
    yield "terms", "  ".join(filter(None, (found.text, found.url)))
    yield "accepted", _accepted(name, found)


def _accepted(name: str, found: Agreement) -> str:
    if found.accepted is not None:
        return f"by {found.accepted.who} on {found.accepted.when[:10]}"
    if not found.required:
        return "by downloading"
    return f"{'not since they have changed' if found.changed else 'not yet'}; before fetching: dlcat accept {name}"


def _kinds(held: Holding) -> tuple[int, ...]:
    """Shards are prepared, too: one column fewer, so that a line fits 80."""
    return held.artifacts_bytes, held.data_bytes, held.prepared_bytes + held.shards_bytes, held.unfinished_bytes


def _facts(entry: Dataset, word: Callable[[str], str], terms: Agreement | None) -> Iterable[tuple[str, str]]:
    licence = entry.license
    yield "access", word(entry.access)
    yield "licence", "  ".join(filter(None, (licence.id or "none stated", licence.note, licence.url)))
    yield from _terms(entry.name, terms)
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


def _words(language: str) -> Callable[[str], str]:
    known = _CHINESE if language == "zh" else {}
    return lambda text: known.get(text, text)
