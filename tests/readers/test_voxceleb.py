"""VoxCeleb: two ways to split it, two tables of speakers, and lists of trials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.voxceleb import voxceleb, voxceleb_trials
from dlcat.readers.waveforms import waveform
from tests.damage import damaged, require_read_or_refused
from tests.upstream import voxceleb as upstream

SPLITS = ("train", "validation", "test", "vox1-dev", "vox1-test", "vox2-dev", "vox2-test")


@pytest.fixture
def folder(tiny: Callable[[str], Path]) -> Path:
    return tiny("voxceleb")


def bad(found: list[Example | Bad]) -> list[Bad]:
    return [each for each in found if isinstance(each, Bad)]


def append(path: Path, line: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")


def test_identification_shares_speakers_and_no_videos_and_verification_shares_no_speakers(folder: Path) -> None:
    groups = {split: {each.group for each in voxceleb(folder, split) if isinstance(each, Example)} for split in SPLITS}
    speakers = {split: {group.partition("/")[0] for group in found} for split, found in groups.items()}
    assert speakers["train"] == speakers["test"] == set(upstream.SPEAKERS)
    assert not groups["train"] & groups["test"]
    assert speakers["vox1-dev"] == {"id10001", "id10002"}
    assert speakers["vox1-test"] == {"id10270", "id10271"}
    assert not speakers["vox2-dev"] & speakers["vox2-test"]


def test_the_gender_is_that_of_the_table_and_its_group_the_speaker(folder: Path) -> None:
    told = {
        (each.target, each.group) for each in voxceleb(folder, "vox2-dev", target="gender") if isinstance(each, Example)
    }
    assert told == {("m", "id00012"), ("f", "id00015")}


def test_sound_that_nobody_turned_into_wav_is_named_and_refused_with_what_to_do(folder: Path) -> None:
    wav = next((folder / "aac" / "id00012").rglob("*.wav"))
    wav.unlink()
    sounds = [each.input for each in voxceleb(folder, "vox2-dev") if isinstance(each, Example)]
    (left,) = [sound for sound in sounds if sound.endswith(".m4a")]
    assert (folder / left).with_suffix(".wav") == wav
    with pytest.raises(VerificationError, match="cannot be decoded here"):
        waveform(folder / left, 16_000)


def test_files_where_folders_should_be_are_passed_over(folder: Path) -> None:
    before = list(voxceleb(folder, "vox2-dev"))
    (folder / "aac" / "id00012" / ".DS_Store").write_bytes(b"")
    (folder / "wav" / "id10001.zip").write_bytes(b"")
    assert list(voxceleb(folder, "vox2-dev")) == before
    assert not bad(list(voxceleb(folder, "train")))


def test_trials_are_pairs_of_sounds_and_whether_one_speaker_says_both(folder: Path) -> None:
    found = list(voxceleb_trials(folder, "vox1-test"))
    assert {each.target for each in found if isinstance(each, Example)} == {0, 1}
    for each in found:
        assert isinstance(each, Example)
        speakers = [each.input[name].split("/")[1] for name in ("sound", "other")]
        assert (speakers[0] == speakers[1]) == (each.target == 1)
        assert all((folder / each.input[name]).is_file() for name in ("sound", "other"))


@pytest.mark.parametrize(
    "line", ["2 id10270/a/00001.wav id10270/b/00001.wav", "1 id10270/a/00001.wav", "1 a b", "1 ../a b"]
)
def test_a_line_that_is_no_trial_is_told(folder: Path, line: str) -> None:
    count = len(list(voxceleb_trials(folder, "vox1-test")))
    append(folder / "veri_test.txt", line)
    expected = "0 or 1 and two paths like id10270/x6uYqmx31kE/00001.wav"
    assert bad(list(voxceleb_trials(folder, "vox1-test"))) == [Bad(f"veri_test.txt:{count + 1}", expected, line)]


@pytest.mark.parametrize(
    ("line", "expected", "found"),
    [
        ("4 id10001/a/00001.wav", "1, 2 or 3 and a path like id10001/1zcIwhmdeo4/00001.wav", "4 id10001/a/00001.wav"),
        ("1 ../../passwd", "1, 2 or 3 and a path like id10001/1zcIwhmdeo4/00001.wav", "1 ../../passwd"),
        ("1 id10001/a/00001.wav", "the sound wav/id10001/a/00001.wav", "none"),
    ],
)
def test_a_line_that_is_no_utterance_is_told(folder: Path, line: str, expected: str, found: str) -> None:
    append(folder / "iden_split.txt", line)
    assert bad(list(voxceleb(folder, "train"))) == [Bad("iden_split.txt:29", expected, found)]


def test_what_was_not_unpacked_is_told_once_with_what_to_do(folder: Path) -> None:
    (folder / "wav").rename(folder / "elsewhere")
    with pytest.raises(VerificationError, match="expected a folder for each of 4 speakers, found none") as caught:
        list(voxceleb(folder, "train"))
    assert "cat vox1_dev_wav_parta*" in caught.value.hint
    with pytest.raises(InvalidError, match="no split named 'dev'"):
        list(voxceleb(folder, "dev"))


@pytest.mark.parametrize(
    "row", ["id10001\tAgain\tm\tUK\tdev", "id10300\tNobody\tx\tUK\tdev", "id1\tNobody\tm\tUK\tdev"]
)
def test_a_table_of_another_form_is_refused(folder: Path, row: str) -> None:
    append(folder / "vox1_meta.csv", row)
    with pytest.raises(
        VerificationError, match=r"vox1_meta\.csv: expected an id like id10001, .* found id.* \(vox1_meta\.csv:6\)"
    ):
        list(voxceleb(folder, "train"))


@settings(max_examples=50)
@given(data=st.data(), file=st.sampled_from(["iden_split.txt", "vox1_meta.csv", "vox2_meta.csv", "veri_test.txt"]))
def test_damaged_texts_are_read_or_refused(data: st.DataObject, file: str, master: Callable[[str], Path]) -> None:
    folder = master("voxceleb")
    whole = (folder / file).read_bytes()
    try:
        (folder / file).write_bytes(data.draw(damaged(whole)))
        require_read_or_refused(voxceleb(folder, "train"))
        require_read_or_refused(voxceleb(folder, "vox2-dev"))
        require_read_or_refused(voxceleb_trials(folder, "vox1-test"))
    finally:
        (folder / file).write_bytes(whole)
