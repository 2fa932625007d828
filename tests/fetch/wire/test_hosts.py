"""Politeness: bytes per second, connections per host, and being left alone; time is counted, never waited for."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from threading import Barrier, Event, Lock, Semaphore, Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat import units
from dlcat.errors import UsageError
from dlcat.fetch.wire.hosts import Bucket, CancelledError, Hosts, backoff_seconds, host, parse_rate, retry_after_seconds

URL = "https://data.example.org/file"
OTHER_URL = "https://other.example.org/file"
PATIENCE_SECONDS = 20
"""A test that has to wait so long has failed."""


class Clock:
    """Seconds that pass only by being slept."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


def started(*targets):
    threads = [Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    return threads


def ended(threads):
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    return not any(thread.is_alive() for thread in threads)


def test_without_a_limit_nobody_waits():
    clock = Clock()
    bucket = Bucket(None, now=clock.now, sleep=clock.sleep)
    for _ in range(100):
        bucket.take(10**9)
    assert clock.slept == []


@given(st.integers(1, 10**9), st.lists(st.integers(0, 10**7), max_size=30))
@settings(max_examples=100, deadline=None)
def test_bytes_pass_at_the_rate_and_not_faster(rate, counts):
    clock = Clock()
    bucket = Bucket(rate, now=clock.now, sleep=clock.sleep)
    for position, count in enumerate(counts):
        bucket.take(count)
        # Everything before is paid for, to the second.
        assert clock.seconds - 1000 == pytest.approx(sum(counts[:position]) / rate, rel=1e-6, abs=1e-6)


def test_time_that_nobody_used_is_not_made_up_for():
    clock = Clock()
    bucket = Bucket(100, now=clock.now, sleep=clock.sleep)
    bucket.take(100)
    clock.seconds += 3600
    bucket.take(100)
    assert clock.slept == []
    bucket.take(100)
    assert clock.slept == [1.0]


def test_many_threads_share_one_rate():
    promised: list[float] = []
    lock = Lock()

    def note(seconds: float) -> None:
        with lock:
            promised.append(seconds)

    bucket = Bucket(1000, now=lambda: 0.0, sleep=note)
    assert ended(started(*[lambda: [bucket.take(100) for _ in range(25)]] * 8))
    assert sorted(promised) == pytest.approx([turn / 10 for turn in range(1, 200)])  # each moment once, the first free


def test_who_waits_for_bytes_can_be_told_to_give_up():
    cancel = Event()
    outcome: list[str] = []
    bucket = Bucket(1, cancel=cancel)
    bucket.take(10**6)  # paid for in eleven days

    def take() -> None:
        try:
            bucket.take(1)
        except CancelledError:
            outcome.append("gave up")

    threads = started(take)
    cancel.set()
    assert ended(threads)
    assert outcome == ["gave up"]
    with pytest.raises(CancelledError):
        Bucket(None, cancel=cancel).take(1)


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_connections_to_a_host_than_its_limit_and_no_fewer(limit):
    hosts, full, lock = Hosts(limit), Barrier(limit, timeout=PATIENCE_SECONDS), Lock()
    active, most = 0, 0

    def connect() -> None:
        nonlocal active, most
        with hosts.slot(URL):
            with lock:
                active += 1
                most = max(most, active)
            full.wait()  # breaks unless as many are inside at once
            with lock:
                active -= 1

    assert ended(started(*[connect] * 4 * limit))
    assert (active, most, full.broken) == (0, limit, False)


def test_hosts_do_not_wait_for_each_other():
    hosts = Hosts(1)
    with hosts.slot(URL), hosts.slot(OTHER_URL), hosts.slot("https://data.example.org:8443/"):
        pass
    hosts.slow_down(URL, 1000)
    with hosts.slot(OTHER_URL):
        assert hosts.held_seconds(OTHER_URL) == 0


def test_whether_a_connection_can_be_had_is_known_without_waiting_for_it():
    clock = Clock()
    hosts = Hosts(1, now=clock.now, sleep=clock.sleep)
    assert hosts.is_free(URL)
    with hosts.slot(URL):
        assert not hosts.is_free(URL)
        assert hosts.is_free(OTHER_URL)
    hosts.slow_down(URL, 5)
    assert not hosts.is_free(URL)
    clock.sleep(5)
    assert hosts.is_free(URL)


def waiting_for(hosts, count):
    """Connections that are needed and not to be had: returns when so many wait, with what ends them."""
    entered = Semaphore(0)

    def connect() -> None:
        with hosts.slot(URL):
            entered.release()

    threads = started(*[connect] * count)
    until = time.monotonic() + PATIENCE_SECONDS
    while hosts._states["data.example.org"].waiting < count:
        assert time.monotonic() < until
    return threads, entered


def test_nobody_gets_a_spare_connection_while_someone_needs_one():
    hosts = Hosts(2)
    with hosts.spare_slot(URL) as first:
        assert first is not None
        with hosts.slot(URL), hosts.spare_slot(URL) as third:
            assert third is None
            threads, _ = waiting_for(hosts, 1)
            hosts._state("data.example.org").limit = 3  # as if one more were free, and who waits had not woken up yet
            assert not hosts.is_free(URL)
    assert ended(threads)
    assert hosts.is_free(URL)


def test_who_has_several_gives_back_one_for_each_that_waits_and_no_more():
    hosts = Hosts(3)
    with ExitStack() as stack:
        own = [stack.enter_context(ExitStack()) for _ in range(3)]
        slots = [each.enter_context(hosts.spare_slot(URL)) for each in own]
        assert [hosts.give_way(slot) for slot in slots] == [False] * 3
        threads, entered = waiting_for(hosts, 2)
        assert [hosts.give_way(slot) for slot in slots] == [True, True, False]
        assert [hosts.give_way(slot) for slot in slots] == [False] * 3
        own[0].close()
        assert entered.acquire(timeout=PATIENCE_SECONDS)
        assert not hosts.give_way(slots[2])
    assert ended(threads)


def test_nothing_is_given_back_while_the_host_wants_to_be_left_alone():
    cancel = Event()
    hosts = Hosts(1, cancel=cancel)

    def connect() -> None:
        with suppress(CancelledError), hosts.slot(URL):
            pass

    with hosts.slot(URL) as slot:
        hosts.slow_down(URL, 10**6)
        threads = started(connect)
        until = time.monotonic() + PATIENCE_SECONDS
        while not hosts._states["data.example.org"].waiting:
            assert time.monotonic() < until
        assert not hosts.give_way(slot)
        cancel.set()
        assert ended(threads)
    assert hosts._states["data.example.org"].waiting == 0


def test_a_failed_connection_gives_its_slot_back():
    hosts = Hosts(1)
    for _ in range(3):
        with pytest.raises(ConnectionError), hosts.slot(URL):
            raise ConnectionError


def test_a_host_that_asks_for_less_gets_half_and_at_last_one():
    hosts = Hosts(8)
    limits = []
    for _ in range(5):
        hosts.slow_down(URL)
        limits.append(hosts.limit(URL))
    assert limits == [4, 2, 1, 1, 1]
    assert hosts.limit(OTHER_URL) == 8
    assert hosts.held_seconds(URL) == 0


def test_open_connections_stay_when_the_limit_falls_and_new_ones_wait_for_them():
    entered, looks = Event(), Semaphore(0)

    def now() -> float:  # asked whenever somebody looks whether there is a slot
        looks.release()
        return 0.0

    hosts = Hosts(2, now=now)

    def connect() -> None:
        with hosts.slot(URL):
            entered.set()

    with hosts.slot(URL):
        with hosts.slot(URL):
            hosts.slow_down(URL)
        threads = started(connect)  # one of two has ended, and one is the limit now
        assert all(looks.acquire(timeout=PATIENCE_SECONDS) for _ in range(4))  # two by us, two by who waits
        assert not entered.is_set()
    assert ended(threads)
    assert entered.is_set()


def test_a_host_is_left_alone_until_the_moment_it_named():
    clock = Clock()
    hosts = Hosts(4, now=clock.now, sleep=clock.sleep)
    hosts.slow_down(URL, 30)
    hosts.slow_down(URL, 10)  # does not shorten it
    assert hosts.held_seconds(URL) == 30
    with hosts.slot(URL):
        assert clock.seconds == 1030
    with hosts.slot(URL):
        assert clock.slept == [30]


def test_a_host_that_names_a_later_moment_meanwhile_is_left_alone_for_longer():
    clock = Clock()

    def sleep(seconds: float) -> None:
        if not clock.slept:
            hosts.slow_down(URL, 45)
        clock.sleep(seconds)

    hosts = Hosts(4, now=clock.now, sleep=sleep)
    hosts.slow_down(URL, 30)
    with hosts.slot(URL):
        assert clock.slept == [30, 15]


@pytest.mark.parametrize("reason", ["full", "held"])
def test_who_waits_for_a_connection_can_be_told_to_give_up(reason):
    cancel = Event()
    hosts, outcome = Hosts(1, cancel=cancel), []

    def connect() -> None:
        try:
            with hosts.slot(URL):
                outcome.append("connected")
        except CancelledError:
            outcome.append("gave up")

    with hosts.slot(URL):
        if reason == "held":
            hosts.slow_down(URL, 10**6)
        threads = started(connect)
        cancel.set()
        assert ended(threads)
    assert outcome == ["gave up"]


def test_at_least_one_connection_must_be_allowed():
    with pytest.raises(ValueError, match="at least 1"):
        Hosts(0)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://Data.Example.org/file", "data.example.org"),
        ("https://user:secret@data.example.org:443/file", "data.example.org"),
        ("http://data.example.org:80", "data.example.org"),
        ("http://data.example.org:443", "data.example.org:443"),
        ("https://data.example.org:8443?x", "data.example.org:8443"),
        ("http://[2001:DB8::1]:8000/file", "[2001:db8::1]:8000"),
        (" http://127.0.0.1/ ", "127.0.0.1"),
        ("package:sklearn/datasets/data/digits.csv.gz", ""),
        ("/home/me/file.zip", ""),
        ("http://[broken/", ""),
        ("http://host:port/", ""),
        ("", ""),
    ],
)
def test_a_host_is_its_name_and_a_port_of_its_own(url, name):
    assert host(url) == name


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_any_text_has_a_host_or_none(text):
    assert isinstance(host(f"http://{text}"), str)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5MB/s", 5_000_000),
        ("500k", 500_000),
        ("500K", 500_000),
        ("5 MiB/s", 5 * 2**20),
        ("1.5M", 1_500_000),
        (".5 GB", 500_000_000),
        ("1.KiB", 1024),
        ("1", 1),
        (" 0.29 kB/s ", 290),
        ("2T", 2 * 10**12),
    ],
)
def test_a_rate_is_read_as_people_write_it(text, rate):
    assert parse_rate(text) == rate


