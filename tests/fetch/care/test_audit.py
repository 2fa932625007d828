"""The audit of URLs: each state met on a server that goes wrong so, politeness, memory, and the patch it suggests."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from threading import Lock
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat import document
from dlcat.catalog.catalog import Catalog
from dlcat.catalog.dataset import Artifact, Dataset, Member
from dlcat.fetch.care import links as history
from dlcat.fetch.care.audit import BLOCK_BYTES, Audited, audit, links, links_path
from dlcat.fetch.care.links import QUARANTINE_DAYS, Result, after, came_back, failed_days, key
from dlcat.fetch.care.patch import reordered, suggest
from dlcat.fetch.wire.credentials import Secret
from dlcat.fetch.wire.health import Health
from dlcat.fetch.wire.network import Network
from dlcat.testing import Fault, FaultServer, Request, faults

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTENT = b"PK\x03\x04" + Random(1).randbytes(3 * BLOCK_BYTES)
PAGE = "http://127.0.0.1:{port}/"


class Clock:
    """Time that passes only where somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits: list[float] = []
        self._lock = Lock()

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.waits.append(seconds)
            self.seconds += seconds


@pytest.fixture
def serve() -> Iterator[Callable[..., FaultServer]]:
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(FaultServer(*arguments, **options))


@pytest.fixture
def health(tmp_path: Path) -> Health:
    return Health(tmp_path / "artifacts" / ".health.json", now=lambda: DAY)


@pytest.fixture
def look(health: Health, make_dataset: Callable[..., Dataset]) -> Callable[..., list[Audited]]:
    """look(url, ..., size=..., days=2): audits one file named a.zip with these sources, so many days after the first."""

    def call(*urls: str, days: int = 0, clock: Clock | None = None, **fields: Any) -> list[Audited]:
        options = {"file": "a.zip", "size": len(CONTENT), "provenance": "made here", "urls": list(urls)}
        entry = make_dataset(Artifact(**options | fields), homepage="none", license=_no_page())
        waiting = clock or Clock()
        return list(
            audit(
                Catalog({"toy": entry}),
                (),
                network=Network(tokens={"127.0.0.1": Secret("sesame")}),
                health=replace(health, now=lambda: DAY + timedelta(days=days)),
                now=waiting.now,
                sleep=waiting.sleep,
            )
        )

    return call


def _no_page() -> Any:
    from dlcat.catalog.dataset import License

    return License(id="CC0-1.0")


def _head_refused(code: int) -> Callable[[Request], Fault]:
    return lambda request: faults.status(code) if request.method == "HEAD" else faults.ok


STATES: dict[str, tuple[Any, str, str]] = {
    "an honest server": (faults.ok, "ok", ""),
    "HEAD forbidden": (_head_refused(403), "ok", ""),
    "HEAD not allowed": (_head_refused(405), "ok", ""),
    "HEAD unknown": (_head_refused(501), "ok", ""),
    "no file": (faults.status(404), "dead", "HTTP 404"),
    "a file that is gone": (faults.status(410), "dead", "HTTP 410"),
    "nobody answers": (faults.hang_up, "dead", ""),
    "a circle": (faults.redirect_loop, "dead", "it redirects in a circle"),
    "a login": (faults.status(401), "refused", "HTTP 401"),
    "forbidden": (faults.status(403), "refused", "an account may be needed"),
    "too many requests": (faults.status(429), "busy", "HTTP 429"),
    "under repair": (faults.status(503), "busy", "HTTP 503"),
    "a broken server": (faults.status(500), "busy", "HTTP 500"),
    "a quota page": (faults.drive_quota_page, "wrong", "a Google Drive quota page"),
    "a page where one signs in": (faults.login_redirect, "wrong", "a login page"),
    "a pointer": (faults.lfs_pointer, "wrong", "a Git LFS pointer"),
    "no ranges": (faults.ranges_ignored, "unsure", "no ranges"),
    "neither ranges nor a size": (faults.ranges_ignored & faults.chunked, "unsure", "no size"),
    "other ranges than asked for": (faults.shifted_range(7), "unsure", "was given"),
    "ranges cut short": (faults.short_range(100), "unsure", "bytes asked for in one answer"),
    "ranges that do not say which": (faults.no_content_range, "unsure", "without saying which bytes"),
}


