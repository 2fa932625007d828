"""ballroom: excerpts of dance music by dance, with a tempo each, and the beats that Krebs, Böck and Widmer added."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dlcat.readers.examples import Bad, Example, for_split, reader
from dlcat.readers.text_files import filled_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIST = "BallroomData/allBallroomFiles"
TEMPI = "BallroomAnnotations/ballroomGroundTruth"
BEATS = "BallroomAnnotations-1db08914a8ae15edb01f104046e30bad88effe67"
DANCES = ("ChaChaCha", "Jive", "Quickstep", "Rumba", "Samba", "Tango", "VienneseWaltz", "Waltz")
REPLICAS = {
    "Albums-Chrisanne2-12": "Albums-AnaBelen_Veneo-11",
    "Albums-Fire-09": "Albums-Fire-08",
    "Albums-Latin_Jam2-13": "Albums-Latin_Jam2-05",
    "Media-104705": "Albums-Secret_Garden-01",
    "Albums-AnaBelen_Veneo-15": "Albums-AnaBelen_Veneo-03",
    "Albums-Ballroom_Magic-18": "Albums-Ballroom_Magic-03",
    "Albums-Latin_Jam-13": "Albums-Latin_Jam-04",
    "Albums-Latin_Jam-14": "Albums-Latin_Jam-08",
    "Albums-Latin_Jam-15": "Albums-Latin_Jam-06",
    "Albums-Latin_Jam2-14": "Albums-Latin_Jam2-02",
    "Albums-Latin_Jam2-15": "Albums-Latin_Jam2-07",
    "Media-103414": "Albums-Latin_Jam3-02",
    "Media-103415": "Media-103402",
}
"""The second of each pair of recordings of the same music to its first (CPJKU/BallroomAnnotations, README)."""
SLOWEST, FASTEST = 20.0, 500.0
"""Beats per minute; what is outside is no tempo of a dance."""
_EXCERPT = re.compile(
    r"(?:\./)?(?P<folder>(?P<dance>[A-Za-z]{1,40})(?:-[A-Za-z]{1,40})?)/(?P<name>[\w-]{1,100})\.wav", re.A
)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One line of the list."""

    name: str
    path: str
    """Below the dataset's folder."""
    dance: str

    @property
    def music(self) -> str:
        """What it shares with its replica, if it has one."""
        pair = REPLICAS.get(self.name, self.name)
        return pair if pair in REPLICAS.values() else ""


@reader(gives="sounds")
def ballroom(
    folder: Path,
    split: str,
    *,
    target: Literal["dance", "tempo"] = "dance",
    replicas: Literal["keep", "drop"] = "keep",
) -> Iterator[Example | Bad]:
    """All excerpts, in the order of upstream's list, with their dance or their tempo in beats per minute.

    The three folders of rumbas are one dance, as is usual. There is no official split; two recordings of the same music are
    a group, so that none is trained on whose replica is tested.

    Args:
        folder: of the dataset.
        split: all.
        target: the dance, or the tempo as the contest of ISMIR 2004 gave it.
        replicas: `drop` leaves out the second recording of each of the 13 pairs.
    """
    for found in _excerpts(folder, split):
        if isinstance(found, Bad):
            yield found
        elif replicas == "keep" or found.name not in REPLICAS:
            label = found.dance if target == "dance" else _tempo(folder, found)
            yield label if isinstance(label, Bad) else Example(found.path, label, found.path, found.music)


@reader(gives="records")
def ballroom_beats(folder: Path, split: str) -> Iterator[Example | Bad]:
    """All excerpts with their beats: `sound`, a path, and `beats`, pairs of seconds and position in the bar (1: downbeat)."""
    for found in _excerpts(folder, split):
        if isinstance(found, Bad):
            yield found
        elif isinstance(beats := _beats(folder, found), Bad):
            yield beats
        else:
            yield Example({"sound": found.path, "beats": beats}, found.dance, found.path, found.music)


def _excerpts(folder: Path, split: str) -> Iterator[Excerpt | Bad]:
    """The lines of the list whose sounds are there."""
    for_split(split, {"all": None})
    for line in filled_lines(folder / LIST, folder):
        yield line if isinstance(line, Bad) else _excerpt(folder, *line)


def _excerpt(folder: Path, place: str, text: str) -> Excerpt | Bad:
    found = _EXCERPT.fullmatch(text)
    if found is None:
        return Bad(place, "a path like ./Waltz/Media-105901.wav", text[:80])
    if found["dance"] not in DANCES:
        return Bad(place, f"the folder of one of {', '.join(DANCES)}", found["folder"])
    path = f"BallroomData/{found['folder']}/{found['name']}.wav"
    if not (folder / path).is_file():
        return Bad(place, f"the sound {path}", "none")
    return Excerpt(found["name"], path, found["dance"])


def _tempo(folder: Path, excerpt: Excerpt) -> float | Bad:
    """In beats per minute."""
    place = f"{TEMPI}/{excerpt.name}.bpm"
    said = [line if isinstance(line, Bad) else line[1] for line in filled_lines(folder / place, folder)]
    match said:
        case [str(text)] if (tempo := _number(text)) is not None and SLOWEST <= tempo <= FASTEST:
            return tempo
        case [Bad() as bad, *_]:
            return bad
    found = str(said[0])[:80] if len(said) == 1 else f"{len(said)} lines"
    return Bad(place, f"one number from {SLOWEST:g} to {FASTEST:g}, beats per minute", found)


def _beats(folder: Path, excerpt: Excerpt) -> tuple[tuple[float, int], ...] | Bad:
    """Seconds, ascending, and position in the bar of every beat."""
    place = f"{BEATS}/{excerpt.name}.beats"
    beats: list[tuple[float, int]] = []
    for line in filled_lines(folder / place, folder):
        if isinstance(line, Bad):
            return line
        seconds, _, position = line[1].partition(" ")
        time = _number(seconds)
        if time is None or position not in ("1", "2", "3", "4") or (beats and time <= beats[-1][0]):
            return Bad(line[0], "later seconds and a position in the bar, 1 to 4", line[1][:80])
        beats.append((time, int(position)))
    return tuple(beats) or Bad(place, "beats", "none")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