@given(st.integers(1, 10**17))
@settings(max_examples=200, deadline=None)
def test_a_rate_is_read_as_dlcat_writes_sizes(rate):
    assert parse_rate(f"{units.size(rate)}/s") == pytest.approx(rate, rel=0.06)


@pytest.mark.parametrize(
    "text",
    ["", "fast", "5 Mb/s", "5Mbit/s", "-5k", "1e6", "5MB/min", "5 M B", "½M", "٣M", "5iB", "0x10", "5,5M", "inf"],
)
def test_what_is_no_rate_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match=r"is no rate: .* 5MB/s"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["0", "0MB/s", "0.9", "0.0009k"])
def test_a_rate_of_nothing_is_refused(text):
    with pytest.raises(UsageError, match="at least 1 byte per second"):
        parse_rate(text)


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_rate_or_refused(text):
    with suppress(UsageError):
        assert parse_rate(text) >= 1


NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("1.5", 1.5),
        ("601", 600),
        ("9" * 5000, 600),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30),
        ("Sun Mar  1 12:00:30 2026", 30),
        ("Sun, 01 Mar 2026 14:00:30 +0200", 30),
        ("Sun, 01 Mar 2026 12:00:00 GMT", 0),
        ("Tue, 01 Mar 2050 12:00:00 GMT", 600),
        ("Sun, 01 Mar 2026 11:59:59 GMT", None),
        ("Thu, 01 Jan 0001 00:00:00 +9999", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("٣", None),
    ],
)
def test_both_forms_of_retry_after_are_understood_and_nonsense_is_not(text, seconds):
    assert retry_after_seconds({"Retry-After": text}, NOW.timestamp()) == seconds


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone cannot be set here")
def test_a_date_without_a_zone_is_in_utc_wherever_the_client_is(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "XST-8")  # a rule, which needs no table of zones
        time.tzset()
        seconds = retry_after_seconds({"Retry-After": "Sun Mar  1 12:00:30 2026"}, NOW.timestamp())
    time.tzset()
    assert seconds == 30


