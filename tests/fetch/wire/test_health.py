"""The ledger of sources: it remembers across processes, keeps no secret, and never stops a fetch."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlcat.fetch.wire.health import Failure, Health, History, Ledger, Success, parse

FIRST, SECOND, THIRD = (f"https://{name}.example.org/file.zip" for name in ("one", "two", "three"))
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    """A moment that stays until it is moved."""

    def __init__(self) -> None:
        self.moment = NOW

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(tmp_path: Path, clock: Clock) -> Health:
    return Health(tmp_path / "artifacts" / ".health.json", clock)


def test_what_nobody_wrote_is_empty_and_asking_writes_nothing(health: Health, tmp_path: Path):
    assert health.ledger() == Ledger()
    assert health.speed_bytes_per_second(FIRST) is None
    assert health.order([FIRST, SECOND]) == (FIRST, SECOND)
    assert list(tmp_path.iterdir()) == []


def test_the_last_of_each_kind_is_kept_with_the_count_of_all(health: Health, clock: Clock):
    for reason in ("HTTP 503", "Connection refused"):
        health.failed(FIRST, reason, "network")
    health.failed(FIRST, "a login page", "wrong bytes")
    for _ in range(3):
        clock.moment += timedelta(seconds=1)
        health.ok(FIRST, 10**6, 2.0)
    when = "2026-03-01T12:00:00.000+00:00"
    assert health.ledger().urls[FIRST] == History(
        Success("2026-03-01T12:00:03.000+00:00", 10**6, 2.0, count=3, bytes_per_second=500_000),
        Failure(when, "Connection refused", count=2),
        Failure(when, "a login page"),
    )
    assert health.ledger().hosts == {"one.example.org": health.ledger().urls[FIRST]}


def test_every_reader_sees_what_every_writer_wrote(health: Health):
    other = Health(health.path)
    health.ok(FIRST, 10, 1)
    other.failed(SECOND, "HTTP 404", "network")
    health.ok(THIRD, 10, 1)
    assert set(health.ledger().urls) == set(other.ledger().urls) == {FIRST, SECOND, THIRD}


def test_threads_of_one_process_lose_nothing(health: Health):
    threads = [Thread(target=lambda: [health.ok(FIRST, 10, 1) for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    success = health.ledger().urls[FIRST].success
    assert success is not None
    assert success.count == 20
    assert [path.name for path in health.path.parent.iterdir()] == [health.path.name]


def test_wrong_bytes_make_a_source_the_last_to_be_asked(health: Health):
    health.failed(FIRST, "a login page", "wrong bytes")
    health.failed(SECOND, "HTTP 503", "network")
    assert health.order([FIRST, SECOND, THIRD]) == (SECOND, THIRD, FIRST)
    health.failed(SECOND, "an empty file", "wrong bytes")
    assert health.order([FIRST, SECOND, THIRD]) == (THIRD, FIRST, SECOND)
    assert health.order([]) == ()


@pytest.mark.parametrize(("passed", "is_last"), [(timedelta(days=6.9), True), (timedelta(days=7), False)])
def test_after_a_week_wrong_bytes_are_forgiven(health: Health, clock: Clock, passed: timedelta, is_last: bool):
    health.failed(FIRST, "a login page", "wrong bytes")
    clock.moment += passed
    assert health.order([FIRST, SECOND]) == ((SECOND, FIRST) if is_last else (FIRST, SECOND))


def test_right_bytes_make_good_for_wrong_ones_and_only_later_ones_do(health: Health, clock: Clock):
    health.ok(FIRST, 10, 1)
    clock.moment += timedelta(minutes=1)
    health.failed(FIRST, "a captive portal's page", "wrong bytes")
    assert health.order([FIRST, SECOND]) == (SECOND, FIRST)
    clock.moment += timedelta(minutes=1)
    health.ok(FIRST, 10, 1)
    assert health.order([FIRST, SECOND]) == (FIRST, SECOND)


def test_trouble_on_the_network_does_not_hide_wrong_bytes(health: Health, clock: Clock):
    health.failed(FIRST, "a login page", "wrong bytes")
    clock.moment += timedelta(days=1)
    health.failed(FIRST, "HTTP 503", "network")
    assert health.order([FIRST, SECOND]) == (SECOND, FIRST)


def test_a_clock_that_was_wrong_does_not_banish_a_source_for_ever(health: Health, clock: Clock):
    clock.moment = NOW.replace(year=2099)
    health.failed(FIRST, "a login page", "wrong bytes")
    clock.moment = NOW
    assert health.order([FIRST, SECOND]) == (FIRST, SECOND)


def test_only_the_url_that_gave_wrong_bytes_is_asked_last(health: Health):
    beside = FIRST.replace("file", "other")
    health.failed(FIRST, "a login page", "wrong bytes")
    assert health.order([FIRST, beside]) == (beside, FIRST)


def test_the_speed_of_a_url_goes_before_that_of_its_host(health: Health):
    beside = FIRST.replace("file", "other")
    health.ok(FIRST, 10**6, 1.0)
    assert health.speed_bytes_per_second(beside) == 10**6
    health.ok(beside, 10**6, 10.0)
    assert health.speed_bytes_per_second(beside) == 10**5
    assert health.speed_bytes_per_second(FIRST) == 10**6
    assert health.speed_bytes_per_second(SECOND) is None


def test_the_mean_speed_follows_long_transfers_and_ignores_short_ones(health: Health):
    health.ok(FIRST, 10**8, 10.0)  # 10 MB/s
    health.ok(FIRST, 5000, 0.5)  # 10 kB/s: the round trip of a small file
    assert health.speed_bytes_per_second(FIRST) == pytest.approx(1e7, rel=0.01)
    for _ in range(20):
        health.ok(FIRST, 10**8, 100.0)
    assert health.speed_bytes_per_second(FIRST) == pytest.approx(1e6, rel=0.05)


@pytest.mark.parametrize(("size_bytes", "seconds"), [(0, 1.0), (5000, 0.5), (10**6, 0.0)])
def test_what_took_no_time_or_brought_next_to_nothing_says_nothing_of_speed(
    health: Health, size_bytes: int, seconds: float
):
    health.ok(FIRST, size_bytes, seconds)
    assert health.speed_bytes_per_second(FIRST) is None
    assert health.ledger().urls[FIRST].success is not None


def test_no_secret_is_written(health: Health):
    secret = "https://me:pass%40word@one.example.org/file.zip?key=sesame#part"
    health.ok(secret, 10**6, 1)
    health.failed(secret, f"no route to {secret}", "network")
    text = health.path.read_text()
    for word in ("me:", "pass", "word", "sesame", "key", "part"):
        assert word not in text
    assert health.speed_bytes_per_second(secret) == 10**6
    assert health.ledger().urls[FIRST].network == Failure(
        NOW.isoformat(timespec="milliseconds"), f"no route to {FIRST}"
    )


def test_a_long_reason_is_cut(health: Health):
    health.failed(FIRST, "x" * 10_000, "network")
    failure = health.ledger().urls[FIRST].network
    assert failure is not None
    assert len(failure.reason) == 300


@pytest.mark.parametrize("source", ["package:sklearn/datasets/data/digits.csv.gz", "/home/me/file.zip"])
def test_what_has_no_host_has_no_entry(health: Health, source: str):
    health.ok(source, 10, 1)
    health.failed(source, "no such file", "network")
    assert not health.path.exists()


BROKEN = {
    "empty": b"",
    "cut short": b'{"hosts": {"one.exa',
    "not text": b"\xff\xfe\x00",
    "nested": b"[" * 100_000,
    "a list": b"[]",
    "other keys": b'{"format": 9}',
    "of other kinds": b'{"hosts": [], "urls": 3}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_ledger_counts_as_empty_and_is_written_anew(health: Health, content: bytes):
    health.path.parent.mkdir()
    health.path.write_bytes(content)
    assert health.order([FIRST]) == (FIRST,)
    health.ok(FIRST, 10, 1)
    assert set(health.ledger().urls) == {FIRST}


def test_an_entry_that_is_broken_does_not_take_the_others_with_it():
    good = {"when": "2026-03-01T12:00:00+00:00", "reason": "HTTP 503", "count": 2}
    urls = {
        "good": {"network": good, "success": None, "unknown": 1},
        "late": {"network": good | {"when": "yesterday"}},
        "list": [],
        "speedless": {"success": {"when": good["when"], "size_bytes": 1, "seconds": 1, "count": 1}},
        "fast": {
            "success": {"when": good["when"], "size_bytes": 1, "seconds": 1, "count": 1, "bytes_per_second": 1e300}
        },
    }
    ledger = parse(json.dumps({"hosts": {}, "urls": urls}).encode())
    empty = History()
    assert ledger.urls == {
        "good": History(network=Failure(good["when"], "HTTP 503", 2)),
        "late": empty,
        "list": empty,
        "speedless": empty,
        "fast": empty,
    }


numbers = st.none() | st.integers() | st.floats() | st.booleans()
moments = st.text() | st.datetimes().map(datetime.isoformat) | st.sampled_from(["0001-01-01T00:00+23:59", "9999-12-31"])
entries = st.fixed_dictionaries(
    {},
    optional={
        "success": st.fixed_dictionaries(
            {"when": moments, "size_bytes": numbers, "seconds": numbers, "count": numbers, "bytes_per_second": numbers}
        ),
        "network": st.fixed_dictionaries({"when": moments, "reason": st.text(), "count": numbers}),
        "wrong_bytes": st.fixed_dictionaries({"when": moments, "reason": st.text(), "count": numbers}),
    },
)
ledgers = st.fixed_dictionaries(
    {
        "hosts": st.dictionaries(st.sampled_from(["one.example.org"]), entries),
        "urls": st.dictionaries(st.sampled_from([FIRST, SECOND]), entries),
    }
)


@given(st.binary() | st.text().map(str.encode) | ledgers.map(lambda ledger: json.dumps(ledger).encode()))
@settings(max_examples=150, deadline=None)
@example(b'{"hosts": {"one.example.org": {"success": {"when": "2026-03-01", "size_bytes": ' + b"9" * 4000 + b"}}}}")
def test_whatever_lies_in_the_file_sources_are_ordered_and_noted(tmp_path_factory: pytest.TempPathFactory, content):
    health = Health(tmp_path_factory.mktemp("ledger") / "health.json", lambda: NOW)
    health.path.write_bytes(content)
    assert set(health.order([FIRST, SECOND])) == {FIRST, SECOND}
    speed = health.speed_bytes_per_second(FIRST)
    assert speed is None or speed > 0
    health.ok(FIRST, 10, 1)
    health.failed(SECOND, "HTTP 503", "network")
    assert health.ledger().urls[FIRST].success is not None
    assert health.ledger().urls[SECOND].network is not None


def test_a_ledger_in_the_place_of_a_folder_or_under_a_file_stops_nothing(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "folder", tmp_path / "file" / "health.json"):
        health = Health(path)
        health.ok(FIRST, 10, 1)
        health.failed(FIRST, "HTTP 503", "network")
        assert health.order([FIRST]) == (FIRST,)
        assert health.ledger() == Ledger()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="whoever this is may write everywhere")
def test_a_read_only_cache_stops_nothing(tmp_path: Path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    health = Health(tmp_path / "health.json")
    health.ok(FIRST, 10, 1)
    tmp_path.chmod(stat.S_IRWXU)
    assert health.ledger() == Ledger()


def test_repr_of_the_ledger_tells_its_place(health: Health):
    assert repr(health) == f"Health(path={health.path!r})"
