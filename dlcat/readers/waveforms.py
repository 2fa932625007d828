"""Sound files to waveforms: what of a file is believed, decoding it, mixing its channels down, and resampling it."""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import numpy as np
from annotated_types import Gt, Interval

from dlcat.errors import VerificationError
from dlcat.readers.examples import expect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from soundfile import SoundFile

    Array = np.ndarray[Any, np.dtype[Any]]

LONGEST_SECONDS = 600.0
"""More of one file is taken for a lie about its length, or for a file that is no single example."""
LOWEST_HERTZ, HIGHEST_HERTZ = 1_000, 384_000
"""What sounds are recorded at; a header that says anything else is wrong."""
MOST_CHANNELS = 64
ZERO_CROSSINGS, KAISER_BETA = 10, 5.0
"""Of the filter on each side, and the shape of its window: scipy's own choice."""
FULL_SCALE = 32_768
"""What 1.0 is in 16 bits."""
_BLOCK_SAMPLES = 1 << 20
"""Decoded at once, all channels together: 4 MiB."""
_MP3_TOLERANCE = 0.01
"""Share of an MP3 that its header may promise too much: encoders round, and files are cut from others."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What a sound file's header says of it."""

    frames: int
    """Samples of each channel; for an MP3 or Ogg file without a header of its own, what its last page or a scan tells."""
    rate_hertz: int
    channels: int

    @property
    def seconds(self) -> float:
        return self.frames / self.rate_hertz


def about(path: Path) -> Sound:
    """What a sound file says of itself, found without decoding it.

    Raises:
        VerificationError: it is no sound file that can be decoded here, or its header cannot be true.
    """
    with _opened(path) as opened:
        return Sound(opened.frames, opened.samplerate, opened.channels)