def test_no_retry_after_asks_for_nothing():
    assert retry_after_seconds({}, NOW.timestamp()) is None


@given(st.text() | st.integers().map(str) | st.datetimes().map(lambda moment: format_datetime(moment)))
@settings(max_examples=300, deadline=None)
def test_whatever_a_server_sends_the_wait_is_bounded(text):
    seconds = retry_after_seconds({"Retry-After": text}, NOW.timestamp())
    assert seconds is None or 0 <= seconds <= 600


@given(st.integers(1, 599))
@settings(max_examples=50, deadline=None)
def test_a_date_says_as_much_as_its_seconds(seconds):
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after_seconds({"Retry-After": date}, NOW.timestamp()) == seconds


@pytest.mark.parametrize(
    ("attempt", "limit_seconds"), [(0, 1), (1, 2), (3, 8), (4, 16), (5, 30), (100, 30), (10**9, 30)]
)
def test_backing_off_is_spread_evenly_up_to_a_limit(attempt, limit_seconds):
    random = Random(0)
    waits = [backoff_seconds(attempt, random) for _ in range(2000)]
    assert min(waits) >= 0
    assert max(waits) <= limit_seconds
    assert max(waits) > 0.99 * limit_seconds
    assert sum(waits) / len(waits) == pytest.approx(limit_seconds / 2, rel=0.05)
