"""Sounds are decoded once, go on where a preparation broke off, and what cannot be decoded is named."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dlcat.errors import VerificationError
from dlcat.readers import SoundExamples, hearing
from dlcat.readers.hearing import hear, heard

RATE = 8000


@pytest.fixture
def sounds(tmp_path: Path) -> Callable[[], SoundExamples]:
    """sounds(): ten files of growing length, the n-th holding n."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(10):
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes(np.full(100 + number, number, np.int16).tobytes())
    home = tmp_path / "prepared" / "train-0"
    home.mkdir(parents=True)
    paths = np.array([f"{number}.wav".encode() for number in range(10)])
    return lambda: SoundExamples(folder, paths, np.arange(10), tuple("abcdefghij"), np.arange(10), (), home)


def test_every_sound_is_what_its_file_holds(
    sounds: Callable[[], SoundExamples], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "FILES", 3)
    found = heard(sounds(), RATE)
    assert [row.tolist() for row in found.waveforms] == [[number] * (100 + number) for number in range(10)]
    assert found.targets.tolist() == list(range(10))
    assert found.rate_hertz == RATE
    assert [each.done for each in hear(sounds(), RATE)][-1] == 10


def test_a_preparation_that_broke_off_goes_on_and_looks_at_nothing_twice(
    sounds: Callable[[], SoundExamples], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "FILES", 3)
    examples = sounds()
    events = hear(examples, RATE)
    assert (next(events).done, next(events).done) == (3, 6)
    events.close()
    for number in range(6):
        (examples.folder / f"{number}.wav").unlink()
    found = heard(examples, RATE)
    assert [int(row[0]) for row in found.waveforms] == list(range(10))


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_part_is_decoded_anew(
    sounds: Callable[[], SoundExamples], monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(hearing, "FILES", 4)
    heard(sounds(), RATE)
    (part,) = (sounds().home.parent).glob("train-0-*/000001.bin")
    if damage == "cut":
        part.write_bytes(part.read_bytes()[:-1])
    else:
        part.unlink()
    assert [int(row[0]) for row in heard(sounds(), RATE).waveforms] == list(range(10))


def test_what_cannot_be_decoded_stops_or_is_left_out_with_its_target(sounds: Callable[[], SoundExamples]) -> None:
    examples = sounds()
    (examples.folder / "4.wav").write_bytes(b"RIFF no wave")
    with pytest.raises(VerificationError, match=r"4\.wav") as caught:
        heard(examples, RATE)
    assert "--skip-bad" in caught.value.hint
    found = heard(examples, RATE, skip_bad=True)
    assert found.targets.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert len(found.waveforms) == 9
    assert len(found.left_out) == 1
    assert "4.wav" in found.left_out[0]
