"""Energy is read from the processor's meters, whose files are laid out here as Linux does."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcat.train.energy import Meter, counters, metered

RANGE = 262_143_328_850


def _write(folder: Path, name: str, microjoules: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in (("name", name), ("energy_uj", microjoules), ("max_energy_range_uj", RANGE)):
        (folder / file).write_text(f"{content}\n")
    return folder / "energy_uj"


def test_packages_are_added_up_and_their_parts_are_not(tmp_path: Path) -> None:
    one = _write(tmp_path / "intel-rapl:0", "package-0", 5_000_000)
    two = _write(tmp_path / "intel-rapl:1", "package-1", 1_000_000)
    part = _write(tmp_path / "intel-rapl:0:0", "core", 100)
    _write(tmp_path / "intel-rapl:2", "psys", 100)
    with metered(tmp_path) as meter:
        one.write_text("7500000\n")
        two.write_text("1250000\n")
        part.write_text("99000000\n")
        assert meter.joules == 2.75
        one.write_text("8500000\n")
        assert meter.joules == 3.75


def test_a_counter_that_began_anew_has_gone_round_once(tmp_path: Path) -> None:
    counter = _write(tmp_path / "intel-rapl:0", "package-0", RANGE - 1_000_000)
    meter = Meter(counters(tmp_path))
    counter.write_text("2000000\n")
    assert meter.joules == pytest.approx(3)


def test_it_is_looked_at_while_nobody_asks(tmp_path: Path) -> None:
    counter = _write(tmp_path / "intel-rapl:0", "package-0", 0)
    with metered(tmp_path, every_seconds=0.001) as meter:
        counter.write_text(f"{RANGE - 1}\n")
        while meter._last != [RANGE - 1]:
            pass
        counter.write_text("999999\n")  # round, and seen from both sides
        assert meter.joules == pytest.approx((RANGE + 999_999) / 1e6)


@pytest.mark.parametrize("content", ["", "energy", None])
def test_where_a_counter_breaks_nothing_is_said(content: str | None, tmp_path: Path) -> None:
    counter = _write(tmp_path / "intel-rapl:0", "package-0", 0)
    meter = Meter(counters(tmp_path))
    if content is None:
        counter.unlink()
    else:
        counter.write_text(content)
    assert meter.joules is None
    counter.write_text("5\n")  # what passed unseen stays unknown
    assert meter.joules is None


def test_a_machine_without_meters_says_nothing(tmp_path: Path) -> None:
    with metered(tmp_path / "nothing") as meter:
        assert meter.joules is None
