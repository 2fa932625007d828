"""A real browser opens the report from a file: it runs, fits a phone, sorts, and reports no error."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import escape, unescape
from typing import TYPE_CHECKING, Any

import pytest

from dlcat.view import compare
from dlcat.view.report import render

if TYPE_CHECKING:
    from pathlib import Path

BROWSER = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-quic",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
    "--virtual-time-budget=2000", "--hide-scrollbars",
]  # fmt: skip
PROBE = """<!DOCTYPE html><title>probe</title><iframe width="{width}" height="900" srcdoc="{page}"></iframe><pre></pre>
<script>
onload = () => {{
  const page = document.querySelector("iframe").contentDocument;
  const header = page.querySelectorAll("table.sortable thead button")[2];
  header.click();
  const rows = [...page.querySelectorAll("table.sortable tbody tr")];
  const recalls = rows.map((row) => Number(row.children[2].dataset.value));
  document.querySelector("pre").textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth,
    sorted: header.parentNode.getAttribute("aria-sort"),
    falling: recalls.every((recall, place) => !place || recall <= recalls[place - 1]),
    charts: [...page.querySelectorAll("svg.chart")].filter((chart) => chart.getBBox().width > 100).length,
    pictures: [...page.images].filter((image) => image.naturalWidth > 0).length,
    copy: page.querySelector("button.copy").hidden,
  }});
}};
</script>"""

STUDY_PROBE = """<!DOCTYPE html><title>probe</title><iframe width="{width}" height="900" srcdoc="{page}"></iframe><pre></pre>
<script>
onload = () => {{
  const page = document.querySelector("iframe").contentDocument;
  document.querySelector("pre").textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth,
    charts: [...page.querySelectorAll("svg.chart")].filter((chart) => chart.getBBox().width > 100).length,
  }});
}};
</script>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")


def opened(page: Path, profile: Path) -> tuple[str, list[str]]:
    """The page's elements after its scripts ran, and what the browser's console said."""
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_a_browser_shows_the_report_without_a_complaint(fabricate: Any, tmp_path: Path) -> None:
    run = fabricate.finished(tmp_path / "run", ["<script>alert(1)</script>", *fabricate.DIGITS[1:]])
    run.report_path.write_text(render(run), encoding="utf-8")
    elements, console = opened(run.report_path, tmp_path / "profile")
    assert console == []
    assert elements.count('<svg class="chart"') == 5
    assert elements.count("<button") == 6  # five headings that sort, one copy: the script ran under the page's policy


@pytest.mark.parametrize("width", [360, 1400])
def test_the_report_fits_its_window_and_its_table_sorts(fabricate: Any, tmp_path: Path, width: int) -> None:
    names = ["a rather long name for a class of things", *fabricate.DIGITS[1:]]
    page = tmp_path / "probe.html"
    report = render(fabricate.finished(tmp_path / "run", names))
    page.write_text(PROBE.format(width=width, page=escape(report)), encoding="utf-8")
    elements, console = opened(page, tmp_path / "profile")
    assert console == []
    found = re.search(r"<pre>(\{.*?\})</pre>", unescape(elements))
    assert found
    expected = f'{{"width":{width},"sorted":"descending","falling":true,"charts":5,"pictures":12,"copy":false}}'
    assert found[1] == expected


@pytest.mark.parametrize("width", [360, 1400])
def test_the_page_of_a_study_fits_its_window(fabricate: Any, tmp_path: Path, width: int) -> None:
    page = tmp_path / "probe.html"
    content = compare.page(fabricate.study(), tmp_path / "study.html", recipe="dataset: digits\n", version="1")
    page.write_text(STUDY_PROBE.format(width=width, page=escape(content)), encoding="utf-8")
    elements, console = opened(page, tmp_path / "profile")
    assert console == []
    assert f'<pre>{{"width":{width},"charts":4}}</pre>' in unescape(elements)


def test_the_console_is_heard(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<script>missing()</script>", encoding="utf-8")
    assert opened(page, tmp_path / "profile")[1]