def waveform(
    path: Path,
    rate_hertz: Annotated[int, Interval(ge=LOWEST_HERTZ, le=HIGHEST_HERTZ)],
    *,
    longest_seconds: Annotated[float, Gt(0)] = LONGEST_SECONDS,
) -> Array:
    """A sound file as one channel of 16 bits, (T,) int16.

    Decodes WAV, FLAC, Ogg (Vorbis, Opus) and MP3; takes the mean of the channels; brings them to the rate by a polyphase filter
    (Crochiere and Rabiner 1983; a Kaiser window), in float32; rounds, and clips what is louder than full scale. A file that is one channel of 16 bits at this rate comes back as it is.

    Args:
        path: of the file.
        rate_hertz: samples per second of what is given back.
        longest_seconds: of the file; a longer one is refused before it fills the memory.

    Raises:
        VerificationError: names the file, what was expected and what was found.
    """
    with _opened(path) as opened:
        said = Sound(opened.frames, opened.samplerate, opened.channels)
        seconds, most = f"at most {longest_seconds:g} seconds of sound", longest_seconds * said.rate_hertz
        expect(said.frames <= most, path, seconds, f"a header that says {said.seconds:,.1f}")
        kept = opened.subtype == "PCM_16" and (said.channels, said.rate_hertz) == (1, rate_hertz)
        decoded = _decoded(opened, "int16" if kept else "float32", most=most)
        expect(len(decoded) <= most, path, seconds, "more, and a header that says less")
        _require_promised(path, opened.format, said.frames, len(decoded))
    if kept:
        return decoded
    expect(bool(np.isfinite(decoded).all()), path, "samples that are finite numbers", "others")
    samples = _resampled(decoded, said.rate_hertz, rate_hertz) * np.float32(FULL_SCALE)
    return np.clip(np.rint(samples), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def _resampled(samples: Array, rate_hertz: int, wanted_hertz: int) -> Array:
    """(T,) float32 at another rate: ceil(T · wanted / rate) samples."""
    if rate_hertz == wanted_hertz:
        return samples
    from scipy.signal import resample_poly  # type: ignore[import-untyped]

    shared = math.gcd(rate_hertz, wanted_hertz)
    up, down = wanted_hertz // shared, rate_hertz // shared
    resampled: Array = resample_poly(samples, up, down, window=_filter(max(up, down)))
    return resampled


@lru_cache(maxsize=8)
def _filter(factor: int) -> Array:
    """The low-pass filter that scipy would design anew for every file, which takes longer than a short file's decoding."""
    from scipy.signal import firwin

    taps: Array = firwin(2 * ZERO_CROSSINGS * factor + 1, 1 / factor, window=("kaiser", KAISER_BETA))
    return taps.astype(np.float32)


def _decoded(opened: SoundFile, dtype: str, *, most: float) -> Array:
    """The mean of the channels, (T,); never more than a block beyond the `most` samples that may be there."""
    size = _BLOCK_SAMPLES // opened.channels
    blocks, count, is_more = [], 0, True
    while is_more and count <= most:
        block = opened.read(size, dtype=dtype, always_2d=True)  # (T, C)
        blocks.append(block[:, 0] if opened.channels == 1 else block.mean(axis=1, dtype=np.float32))
        count += len(block)
        is_more = len(block) == size
    return np.concatenate(blocks)


def _require_promised(path: Path, container: str, promised: int, decoded: int) -> None:
    """Hold what was decoded against what the header says."""
    expect(decoded > 0, path, "samples", "none")
    least = promised * (1 - _MP3_TOLERANCE) if container == "MP3" else promised
    expect(least <= decoded, path, f"{promised:,} samples, as its header says", f"{decoded:,}")


@contextmanager
def _opened(path: Path) -> Iterator[SoundFile]:
    """An open sound file whose header can be true; what the decoder cannot read becomes a VerificationError."""
    import soundfile

    _require_sound(path)
    try:
        with soundfile.SoundFile(path) as opened:
            rate_hertz, channels = opened.samplerate, opened.channels
            allowed = f"{LOWEST_HERTZ:,} to {HIGHEST_HERTZ:,} samples per second"
            expect(LOWEST_HERTZ <= rate_hertz <= HIGHEST_HERTZ, path, allowed, f"{rate_hertz:,}")
            expect(channels <= MOST_CHANNELS, path, f"at most {MOST_CHANNELS} channels", channels)
            expect(opened.frames > 0, path, "samples", "none")
            yield opened
    except soundfile.SoundFileError as error:
        reason = str(error).rsplit(": ", 1)[-1].rstrip(".")
        raise VerificationError(
            f"{path}: expected a sound that can be decoded, found one that the decoder refuses: {reason}",
            hint="`dlcat verify NAME` says what is damaged",
        ) from error


def _require_sound(path: Path) -> None:
    """Stop unless the first bytes are those of a format that is decoded here, and a WAV file holds what it promises."""
    try:
        with path.open("rb") as stream:
            start = stream.read(12)
            if start[:4] == b"RIFF" and start[8:] == b"WAVE":
                _require_whole_wav(path, stream)
                return
    except OSError as error:
        raise VerificationError(
            f"{path}: cannot be read: {error.strerror}", hint="`dlcat verify NAME` says what is missing"
        ) from error
    if start[4:8] == b"ftyp":
        raise VerificationError(
            f"{path}: expected WAV, FLAC, Ogg or MP3, found MPEG-4 sound (AAC), which cannot be decoded here",
            hint="turn it into WAV beside it, for example: ffmpeg -i 00001.m4a -ac 1 -ar 16000 00001.wav",
        )
    is_mp3 = start[:3] == b"ID3" or (start[:1] == b"\xff" and start[1:2] >= b"\xe0")
    known = is_mp3 or start[:4] in (b"fLaC", b"OggS")
    expect(known, path, "WAV, FLAC, Ogg or MP3", f"a file that starts with {start!r}" if start else "an empty file")


def _require_whole_wav(path: Path, stream: BinaryIO) -> None:
    """Walk a WAV file's chunks to its samples: what their header promises must be there; decoders take what is left."""
    length = os.fstat(stream.fileno()).st_size
    for _ in range(1_000):  # more chunks before the samples are no accident
        header = stream.read(8)
        if len(header) < 8:
            return  # no samples: the decoder says so
        size, position = int.from_bytes(header[4:], "little"), stream.tell()
        if header[:4] == b"data":
            expect(
                position + size <= length,
                path,
                f"{size:,} bytes of samples, as its header says",
                f"{length - position:,}",
            )
            return
        stream.seek(position + size + size % 2)  # chunks start at even places
