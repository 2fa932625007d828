"""What the doctor found as text: the state of the place, the state of every URL, and how far an audit is."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, TextIO

from dlcat.view.page import Page, clean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.console import Console
    from tqdm import tqdm

    from dlcat.fetch.care.audit import Audited
    from dlcat.fetch.care.links import State
    from dlcat.fetch.care.patch import Patch
    from dlcat.fetch.care.place import Check

ORDER: tuple[State, ...] = ("dead", "wrong", "changed", "refused", "busy", "unsure", "moved", "ok")
"""Of the states, the worst first."""
LOG_EVERY = 25
"""Without a terminal, an audit says how far it is after so many URLs."""


def place(checks: Sequence[Check], console: Console | None = None) -> str:
    """The place, a line for each thing that was looked at, for `dlcat doctor`."""
    page = Page(console)
    page.pairs([(each.subject, _told(each)) for each in checks])
    hints = [f"{each.subject}: {each.hint}" for each in checks if each.hint]
    if hints:
        page.heading("what to do")
        page.bullets(hints)
    return page.text()


def links(records: Sequence[Audited], console: Console | None = None) -> str:
    """Every URL that is not simply ok, the worst first, and the counts, for `dlcat doctor --links`."""
    page = Page(console)
    for state in ORDER:
        found = [record for record in records if record.state == state and (state != "ok" or record.came_back)]
        if found:
            page.heading(state)
            page.pairs([_pair(record) for record in found])
    page.gap()
    page.line(summary(records), "bold")
    return page.text()


def patch(suggested: Patch) -> str:
    """What to change in a catalog file, each line of it as it stands: a diff is of no use with a space less."""
    told = [f"\nsuggested for {suggested.path} (patch -p1 in its folder):\n{suggested.diff}"] if suggested.diff else []
    return "".join((*told, *(f"\nto look at: {clean(each)}\n" for each in suggested.by_hand)))


def summary(records: Sequence[Audited]) -> str:
    """How many URLs are in which state: '415 URLs: 3 dead, 1 wrong, 411 ok'."""
    counts = Counter(record.state for record in records)
    told = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts[state])
    return f"{len(records)} URLs: {told}" if records else "no URLs"


class AuditProgress:
    """Shows how far an audit is; a context manager, so that no bar outlives an error."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        """Draw on `stream`, stderr by default."""
        self._total = total
        self._stream = stream or sys.stderr
        self._done = 0
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> AuditProgress:
        if self._stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(desc="looking", total=self._total, unit="URL", file=self._stream, leave=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, record: Audited) -> None:
        """Count one record; in a log, say now and then how many there were."""
        self._done += 1
        if self._bar is not None:
            self._bar.set_postfix_str(clean(record.places[0])[:40], refresh=False)
            self._bar.update()
        elif self._done % LOG_EVERY == 0:
            print(f"{self._done} of {self._total} URLs", file=self._stream, flush=True)


def _pair(record: Audited) -> tuple[str, str]:
    more = f" and {len(record.places) - 1} more" if len(record.places) > 1 else ""
    return f"{record.places[0]}{more}", "  ".join(filter(None, (record.url, _found(record))))


def _found(record: Audited) -> str:
    told = [record.reason]
    if record.came_back:
        told.insert(0, "it came back")
    if record.failed_days > 1:
        told.append(f"day {record.failed_days} in a row")
    if record.quarantined:
        told.append("quarantined")
    return "; ".join(filter(None, told))


def _told(each: Check) -> str:
    return each.found if each.state == "ok" else f"{each.state}: {each.found}"
