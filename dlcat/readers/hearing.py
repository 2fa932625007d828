"""Sounds decoded and brought to one rate, once, by all cores; a preparation that broke off goes on where it was."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat.disk import disk_errors
from dlcat.errors import VerificationError
from dlcat.machine import cores
from dlcat.readers.ragged import Ragged
from dlcat.readers.waveforms import waveform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.readers.unread import SoundExamples

FILES = 256
"""Sounds that are written together: what is lost when a preparation breaks off."""
BAD = -1
"""The length of a sound that cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Heard:
    """How many sounds of a split are decoded."""

    name: str
    """Of the folder they are kept in, which begins with that of the split."""
    done: int
    of: int


@dataclass(frozen=True, slots=True)
class HeardExamples:
    """One split of waveforms at one rate."""

    waveforms: Ragged
    """(N, samples) int16."""
    targets: np.ndarray[Any, np.dtype[Any]]
    classes: tuple[str, ...]
    groups: np.ndarray[Any, np.dtype[np.int64]] | None
    left_out: tuple[str, ...]
    rate_hertz: int

    def __len__(self) -> int:
        return len(self.waveforms)

    @property
    def digests(self) -> dict[str, str]:
        """None beside the catalog's; see `encoded.Storage`."""
        return {}


def hear(examples: SoundExamples, rate_hertz: int, *, skip_bad: bool = False) -> Iterator[Heard]:
    """Decode every sound of a split that is not decoded yet, and say how far that is.

    Args:
        examples: of the split.
        rate_hertz: samples per second of the waveforms.
        skip_bad: leave out those that cannot be decoded, and name them.

    Raises:
        VerificationError: one cannot be decoded; names the file.
        DiskError: the waveforms cannot be written.
    """
    folder = _folder(examples, rate_hertz)
    starts = range(0, len(examples), FILES)
    with disk_errors(folder), ThreadPoolExecutor(cores()) as pool:
        folder.mkdir(exist_ok=True)
        for number, start in enumerate(starts):
            if not _is_there(folder, number):
                paths = [_path(examples, row) for row in range(start, min(start + FILES, len(examples)))]
                _write(folder, number, list(pool.map(lambda path: _decoded(path, rate_hertz, skip_bad), paths)))
            yield Heard(examples.home.name, min(start + FILES, len(examples)), len(examples))


def heard(examples: SoundExamples, rate_hertz: int, *, skip_bad: bool = False) -> HeardExamples:
    """The waveforms of a split, mapped from where `hear` wrote them; it is asked for what is missing.

    Raises:
        DlcatError: as `hear`.
    """
    for _ in hear(examples, rate_hertz, skip_bad=skip_bad):
        pass
    folder = _folder(examples, rate_hertz)
    parts = [_read(folder, number) for number in range(-(-len(examples) // FILES))]
    waveforms = Ragged.joined([part for part, _ in parts])
    kept = np.flatnonzero(np.concatenate([lengths for _, lengths in parts]) != BAD)
    bad = [_about(folder, number)["bad"] for number in range(len(parts))]
    return HeardExamples(
        waveforms.take(kept),
        np.asarray(examples.targets)[kept],
        examples.classes,
        None if examples.groups is None else np.asarray(examples.groups)[kept],
        examples.left_out + tuple(text for each in bad for text in each),
        rate_hertz,
    )


def _folder(examples: SoundExamples, rate_hertz: int) -> Path:
    return examples.home.with_name(f"{examples.home.name}-{rate_hertz}")


def _path(examples: SoundExamples, row: int) -> Path:
    return examples.folder / os.fsdecode(examples.paths[row])


def _decoded(path: Path, rate_hertz: int, skip_bad: bool) -> np.ndarray[Any, Any] | str:
    """The waveform, or what is wrong with it."""
    try:
        return waveform(path, rate_hertz)
    except VerificationError as error:
        if skip_bad:
            return error.message
        raise VerificationError(error.message, hint="--skip-bad leaves such examples out, and names them") from error


def _write(folder: Path, number: int, found: list[np.ndarray[Any, Any] | str]) -> None:
    """Waveforms first, then, in one move, what says that they are all there."""
    with open(folder / f"{number:06d}.bin", "wb") as stream:
        for each in found:
            if not isinstance(each, str):
                stream.write(each.data)
        stream.flush()
        os.fsync(stream.fileno())
    lengths = [BAD if isinstance(each, str) else len(each) for each in found]
    about = {"lengths": lengths, "bad": [each for each in found if isinstance(each, str)]}
    beside = folder / f".{number:06d}.{os.getpid()}"
    beside.write_text(json.dumps(about), encoding="utf-8")
    os.replace(beside, folder / f"{number:06d}.json")


def _is_there(folder: Path, number: int) -> bool:
    """Whether the part is written, as long as it says."""
    try:
        lengths = np.array(_about(folder, number)["lengths"], np.int64)
        size = os.path.getsize(folder / f"{number:06d}.bin")
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return size == int(lengths[lengths != BAD].sum()) * 2


def _about(folder: Path, number: int) -> dict[str, Any]:
    about: dict[str, Any] = json.loads((folder / f"{number:06d}.json").read_bytes())
    return about


def _read(folder: Path, number: int) -> tuple[Ragged, np.ndarray[Any, Any]]:
    """The waveforms of a part, those that are bad empty; and what is written of their lengths."""
    lengths = np.array(_about(folder, number)["lengths"], np.int64)
    path = folder / f"{number:06d}.bin"
    values = np.memmap(path, np.int16, "r") if path.stat().st_size else np.empty(0, np.int16)
    return Ragged.of(values, np.maximum(lengths, 0)), lengths
