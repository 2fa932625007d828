"""Tables fit the terminal, never cut a name, and are plain and whole in a pipe."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from dlcat.fetch.care.collect import Holding
from dlcat.fetch.plan import Estimate, Plan, Planned
from dlcat.fetch.slices.plan import PlannedSlice, SlicePlan
from dlcat.fetch.terms import Agreement, Consent
from dlcat.run import Run
from dlcat.view import page, results, tables

WIDTHS = [60, 80, 120]


def console(width: int, *, styled: bool = False) -> Console:
    return Console(file=StringIO(), width=width, force_terminal=True, no_color=not styled, _environ={"TERM": "xterm"})


def lines(text: str) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.splitlines()]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_catalog_fits_the_terminal_and_keeps_every_name(fabricate: Any, width: int, language: str) -> None:
    rows = fabricate.catalog()
    drawn = lines(tables.datasets(rows, language, console(width)))
    assert max(map(page.cells, drawn)) <= width
    assert [line.split()[0] for line in drawn[2:-1]] == [entry.name for entry, _ in rows]
    assert [line.endswith("✓") for line in drawn[2:-1]] == [fetched for _, fetched in rows]


def test_titles_are_shortened_only_where_they_must_be(fabricate: Any) -> None:
    rows = [(fabricate.dataset(title="T" * 50), True)]
    assert "T" * 50 in tables.datasets(rows, "en", console(120))
    assert page.ELLIPSIS in tables.datasets(rows, "en", console(60))
    assert page.ELLIPSIS in tables.datasets(rows)  # a pipe is fitted to 80 columns


def test_a_wide_terminal_shows_the_tasks(fabricate: Any) -> None:
    rows = [(fabricate.dataset(), False)]
    assert "image-classification" in tables.datasets(rows, "en", console(120))
    assert "image-classification" not in tables.datasets(rows, "en", console(80))


def test_a_pipe_gets_aligned_text_without_styling(fabricate: Any) -> None:
    text = tables.datasets(fabricate.catalog())
    assert "\x1b" not in text
    assert "─" not in text
    header, *body = text.splitlines()
    assert len(body) == 27
    start = header.index("title")
    assert all(line[start - 1] == " " != line[start] for line in body)


def test_a_pipe_is_no_terminal() -> None:
    assert page.terminal(StringIO()) is None


def test_listing_into_a_pipe_never_imports_rich() -> None:
    code = "import sys; from dlcat.view import tables; tables.datasets([]); sys.exit('rich' in sys.modules)"
    root = Path(tables.__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_no_color_is_honoured(fabricate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    colored = re.compile(r"\x1b\[[0-9;]*3[0-9]m")
    rows = [(fabricate.dataset(), True)]
    assert colored.search(tables.datasets(rows, "en", page.terminal(Terminal())))
    assert not colored.search(tables.datasets(rows, "en", page.terminal(Terminal(), color=False)))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colored.search(tables.datasets(rows, "en", page.terminal(Terminal())))


@pytest.mark.parametrize("width", [*WIDTHS, None])
def test_a_page_tells_everything_about_a_dataset(fabricate: Any, width: int | None) -> None:
    entry = fabricate.dataset(access="by-hand", instructions="Ask at the desk.")
    states = {"digits.csv.gz": "corrupt"}
    text = tables.dataset(entry, states, "en", width and console(width))
    flat = " ".join(" ".join(lines(text)).split())
    for wanted in (
        entry.title, "Small pictures of digits.", entry.homepage, "CC-BY-4.0", "by-hand", "Ask at the desk.", "57.5 kB",
        "train 1,437, test 360", "10 (0, 1, 2", "1 × 8 × 8", "On Digits", "Values reach 16",
        "digits-large.csv.gz", "corrupt", "missing",
    ):  # fmt: skip
        assert wanted in flat
    if width:
        assert max(map(page.cells, lines(text))) <= width


def test_a_page_is_in_the_users_language(fabricate: Any) -> None:
    text = tables.dataset(fabricate.dataset(), {}, "zh")
    assert "手写数字的小图像。" in text
    assert "许可证" in text
    assert "Small pictures" not in text


@pytest.mark.parametrize("width", [80, None])
def test_a_catalog_cannot_send_control_codes_or_markup(fabricate: Any, width: int | None) -> None:
    title = "Evil \x1b]0;title\x07 \x9b31m [red]markup[/red]\nsecond"
    entry = fabricate.dataset(title=title)
    for text in (
        tables.datasets([(entry, False)], "en", width and console(width)),
        tables.dataset(entry, {}, "en", width and console(width)),
    ):
        assert "\x1b]" not in text
        assert "\x07" not in text
        assert "\x9b" not in text
        assert "[red]markup[/red]" in text


def plan(**changes: Any) -> Plan:
    file = Planned(
        file="digits.csv.gz",
        state="missing",
        size_bytes=57_523,
        remaining_bytes=57_523,
        sources=("https://example.org/" + "long/" * 30 + "digits.csv.gz",),
        unpack="gz",
        unpacked=False,
    )
    fields: dict[str, Any] = {
        "dataset": "digits",
        "access": "open",
        "license": None,
        "folder": Path("cache/data/digits"),
        "artifacts": (file,),
        "download_bytes": 57_523,
        "unpacked_bytes": None,
        "peak_bytes": 2_000_000,
        "free_bytes": 1_000_000,
        "sizes_known": False,
    }
    return Plan(**(fields | changes))


@pytest.mark.parametrize("width", [*WIDTHS, None])
def test_a_plan_says_what_moves_and_whether_it_fits(width: int | None) -> None:
    text = tables.plan(plan(), width and console(width))
    flat = " ".join(" ".join(lines(text)).split())
    for wanted in (
        "at least 57.5 kB",
        "at least 2.0 MB",
        "1.0 MB: too little",
        "none stated",
        "digits.csv.gz",
        "missing",
    ):
        assert wanted in flat
    assert "too little" not in tables.plan(plan(free_bytes=3_000_000), width and console(width))
    if width:
        assert max(map(len, lines(text))) <= width


ESTIMATE = Estimate(
    seconds=200.0,
    bytes_per_second=8_100_000.0,
    hosts=("one.example.org", "two.example.org"),
    seen="2026-03-01T12:00:00.000+00:00",
    complete=True,
)
TERMS = Agreement("You do research only.", "https://example.org/terms", required=True, accepted=None, changed=False)


def slice_plan(**changes: Any) -> SlicePlan:
    kinds = {"a.zip": "ranges", "b.tar.gz": "stream", "c.csv": "whole", "d.zip": "here"}
    fields: dict[str, Any] = {
        "dataset": "digits",
        "access": "open",
        "license": "CC0-1.0",
        "folder": Path("cache/data/digits"),
        "artifacts": tuple(
            PlannedSlice(
                file=file, how=how, download_bytes=10_000_000, sources=("https://example.org/" + "long/" * 30,)
            )
            for file, how in kinds.items()
        ),
        "download_bytes": 40_000_000,
        "sizes_known": True,
        "peak_bytes": None,
        "free_bytes": 1_000_000,
        "terms": TERMS,
        "estimate": ESTIMATE,
    }
    return SlicePlan(**(fields | changes))


def flat(text: str) -> str:
    return " ".join(" ".join(lines(text)).split())


@pytest.mark.parametrize("width", [*WIDTHS, None])
def test_a_plan_tells_the_time_and_where_it_is_known_from(width: int | None) -> None:
    text = flat(tables.plan(plan(estimate=ESTIMATE), width and console(width)))
    assert "about 3 min 20 s at 8.1 MB/s, seen from one.example.org and two.example.org on 2026-03-01 access" in text
    partly = flat(tables.plan(plan(estimate=replace(ESTIMATE, complete=False)), width and console(width)))
    assert "on 2026-03-01, without files whose size or speed is not known" in partly
    assert "seen from" not in flat(tables.plan(plan(), width and console(width)))


@pytest.mark.parametrize("width", [*WIDTHS, None])
def test_the_plan_of_a_slice_says_what_travels_at_most(width: int | None) -> None:
    text = tables.slice_plan(slice_plan(), width and console(width))
    for wanted in ("digits, a part of it", "at most 40.0 MB", "at most about 3 min 20 s", "research only"):
        assert wanted in flat(text)
    assert "room needed" not in text
    assert "too little" not in text
    if width:
        assert max(map(page.cells, lines(text))) <= width
    for wanted in (
        "10.0 MB the wanted files",
        "10.0 MB all; a part is kept",
        "10.0 MB all http",
        "nothing: it is here",
    ):
        assert wanted in flat(text)


def test_the_plan_of_whole_files_is_exact_and_tells_the_room() -> None:
    whole = tuple(replace(each, how="whole") for each in slice_plan().artifacts)
    text = flat(tables.slice_plan(slice_plan(artifacts=whole, peak_bytes=50_000_000)))
    for wanted in ("to download 40.0 MB", "room needed 50.0 MB", "1.0 MB: too little", "time about 3 min"):
        assert wanted in text
    assert "published sizes add up to 40.0 MB" in flat(tables.slice_plan(slice_plan(sizes_known=False)))


STANDINGS = {
    "not yet; before fetching: dlcat accept digits": {},
    "not since they have changed; before fetching: dlcat accept digits": {"changed": True},
    "by Jane on 2026-03-01": {"accepted": Consent("digits", "Jane", "2026-03-01T12:00:00+00:00", "0" * 64)},
    "by downloading": {"required": False},
}


@pytest.mark.parametrize(("said", "changes"), STANDINGS.items(), ids=STANDINGS)
def test_terms_are_told_with_whether_they_are_accepted(fabricate: Any, said: str, changes: dict[str, Any]) -> None:
    terms = replace(TERMS, **changes)
    for text in (
        tables.plan(plan(terms=terms)),
        tables.slice_plan(slice_plan(terms=terms)),
        tables.dataset(fabricate.dataset(), {}, terms=terms),
    ):
        assert re.search(r"^terms +You do research only\. +https://example\.org/terms$", text, re.MULTILINE)
        assert re.search(rf"^accepted +{said}$", text, re.MULTILINE)
    assert "terms  " not in tables.dataset(fabricate.dataset(), {})


def test_terms_are_headed_in_the_users_language(fabricate: Any) -> None:
    text = tables.dataset(fabricate.dataset(), {}, "zh", terms=TERMS)
    assert re.search(r"^使用条款 +You do", text, re.MULTILINE)


def holding(name: str, size_bytes: int, used: datetime | None) -> Holding:
    return Holding(name, size_bytes, size_bytes, size_bytes - 400, 400, 0, used)


def test_the_cache_is_listed_by_what_it_holds() -> None:
    used = datetime(2026, 3, 1, tzinfo=UTC)
    mnist = Holding("mnist", 11_594_722, 54_950_048, 0, 0, 2_000_000, used)
    header, first, second = tables.holdings([mnist, holding("digits", 1_000, None)]).splitlines()
    assert header.split() == ["dataset", "downloads", "unpacked", "prepared", "partial", "total", "used"]
    assert first.split("  ")[0] == "mnist"
    assert re.split(r"  +", first)[1:] == ["11.6 MB", "55.0 MB", "2.0 MB", "68.5 MB", "2026-03-01"]
    assert re.split(r"  +", second) == ["digits", "1.0 kB", "1.0 kB", "1.0 kB", "3.0 kB"]
    assert first.index("2.0 MB") + 6 == header.index("partial") + 7  # under its own heading


@pytest.mark.parametrize("width", [80, 120, None])
def test_the_list_of_the_cache_fits_whatever_is_in_it(width: int | None) -> None:
    held = [Holding("a-long-dataset-name", *[80_000_000] * 5, datetime(2026, 3, 1, tzinfo=UTC))]
    text = tables.holdings(held, width and console(width))
    assert max(map(page.cells, lines(text))) <= (width or 80)
    assert "a-long-dataset-name" in text
    assert ("400 MB in all" in text) == (width is not None)


def test_runs_show_the_finished_the_unfinished_and_the_damaged(fabricate: Any, tmp_path: Path) -> None:
    fabricate.finished(tmp_path / "good")
    fabricate.run_folder(tmp_path / "cut-short", epochs=[fabricate.epoch(1), fabricate.epoch(2)])
    fabricate.run_folder(tmp_path / "broken", outcome={"metrics": 3})
    fabricate.run_folder(tmp_path / "fresh", epochs=[])
    text = results.runs([Run(tmp_path / name) for name in ("good", "cut-short", "broken", "fresh")])
    good, cut, broken, fresh = text.splitlines()[1:]
    assert re.match(r"good +digits +12 +90.22 % +38 s +finished", good)
    assert re.match(r"cut-short +2/12 +6.4 s +unfinished", cut)
    assert re.match(r"broken +damaged", broken)
    assert re.match(r"fresh +0 +unfinished", fresh)
    assert "damaged" in results.runs([Run(tmp_path / "broken")], console(80))


@pytest.mark.parametrize("width", [80, None])
def test_a_result_leads_with_the_test_accuracy_and_names_the_report(fabricate: Any, width: int | None) -> None:
    text = results.result(fabricate.result(), Path("runs/r/report.html"), width and console(width))
    drawn = [" ".join(line.split()) for line in lines(text) if line.strip()]
    assert drawn[1] == "test accuracy 90.22 %"
    assert "time 38 s, 4,300 examples/s" in drawn
    assert drawn[-1] == "report runs/r/report.html"


def test_a_result_without_validation_is_shown(fabricate: Any) -> None:
    outcome = fabricate.result(metrics={"validation": None, "test": {"loss": 0.5}})
    assert "validation" not in results.result(outcome, Path("report.html"))


@given(st.text(max_size=40), st.integers(1, 30))
@settings(max_examples=200, deadline=None)
def test_shortened_text_fits_and_begins_like_the_whole(text: str, width: int) -> None:
    short = page.shortened(text, width)
    assert page.cells(short) <= width
    assert short == text or (short.endswith(page.ELLIPSIS) and text.startswith(short[:-1]))


@pytest.mark.parametrize("width", [80, None])
def test_a_page_may_begin_with_a_heading(width: int | None) -> None:
    drawn = page.Page(width and console(width))
    drawn.heading("norm")
    drawn.pairs([("batch", "per channel"), ("empty", "")])
    assert [" ".join(line.split()) for line in lines(drawn.text())] == ["norm", "batch per channel"]
