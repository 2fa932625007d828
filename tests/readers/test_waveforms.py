"""Sound files become waveforms of one rate; what is wrong with a file is said of that file."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from dlcat.errors import DlcatError, VerificationError
from dlcat.readers.waveforms import Sound, about, waveform

Array = np.ndarray[tuple[int], np.dtype[np.int16]]
TONE_HERTZ = 440.0


def tone(rate_hertz: int, seconds: float = 0.5, *, amplitude: float = 0.5) -> np.ndarray:  # type: ignore[type-arg]
    """A sine as the formula has it, (T,) float64."""
    times = np.arange(round(seconds * rate_hertz)) / rate_hertz
    return amplitude * np.sin(2 * np.pi * TONE_HERTZ * times)


def noise(frames: int, channels: int = 1) -> np.ndarray:  # type: ignore[type-arg]
    """(T, C) int16."""
    return np.random.default_rng(0).integers(-32768, 32768, (frames, channels), dtype=np.int16)


def write_wave(path: Path, samples: np.ndarray, rate_hertz: int) -> Path:  # type: ignore[type-arg]
    """16 bits through the standard library, not through what reads them here."""
    with wave.open(str(path), "wb") as out:
        out.setparams((samples.shape[1], 2, rate_hertz, len(samples), "NONE", ""))
        out.writeframes(samples.astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_sixteen_bits_of_one_channel_at_the_rate_come_back_unchanged(tmp_path: Path, ending: str) -> None:
    samples = noise(5_000)
    soundfile.write(tmp_path / f"a.{ending}", samples, 8_000, subtype="PCM_16")
    read = waveform(tmp_path / f"a.{ending}", 8_000)
    assert read.dtype == np.int16
    assert np.array_equal(read, samples[:, 0])


def test_what_the_standard_library_writes_is_what_is_read(tmp_path: Path) -> None:
    samples = noise(999)
    assert np.array_equal(waveform(write_wave(tmp_path / "a.wav", samples, 22_050), 22_050), samples[:, 0])


def test_channels_are_averaged(tmp_path: Path) -> None:
    samples = noise(1_000, channels=3)
    path = write_wave(tmp_path / "a.wav", samples, 8_000)
    assert np.array_equal(waveform(path, 8_000), np.rint(samples.astype(np.float64).mean(axis=1)))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_width_is_brought_to_sixteen_bits(tmp_path: Path, subtype: str) -> None:
    wanted = tone(8_000)
    soundfile.write(tmp_path / "a.wav", wanted, 8_000, subtype=subtype)
    step = 256 if subtype == "PCM_U8" else 1
    assert np.abs(waveform(tmp_path / "a.wav", 8_000) - wanted * 32_768).max() <= step


@pytest.mark.parametrize("stored_hertz", [8_000, 11_025, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("wanted_hertz", [8_000, 16_000, 22_050])
def test_a_resampled_sine_is_the_sine_of_the_other_rate(tmp_path: Path, stored_hertz: int, wanted_hertz: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(stored_hertz), stored_hertz, subtype="FLOAT")
    read, wanted = waveform(tmp_path / "a.wav", wanted_hertz) / 32_768, tone(wanted_hertz)
    assert abs(len(read) - len(wanted)) <= 1
    inside = slice(len(wanted) // 10, len(wanted) * 9 // 10)  # at the ends the filter sees silence
    assert np.abs(read[inside] - wanted[inside]).max() < 2e-3  # -48 dB of the sine


def test_what_the_lower_rate_cannot_hold_is_filtered_out(tmp_path: Path) -> None:
    times = np.arange(48_000) / 48_000
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 12_000 * times), 48_000)
    inside = waveform(tmp_path / "a.wav", 16_000)[1_000:-1_000]
    assert np.abs(inside / 32_768).max() < 1e-3


def test_resampling_is_scipys_to_the_bit(tmp_path: Path) -> None:
    samples = noise(3_000)
    wanted = resample_poly(samples[:, 0].astype(np.float32) / 32_768, 320, 441) * 32_768
    read = waveform(write_wave(tmp_path / "a.wav", samples, 22_050), 16_000)
    assert np.array_equal(read, np.clip(np.rint(wanted), -32_768, 32_767))


@pytest.mark.parametrize("ending", ["mp3", "ogg"])
def test_lossy_formats_hold_the_tone(tmp_path: Path, ending: str) -> None:
    soundfile.write(tmp_path / f"a.{ending}", tone(16_000, 1.0), 16_000)
    read = waveform(tmp_path / f"a.{ending}", 8_000)
    assert abs(len(read) - 8_000) <= 1_152
    spectrum = np.abs(np.fft.rfft(read))
    assert abs(spectrum.argmax() * 8_000 / len(read) - TONE_HERTZ) < 2


def test_what_is_louder_than_full_scale_is_clipped(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([2.0, -2.0, 0.0]), 8_000, subtype="FLOAT")
    assert waveform(tmp_path / "a.wav", 8_000).tolist() == [32_767, -32_768, 0]


def test_the_same_file_gives_the_same_bits(tmp_path: Path) -> None:
    path = write_wave(tmp_path / "a.wav", noise(20_000, channels=2), 44_100)
    assert np.array_equal(waveform(path, 16_000), waveform(path, 16_000))


def test_about_tells_what_the_header_says(tmp_path: Path) -> None:
    path = write_wave(tmp_path / "a.wav", noise(11_025, channels=2), 22_050)
    assert about(path) == Sound(frames=11_025, rate_hertz=22_050, channels=2)
    assert about(path).seconds == 0.5


def refusal(path: Path, rate_hertz: int = 8_000, longest_seconds: float = 10) -> str:
    """What is said of a file that cannot be used: always which."""
    with pytest.raises(VerificationError) as caught:
        waveform(path, rate_hertz, longest_seconds=longest_seconds)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ").splitlines()[0]


def test_a_truncated_wav_says_what_its_header_promised(tmp_path: Path) -> None:
    path = write_wave(tmp_path / "a.wav", noise(1_000), 8_000)
    path.write_bytes(path.read_bytes()[:1_044])
    assert refusal(path) == "expected 2,000 bytes of samples, as its header says, found 1,000"


def test_a_wav_header_that_promises_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = write_wave(tmp_path / "a.wav", noise(1_000), 8_000)
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(content)
    assert refusal(path) == "expected 4,294,967,280 bytes of samples, as its header says, found 2,000"


def test_chunks_before_the_samples_are_passed_over(tmp_path: Path) -> None:
    samples = noise(100)
    content = write_wave(tmp_path / "a.wav", samples, 8_000).read_bytes()
    note = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # an odd length, and the byte that makes it even
    whole = content[:36] + note + content[36:]
    (tmp_path / "a.wav").write_bytes(whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:])
    assert np.array_equal(waveform(tmp_path / "a.wav", 8_000), samples[:, 0])
    (tmp_path / "a.wav").write_bytes(whole[:-2])
    assert refusal(tmp_path / "a.wav") == "expected 200 bytes of samples, as its header says, found 198"


@pytest.mark.parametrize("ending", ["flac", "ogg", "mp3"])
def test_a_compressed_file_that_ends_early_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, noise(32_000), 16_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(path).startswith("expected ")


def test_a_rate_that_nobody_records_at_is_refused(tmp_path: Path) -> None:
    for rate_hertz in (1, 999, 400_000):
        message = refusal(write_wave(tmp_path / "a.wav", noise(10), rate_hertz))
        assert message == f"expected 1,000 to 384,000 samples per second, found {rate_hertz:,}"


def test_more_sound_than_asked_for_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = write_wave(tmp_path / "a.wav", noise(8_001), 8_000)
    assert refusal(path, longest_seconds=1) == "expected at most 1 seconds of sound, found a header that says 1.0"
    assert len(waveform(path, 8_000, longest_seconds=1.001)) == 8_001


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    assert refusal(write_wave(tmp_path / "a.wav", noise(0), 8_000)) == "expected samples, found none"


def test_an_empty_file_and_another_format_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    assert refusal(tmp_path / "a.wav") == "expected WAV, FLAC, Ogg or MP3, found an empty file"
    (tmp_path / "a.wav").write_bytes(b"<html><body>")
    assert refusal(tmp_path / "a.wav").endswith("found a file that starts with b'<html><body>'")
    assert refusal(tmp_path / "none.wav").startswith("cannot be read: No such file")


def test_mpeg4_sound_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x1cftypM4A \0\0\0\0")
    with pytest.raises(VerificationError, match="cannot be decoded here") as caught:
        waveform(tmp_path / "a.m4a", 16_000)
    assert "ffmpeg" in caught.value.hint


def test_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.0, np.nan]), 8_000, subtype="FLOAT")
    assert refusal(tmp_path / "a.wav") == "expected samples that are finite numbers, found others"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A folder to write in, and a small file of every format."""
    folder = tmp_path_factory.mktemp("fuzz")
    for ending in ("wav", "flac", "ogg", "mp3"):
        soundfile.write(folder / f"a.{ending}", tone(8_000, 0.1), 8_000)
    return folder, {ending: (folder / f"a.{ending}").read_bytes() for ending in ("wav", "flac", "ogg", "mp3")}


@settings(max_examples=100)
@given(ending=st.sampled_from(["wav", "flac", "ogg", "mp3"]), data=st.data())
def test_damaged_files_are_decoded_or_refused(
    files: tuple[Path, dict[str, bytes]], ending: str, data: st.DataObject
) -> None:
    folder, whole = files
    content = bytearray(whole[ending])
    for position, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)
    ):
        content[position] = value
    path = folder / "damaged"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    require_decoded_or_refused(path)


@settings(max_examples=100)
@given(
    start=st.sampled_from([b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b""]),
    rest=st.binary(max_size=400),
)
def test_any_bytes_are_decoded_or_refused(files: tuple[Path, dict[str, bytes]], start: bytes, rest: bytes) -> None:
    path = files[0] / "any"
    path.write_bytes(start + rest)
    require_decoded_or_refused(path)


def require_decoded_or_refused(path: Path) -> None:
    try:
        samples = waveform(path, 8_000, longest_seconds=5)
    except DlcatError as error:
        refused = error.message.startswith(f"{path}: ")
    else:
        refused = False
        assert samples.dtype == np.int16
    assert refused or 0 < len(samples) <= 5 * 8_000 + 1
