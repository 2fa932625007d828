"""Threads spin only where nobody else wants the cores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlcat import waiting

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what each core does")


@pytest.fixture(autouse=True)
def undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in waiting.VARIABLES:
        monkeypatch.setenv(variable, "")  # so that what choose() sets is taken back afterwards
        monkeypatch.delenv(variable)


@pytest.fixture
def busy_cores() -> Iterator[None]:
    """Every core this process may use has something to do."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
        for _ in os.sched_getaffinity(0)
    ]
    for loop in loops:
        assert loop.stdout is not None
        loop.stdout.readline()
    yield
    for loop in loops:
        loop.kill()
        loop.communicate()


@pytest.mark.usefixtures("busy_cores")
def test_on_busy_cores_threads_sleep() -> None:
    waiting.choose()
    assert waiting.chosen() == "OMP_WAIT_POLICY=PASSIVE"


@pytest.mark.usefixtures("busy_cores")
@pytest.mark.parametrize("variable", waiting.VARIABLES)
def test_what_the_environment_says_is_left_alone(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "3000")
    waiting.choose()
    assert waiting.chosen() == f"{variable}=3000"


def test_on_idle_cores_threads_spin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cores = sorted(os.sched_getaffinity(0))
    # The second look sees one tick of work per core more, and nine of nothing.
    looks = [
        "".join(f"cpu{core} {1000 + look} 0 0 {5000 + 9 * look} 0 0 0 0 0 0\n" for core in cores) for look in range(2)
    ]
    statistics = tmp_path / "stat"
    monkeypatch.setattr(waiting, "_STATISTICS", statistics)
    monkeypatch.setattr(waiting.time, "sleep", lambda _: statistics.write_text(looks[1]))
    statistics.write_text(looks[0])
    waiting.choose()
    assert waiting.chosen() == "spinning"


def test_where_the_system_does_not_tell_threads_sleep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_STATISTICS", tmp_path / "none")
    waiting.choose()
    assert waiting.chosen() == "OMP_WAIT_POLICY=PASSIVE"
