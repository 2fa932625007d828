"""What the doctor found, drawn: the worst first, nothing that moves the cursor, and how far an audit is."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from dlcat.fetch.care.audit import Audited
from dlcat.fetch.care.patch import Patch
from dlcat.fetch.care.place import Check
from dlcat.view import audit as view
from dlcat.view.page import terminal


class Terminal(io.StringIO):
    """A terminal of the default width."""

    def isatty(self) -> bool:
        return True


def audited(state: Any = "ok", **changes: Any) -> Audited:
    fields: dict[str, Any] = {
        "url": f"https://data.example/{state}.zip",
        "places": ("toy/a.zip",),
        "kind": "file",
        "state": state,
        "reason": "" if state == "ok" else f"because it is {state}",
        "leads_to": None,
        "size_bytes": 3,
        "failed_days": 0,
        "quarantined": False,
        "came_back": False,
    }
    return Audited(**fields | changes)


def test_the_worst_comes_first_and_what_is_well_is_counted_only() -> None:
    drawn = view.links([audited(state) for state in reversed(view.ORDER)])
    places = [drawn.index(f"/{state}.zip") for state in view.ORDER[:-1]]
    assert places == sorted(places)
    assert "/ok.zip" not in drawn
    assert drawn.endswith("8 URLs: 1 dead, 1 wrong, 1 changed, 1 refused, 1 busy, 1 unsure, 1 moved, 1 ok\n")


def test_a_url_that_came_back_is_shown_although_it_is_well() -> None:
    assert "it came back" in view.links([audited(came_back=True)])


def test_days_and_quarantine_stand_beside_the_reason() -> None:
    drawn = view.links([audited("dead", failed_days=3, quarantined=True, places=("toy/a.zip", "toy homepage"))])
    assert "because it is dead; day 3 in a row; quarantined" in drawn
    assert "toy/a.zip and 1 more" in drawn
    assert "in a row" not in view.links([audited("dead", failed_days=1)])


def test_nothing_to_look_at_is_said() -> None:
    assert view.summary([]) == "no URLs"


def test_what_servers_say_cannot_move_the_cursor() -> None:
    drawn = view.links([audited("dead", reason="\x1b[2J\r\nHTTP 404")])
    assert "\x1b" not in drawn
    assert "\r" not in drawn


def test_on_a_terminal_nothing_is_cut_off_and_every_line_fits() -> None:
    console = terminal(Terminal(), color=False)
    assert console is not None
    url = "https://data.example/" + "x" * 90
    drawn = re.sub(r"\x1b\[[0-9;]*m", "", view.links([audited("dead", reason="HTTP 404 " * 20, url=url)], console))
    assert max(map(len, drawn.splitlines())) <= console.width
    assert drawn.count("x") == url.count("x")
    assert drawn.count("HTTP") == 20


def test_the_place_shows_what_is_wrong_and_what_to_do() -> None:
    checks = [
        Check(subject="dlcat", state="ok", found="0.1.0"),
        Check(subject="cache", state="fault", found="/x: read-only", hint="choose another", exit_code=7),
    ]
    drawn = view.place(checks)
    assert "dlcat  0.1.0\n" in drawn
    assert "fault: /x: read-only" in drawn
    assert drawn.endswith("what to do\n-  cache: choose another\n")
    assert "what to do" not in view.place(checks[:1])


def test_a_patch_is_shown_to_the_last_space() -> None:
    diff = "--- a/c.yaml\n+++ b/c.yaml\n@@ -1,1 +1,1 @@\n    two  spaces\n"
    drawn = view.patch(Patch(path=Path("c.yaml"), diff=diff, by_hand=("c.yaml:3: toy: there is no other source",)))
    assert diff in drawn
    assert drawn.endswith("to look at: c.yaml:3: toy: there is no other source\n")


def test_in_a_log_an_audit_says_now_and_then_how_far_it_is() -> None:
    stream = io.StringIO()
    with view.AuditProgress(60, stream) as progress:
        for _ in range(60):
            progress.show(audited())
    assert stream.getvalue() == "25 of 60 URLs\n50 of 60 URLs\n"


def test_on_a_terminal_an_audit_has_a_bar_that_goes_away() -> None:
    stream = Terminal()
    with view.AuditProgress(2, stream) as progress:
        progress.show(audited())
        progress.show(audited())
    assert "looking" in stream.getvalue()
    assert stream.getvalue().endswith("\r")
