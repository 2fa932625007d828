"""Ballroom: excerpts in the order of upstream's list, their tempo and their beats; replicas are kept together, or left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat import locations
from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.ballroom import BEATS, DANCES, LIST, REPLICAS, TEMPI, ballroom, ballroom_beats
from dlcat.workspace import Workspace
from tests.damage import damaged, require_read_or_refused
from tests.upstream import ballroom as upstream

FIRST = upstream.PAIR[0]


@pytest.fixture
def folder(tiny: Callable[[str], Path]) -> Path:
    return tiny("ballroom")


def bad(found: list[Example | Bad]) -> list[Bad]:
    return [each for each in found if isinstance(each, Bad)]


def test_the_dances_are_the_catalogs() -> None:
    dataset = Workspace(locations.find()).catalog["ballroom"]
    assert list(DANCES) == dataset.classes == dataset.targets["dance"]


def test_there_are_thirteen_pairs_of_replicas_and_no_excerpt_is_in_two() -> None:
    assert len({*REPLICAS, *REPLICAS.values()}) == 26


def test_the_tempo_is_the_contests(folder: Path) -> None:
    for each in ballroom(folder, "all", target="tempo"):
        assert isinstance(each, Example)
        assert each.target == float((folder / TEMPI / f"{Path(each.input).stem}.bpm").read_text())


def test_of_two_replicas_one_can_be_left_out(folder: Path) -> None:
    kept, dropped = ({each.place for each in ballroom(folder, "all", replicas=how)} for how in ("keep", "drop"))
    assert {Path(place).stem for place in kept - dropped} == {upstream.PAIR[1]}
    assert len(dropped) == len(kept) - 1


def test_beats_have_seconds_and_a_position_in_the_bar(folder: Path) -> None:
    for each in ballroom_beats(folder, "all"):
        assert isinstance(each, Example)
        written = (folder / BEATS / f"{Path(each.place).stem}.beats").read_text().split()
        assert [str(position) for _, position in each.input["beats"]] == written[1::2]
        assert [seconds for seconds, _ in each.input["beats"]] == [float(text) for text in written[::2]]


@pytest.mark.parametrize(
    ("line", "expected", "found"),
    [
        ("./Waltz/Media-1.mp3", "a path like ./Waltz/Media-105901.wav", "./Waltz/Media-1.mp3"),
        ("./Waltz/../../x.wav", "a path like ./Waltz/Media-105901.wav", "./Waltz/../../x.wav"),
        ("./Polka/Media-1.wav", f"the folder of one of {', '.join(DANCES)}", "Polka"),
        ("./Waltz/Media-1.wav", "the sound BallroomData/Waltz/Media-1.wav", "none"),
    ],
)
def test_a_line_of_the_list_that_names_no_excerpt_is_told(folder: Path, line: str, expected: str, found: str) -> None:
    (folder / LIST).write_text((folder / LIST).read_text() + line)
    assert bad(list(ballroom(folder, "all"))) == [Bad(f"{LIST}:31", expected, found)]


@pytest.mark.parametrize(
    ("text", "found"),
    [("fast\n", "fast"), ("", "0 lines"), ("120\n121\n", "2 lines"), ("9000", "9000"), ("nan", "nan")],
)
def test_what_is_no_tempo_is_told(folder: Path, text: str, found: str) -> None:
    (folder / TEMPI / f"{FIRST}.bpm").write_text(text)
    expected = Bad(f"{TEMPI}/{FIRST}.bpm", "one number from 20 to 500, beats per minute", found)
    assert bad(list(ballroom(folder, "all", target="tempo"))) == [expected]
    assert not bad(list(ballroom(folder, "all")))


@pytest.mark.parametrize("line", ["2.5 5", "2.5", "0.1 2", "inf 1", "x 1"])
def test_a_beat_out_of_order_or_out_of_the_bar_is_told(folder: Path, line: str) -> None:
    (folder / BEATS / f"{FIRST}.beats").write_text(f"0.84 1\n{line}\n")
    expected = "later seconds and a position in the bar, 1 to 4"
    assert bad(list(ballroom_beats(folder, "all"))) == [Bad(f"{BEATS}/{FIRST}.beats:2", expected, line)]


def test_no_beats_at_all_are_told(folder: Path) -> None:
    (folder / BEATS / f"{FIRST}.beats").write_text("\n")
    assert bad(list(ballroom_beats(folder, "all"))) == [Bad(f"{BEATS}/{FIRST}.beats", "beats", "none")]


def test_what_was_not_fetched_and_another_split_are_refused(folder: Path) -> None:
    with pytest.raises(InvalidError, match="no split named 'train'"):
        list(ballroom(folder, "train"))
    (folder / LIST).unlink()
    with pytest.raises(VerificationError, match="allBallroomFiles: cannot be read"):
        list(ballroom(folder, "all"))


@settings(max_examples=50)
@given(data=st.data(), file=st.sampled_from([LIST, f"{TEMPI}/{FIRST}.bpm", f"{BEATS}/{FIRST}.beats"]))
def test_damaged_texts_are_read_or_refused(data: st.DataObject, file: str, master: Callable[[str], Path]) -> None:
    folder = master("ballroom")
    whole = (folder / file).read_bytes()
    try:
        (folder / file).write_bytes(data.draw(damaged(whole)))
        require_read_or_refused(ballroom(folder, "all", target="tempo"))
        require_read_or_refused(ballroom_beats(folder, "all"))
    finally:
        (folder / file).write_bytes(whole)