@pytest.mark.parametrize(("fault", "state", "words"), STATES.values(), ids=STATES)
def test_each_way_of_answering_has_its_state(
    fault: Any, state: str, words: str, serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    server = serve({"a.zip": CONTENT}, fault)
    [found] = look(server.url("a.zip"))
    assert (found.state, found.kind) == (state, "file"), found
    assert words in found.reason
    assert bool(found.reason) == (state != "ok")
    assert found.failed_days == (state in ("dead", "wrong"))


def test_a_port_where_nobody_listens_and_a_host_that_does_not_exist_are_dead(
    serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    found = look(serve({}).refused_url("a.zip"), "http://nowhere.invalid/a.zip")
    assert [each.state for each in found] == ["dead", "dead"]
    assert any("refused" in each.reason for each in found)


def test_a_redirect_to_another_host_is_told_and_its_query_is_not(
    serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    there = serve({"b.zip": CONTENT}, host="127.0.0.2")
    here = serve({}, faults.redirect(f"{there.url('b.zip')}?signature=secret", code=301))
    [found] = look(here.url("a.zip"))
    assert (found.state, found.leads_to) == ("moved", there.url("b.zip"))
    assert found.reason == f"leads to 127.0.0.2:{there.url('').split(':')[2].split('/')[0]}"
    assert "authorization" in here.requests[0].headers
    assert all("authorization" not in request.headers for request in there.requests)


def test_a_redirect_on_the_same_host_is_no_move(
    serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    server = serve({"b.zip": CONTENT}, {"a.zip": faults.redirect("/b.zip")})
    [found] = look(server.url("a.zip"))
    assert (found.state, found.leads_to, found.size_bytes) == ("ok", None, len(CONTENT))


def test_only_the_head_and_both_ends_are_asked_for(
    serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    server = serve({"a.zip": CONTENT})
    look(server.url("a.zip"))
    last = f"bytes={len(CONTENT) - BLOCK_BYTES}-{len(CONTENT) - 1}"
    asked = [(request.method, request.range) for request in server.requests]
    assert asked == [("HEAD", None), ("GET", f"bytes=0-{BLOCK_BYTES - 1}"), ("GET", last)]
    assert server.bytes_served == 2 * BLOCK_BYTES
    assert server.connections == 1


def test_an_empty_file_that_should_be_empty_is_ok(
    serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    server = serve({"a.bin": b""})
    assert look(server.url("a.bin"), file="a.bin", size=0)[0].state == "ok"
    assert look(server.url("a.bin"), file="a.bin", size=1)[0].state == "wrong"


@pytest.mark.parametrize("length", [1, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_a_file_shorter_than_two_blocks_is_not_asked_for_twice(
    length: int, serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    server = serve({"a.bin": CONTENT[:length]})
    [found] = look(server.url("a.bin"), file="a.bin", size=length)
    assert (found.state, found.size_bytes) == ("ok", length)
    assert server.bytes_served <= length


def test_another_length_is_another_file_unless_the_catalog_knows_what_is_inside(
    serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    server = serve({"a.zip": CONTENT})
    [found] = look(server.url("a.zip"), size=5)
    assert found.state == "wrong"
    assert "196,612 bytes where the catalog says 5" in found.reason
    inside = [Member(path="a", sha256="0" * 64)]
    [found] = look(server.url("a.zip"), size=5, unpack="zip", contents=inside)
    assert found.state == "changed"


def test_a_page_is_asked_for_its_head_alone(
    health: Health, serve: Callable[..., FaultServer], make_dataset: Callable[..., Dataset]
) -> None:
    server = serve({"home": b"<html>", "form": b"<html>", "terms": b"<html>"})
    entry = make_dataset(
        Artifact(file="a.zip", provenance="made here"),
        homepage=server.url("home"),
        license=replace(_no_page(), url=server.url("terms")),
        access="by-hand",
        instructions=f"Ask at {server.url('form')}, or see ({server.url('gone')}).",
    )
    clock = Clock()
    told = audit(Catalog({"toy": entry}), ["toy"], network=Network(), health=health, now=clock.now, sleep=clock.sleep)
    found = [(each.places, each.kind, each.state) for each in told]
    assert found == [
        (("toy homepage",), "page", "ok"),
        (("toy licence",), "page", "ok"),
        (("toy instructions",), "page", "ok"),
        (("toy instructions",), "page", "dead"),
    ]
    assert {request.method for request in server.requests} == {"HEAD"}


def test_a_url_that_is_named_twice_is_looked_at_once(make_dataset: Callable[..., Dataset]) -> None:
    shared = "http://toys.example/a.zip"
    first = make_dataset(Artifact(file="a.zip", provenance="x", urls=[shared]), homepage=shared)
    second = replace(first, name="toy-two")
    [file, *_] = found = links([first, second])
    assert [link.url for link in found] == [shared, "http://toys.example/terms"]
    assert file.places == ("toy/a.zip", "toy homepage", "toy-two/a.zip", "toy-two homepage")
    assert file.artifact is not None


def test_copies_on_a_mirror_are_looked_at_too(make_dataset: Callable[..., Dataset]) -> None:
    entry = make_dataset(Artifact(file="a.zip", provenance="x", urls=["http://toys.example/a.zip"]))
    assert links([entry], ("http://mirror.example/base/",))[0].url == "http://mirror.example/base/toy/a.zip"


# Politeness


def test_a_host_is_asked_once_a_second_and_over_one_connection(
    health: Health, serve: Callable[..., FaultServer], make_dataset: Callable[..., Dataset]
) -> None:
    clock = Clock()
    moments: list[float] = []

    def note(_: Request) -> Fault:
        moments.append(clock.now())
        return faults.ok

    server = serve({f"{n}.zip": CONTENT for n in range(4)}, note)
    artifacts = [
        Artifact(file=f"{n}.zip", size=len(CONTENT), provenance="x", urls=[server.url(f"{n}.zip")]) for n in range(4)
    ]
    entry = make_dataset(*artifacts, homepage="none", license=_no_page())
    found = list(audit(Catalog({"toy": entry}), (), network=Network(), health=health, now=clock.now, sleep=clock.sleep))
    assert [each.state for each in found] == ["ok"] * 4
    assert moments == [float(number) for number in range(12)]
    assert (server.connections, server.most_connections) == (1, 1)


def test_hosts_that_lead_to_the_same_host_share_its_one_connection(
    health: Health, serve: Callable[..., FaultServer], make_dataset: Callable[..., Dataset]
) -> None:
    storage = serve({"b.zip": CONTENT}, faults.latency(0.02))
    doors = [serve({}, faults.redirect(storage.url("b.zip")), host=f"127.0.0.{number}") for number in range(2, 6)]
    artifacts = [
        Artifact(file=f"{n}.zip", size=len(CONTENT), provenance="x", urls=[door.url("a.zip")])
        for n, door in enumerate(doors)
    ]
    entry = make_dataset(*artifacts, homepage="none", license=_no_page())
    found = list(audit(Catalog({"toy": entry}), (), network=Network(), health=health, spacing_seconds=0.0))
    assert [each.state for each in found] == ["moved"] * 4
    assert (storage.connections, storage.most_connections) == (1, 1)


def test_a_host_that_says_when_to_come_back_is_asked_again_then(
    serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    clock = Clock()
    server = serve({"a.zip": CONTENT}, [faults.status(503, retry_after=30), faults.ok])
    [found] = look(server.url("a.zip"), clock=clock)
    assert found.state == "ok"
    assert clock.waits == [30.0, 1.0, 1.0]


def test_a_host_that_wants_to_be_left_alone_for_long_is_asked_nothing_more(
    serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    server = serve({}, faults.status(429, retry_after=500))
    found = look(server.url("a.zip"), server.url("b.zip"), server.url("c.zip"))
    assert [each.state for each in found] == ["busy"] * 3
    assert all("left alone for 8 min 20 s" in each.reason for each in found)
    assert len(server.requests) == 1


# Memory


def test_a_silent_change_at_either_end_is_seen_by_the_next_audit(
    serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    server = serve({"a.zip": CONTENT})
    assert look(server.url("a.zip"))[0].state == "ok"
    assert look(server.url("a.zip"), days=1)[0].state == "ok"
    server.replace("a.zip", CONTENT[:-1] + b"!")
    [found] = look(server.url("a.zip"), days=2)
    assert (found.state, found.reason) == ("changed", "as long as on 2026-03-02, other bytes at its ends")
    assert look(server.url("a.zip"), days=3)[0].state == "ok"


def test_a_silent_change_in_the_middle_is_seen_by_what_the_server_says(
    serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    server = serve({"a.zip": CONTENT})
    look(server.url("a.zip"))
    middle = len(CONTENT) // 2
    server.replace("a.zip", CONTENT[:middle] + bytes([CONTENT[middle] ^ 255]) + CONTENT[middle + 1 :])
    [found] = look(server.url("a.zip"), days=1)
    assert (found.state, found.reason) == ("changed", "as long as on 2026-03-01, another ETag and Last-Modified")


def test_an_etag_that_is_another_one_each_time_is_no_change(
    serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    server = serve({"a.zip": CONTENT}, faults.changing_etag)
    assert [look(server.url("a.zip"), days=day)[0].state for day in range(3)] == ["ok"] * 3


def test_a_url_that_failed_on_three_days_in_a_row_is_quarantined_until_it_comes_back(
    serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    server = serve({"a.zip": CONTENT}, faults.status(404))
    found = [look(server.url("a.zip"), days=day)[0] for day in (0, 0, 0, 1, 2)]
    assert [each.failed_days for each in found] == [1, 1, 1, 2, 3]
    assert [each.quarantined for each in found] == [False] * 4 + [True]
    server.schedule("a.zip", faults.status(503))
    [busy] = look(server.url("a.zip"), days=3)
    assert (busy.came_back, busy.failed_days) == (False, 3)
    server.schedule("a.zip", faults.ok)
    [back] = look(server.url("a.zip"), days=4)
    assert (back.state, back.came_back, back.failed_days, back.quarantined) == ("ok", True, 0, False)
    assert not look(server.url("a.zip"), days=5)[0].came_back


def test_what_was_found_is_kept_without_a_secret(
    health: Health, serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    server = serve({"a.zip": CONTENT})
    url = server.url("a.zip").replace("//", "//me:hidden@") + "?key=hidden"
    [found] = look(url)
    kept = links_path(health).read_text(encoding="utf-8")
    assert found.state == "ok"
    assert key(url) in json.loads(kept)["links"]
    assert "hidden" not in kept + repr(found)
    assert "sesame" not in kept + repr(found)


def test_an_audit_that_is_broken_off_keeps_what_it_found(
    health: Health, serve: Callable[..., FaultServer], make_dataset: Callable[..., Dataset]
) -> None:
    server = serve({"a.zip": CONTENT, "b.zip": CONTENT})
    urls = [server.url("a.zip"), server.url("b.zip")]
    entry = make_dataset(Artifact(file="a.zip", provenance="x", urls=urls), homepage="none", license=_no_page())
    running = audit(Catalog({"toy": entry}), (), network=Network(), health=health, spacing_seconds=0.0)
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert list(history.load(links_path(health))) == [urls[0]]


def test_a_source_of_wrong_bytes_is_noted_where_the_next_fetch_looks(
    health: Health, serve: Callable[..., FaultServer], look: Callable[..., list[Audited]]
) -> None:
    server = serve({"b.zip": CONTENT}, {"a.zip": faults.login_page})
    look(server.url("a.zip"), server.url("b.zip"))
    assert health.order([server.url("a.zip"), server.url("b.zip")]) == (server.url("b.zip"), server.url("a.zip"))


RESULT = Result(when=DAY.isoformat(), state="ok", size_bytes=3, blocks="3:abc", etag='"x"')


@pytest.mark.parametrize("text", ["", "{", "[]", '{"links": 3}', '{"links": {"a": [3]}}', '{"links": {"a": 3}}'])
def test_a_history_that_cannot_be_read_counts_as_empty(text: str, tmp_path: Path) -> None:
    path = tmp_path / ".links.json"
    path.write_text(text, encoding="utf-8")
    assert not any(history.load(path).values())
    history.keep(path, {"a": RESULT})
    assert history.load(path) == {"a": (RESULT,)}


def test_a_history_that_cannot_be_written_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    history.keep(tmp_path / "file" / ".links.json", {"a": RESULT})
    assert history.load(tmp_path / "file" / ".links.json") == {}


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=8)
        | st.sampled_from(["ok", "2026-01-01", "links"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["links", "a", "when", "state", "size_bytes", "reason"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_whatever_is_more_than_no_history(data: Any) -> None:
    for name, results in history.parse(json.dumps(data).encode()).items():
        assert isinstance(name, str)
        assert all(isinstance(result, Result) for result in results)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["ok", "dead", "wrong", "busy", "unsure"])), max_size=30))
def test_failed_days_are_the_days_since_it_last_worked(found: list[tuple[int, Any]]) -> None:
    results: tuple[Result, ...] = ()
    for day, state in sorted(found, key=lambda each: each[0]):
        results = after(results, Result(when=(DAY + timedelta(days=day)).isoformat(), state=state))
    last = {result.when: result.state for result in results if result.state != "busy"}
    count = failed_days(results)
    ended = list(last.values())
    assert set(ended[len(ended) - count :]) <= {"dead", "wrong"}
    assert count == len(ended) or ended[len(ended) - count - 1] in ("ok", "unsure")
    assert QUARANTINE_DAYS == 3


def test_what_was_busy_in_between_has_not_come_back() -> None:
    dead, busy = replace(RESULT, state="dead"), replace(RESULT, state="busy")
    assert came_back((dead, busy), RESULT)
    assert not came_back((dead,), busy)
    assert not came_back((), RESULT)


# The patch

CATALOG = """\
# What there is.
toy:
  title: Toy set
  artifacts:
    - file: a.zip
      urls:
        - https://one.example/a.zip  # upstream
        # a copy
        - https://two.example/a.zip
      size: 3
    - file: b.zip
      urls: [https://one.example/b.zip, https://two.example/b.zip]
    - file: c.zip
      urls:
        - https://one.example/c.zip
    - {file: d.zip, urls: []}
    - file: e.zip"""


@pytest.fixture
def catalog_file(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(CATALOG, encoding="utf-8", newline="")
    return path


def _urls(path: Path) -> list[str]:
    found: list[str] = document.load(path).data["toy"]["artifacts"][0]["urls"]
    return found


def _apply(folder: Path, diff: str) -> None:
    if shutil.which("patch") is None:
        pytest.skip("there is no `patch` here")
    done = subprocess.run(["patch", "-p1", "-d", str(folder)], input=diff.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_dead_source_goes_last_and_then_goes(catalog_file: Path) -> None:
    dead = {"https://one.example/a.zip"}
    [moved] = suggest([catalog_file], dead)
    _apply(catalog_file.parent, moved.diff)
    assert _urls(catalog_file) == ["https://two.example/a.zip", "https://one.example/a.zip"]
    assert catalog_file.read_text(encoding="utf-8").count("# upstream") == 1
    [dropped] = suggest([catalog_file], dead)
    _apply(catalog_file.parent, dropped.diff)
    assert _urls(catalog_file) == ["https://two.example/a.zip"]
    assert list(suggest([catalog_file], dead)) == []


def test_a_patch_moves_the_lines_of_the_sources_alone(catalog_file: Path) -> None:
    [found] = suggest([catalog_file], {"https://one.example/a.zip"})
    _apply(catalog_file.parent, found.diff)
    before, after = CATALOG.split("\n"), catalog_file.read_text(encoding="utf-8").split("\n")
    moved = [number for number, (old, new) in enumerate(zip(before, after, strict=True), 1) if old != new]
    assert moved == [7, 9]
    assert found.by_hand == ()


def test_a_patch_that_would_say_something_else_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    folded = CATALOG.replace("https://two.example/a.zip", ">-\n          https://two.example/a.zip")
    path.write_text(folded, encoding="utf-8")
    [found] = suggest([path], {"https://one.example/a.zip"})
    assert found.diff == ""
    assert "one URL a line" in found.by_hand[0]


def test_what_no_line_can_mend_is_left_to_a_person(catalog_file: Path) -> None:
    [found] = suggest([catalog_file], {"https://one.example/b.zip", "https://one.example/c.zip"})
    assert found.diff == ""
    assert found.by_hand == (
        f"{catalog_file}:12: toy.artifacts[1].urls: the list is not written one URL a line",
        f"{catalog_file}:14: toy.artifacts[2].urls: there is no other source",
    )


def test_an_entry_that_a_later_file_replaces_is_not_patched(catalog_file: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(CATALOG.replace("Toy set", "My toys"), encoding="utf-8")
    assert [patch.path for patch in suggest([catalog_file, own], {"https://one.example/a.zip"})] == [own]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1), st.sets(st.sampled_from("abcdef")))
def test_living_sources_keep_their_order_and_come_first(urls: list[str], dead: set[str]) -> None:
    wanted = reordered(urls, dead)
    living = [url for url in urls if url not in dead]
    if not living:
        assert wanted is None
        return
    assert wanted is not None
    assert wanted[: len(living)] == living
    assert wanted == living or sorted(wanted) == sorted(urls)


def test_the_shipped_catalog_can_be_patched_at_every_list(tmp_path: Path) -> None:
    from dlcat import locations

    path = tmp_path / "catalog.yaml"
    shutil.copyfile(locations.shipped("catalog.yaml"), path)
    lists = [
        artifact["urls"]
        for entry in document.load(path).data.values()
        for artifact in entry["artifacts"]
        if len(artifact.get("urls", ())) > 1
    ]
    first = next(urls for urls in lists if len(set(urls)) > 1)
    [found] = suggest([path], {key(first[0])})
    assert found.diff
    assert found.by_hand == ()
    assert lists
