"""A download under way, in a form that survives a kill at any byte and cannot take one file's bytes for another's.

<file>.<owner>.part/bytes    the bytes, with holes
<file>.<owner>.part/claims   JSON lines: what the bytes are from, then every stretch that is written, with its CRC-32

A claim is written after its bytes, and believed only when the bytes, read again, have its CRC-32: reading follows
writing and computes the file's checksums on the way, so nothing is read twice. The owner is part of the folder's name;
who goes on with what a dead process left behind renames the folder, which can succeed for one process only. No lock is
involved.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

from dlcat.disk import disk_errors
from dlcat.errors import DiskError
from dlcat.fetch.download.blocks import BLOCK_BYTES, Blocks, crc32
from dlcat.fetch.download.owner import give_up, is_orphan, is_owner, new_owner
from dlcat.fetch.identity import CHUNK_BYTES, Hashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Origin:
    """What the bytes are from."""

    source: str
    """Without user, password, query and fragment."""
    validator: str | None
    """Strong ETag."""
    size_bytes: int | None
    """Of the whole file; None where it was not announced."""


@dataclass(frozen=True, slots=True, order=True)
class Stretch:
    """Bytes that are written, from `start` to before `end`."""

    start: int
    end: int
    crc32: int


LIMIT_MISREAD = 8
"""So many stretches may read back wrong before the disk is to blame."""


class ClosedError(Exception):
    """The partial was given up while a connection still worked on it."""


class Partial:
    """One file's bytes so far, shared by the connections that write it and the thread that reads behind them.

    Use as a context manager: leaving it keeps the bytes for the next time, unless `discard` was called.
    """

    def __init__(self, folder: Path, algorithms: Iterable[str], owner: str) -> None:
        self.path = folder / "bytes"
        self.origin: Origin | None = None
        self.mixed = False
        """Whether bytes of different origin lie together, trusting that they are one file: the checksum must tell."""
        self._folder = folder
        self._owner = owner
        self._algorithms = tuple(algorithms)
        self._changed = Condition()
        self._stretches: dict[int, Stretch] = {}  # by start; those that were read again are forgotten
        self.version = 0
        """Counts how often the bytes were begun anew: what was meant for an older version is not taken."""
        self._front = 0
        self._hashes, self._blocks = Hashes(self._algorithms), Blocks()
        self._failure: BaseException | None = None
        self._misread = 0
        self._closed = False
        self._reader = Thread(target=self._follow, name="dlcat-hash", daemon=True)
        with disk_errors(folder):
            self._load()
            # A file object, not a descriptor: once closed it refuses, where a number would by then mean another file.
            self._claims = open(folder / "claims", "ab", buffering=0)  # noqa: SIM115 - closed by __exit__
            self._claims.write(b"\n")  # the last line may have been cut short
            self.path.touch()

    def __enter__(self) -> Partial:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._reader.join()
        with self._changed:
            self._claims.close()
        if self.received_bytes == 0:
            self.discard()
        give_up(self._owner)

    def begin(self, origin: Origin) -> None:
        """Forget all bytes and start anew.

        Raises:
            DiskError: it cannot be written.
        """
        with self._changed, disk_errors(self.path):
            self._require_open()
            self.version += 1
            self._claims.truncate(0)
            # Not truncated: a connection that is slow to die still writes, to the old one.
            fresh = self.path.with_name("fresh")
            fresh.touch()
            os.replace(fresh, self.path)
            self._stretches.clear()
            self.origin, self.mixed, self._front = origin, False, 0
            self._hashes, self._blocks = Hashes(self._algorithms), Blocks()
            self._note(asdict(origin))

    def forget(self) -> None:
        """Have no bytes, of nothing.

        Raises:
            DiskError: it cannot be written.
        """
        self.begin(Origin("", None, None))
        with self._changed:
            self.origin = None

    def mix(self) -> None:
        """Note that from here on bytes of another origin, or another validator, are added."""
        with self._changed, disk_errors(self.path):
            self._require_open()
            if not self.mixed:
                self.mixed = True
                self._note({"mixed": True})

    def claim(self, version: int, start: int, end: int, crc: int) -> None:
        """Vouch for bytes that are written.

        Raises:
            DiskError: the claim cannot be written.
        """
        with self._changed, disk_errors(self.path):
            if version == self.version and not self._closed:
                self._note([start, end, crc])
                self._stretches[start] = Stretch(start, end, crc)
                self._changed.notify_all()

    def end_at(self, size_bytes: int) -> None:
        """Say how long the file is, where its source did not announce it."""
        with self._changed:
            assert self.origin is not None
            self._require_open()
            self.origin = Origin(self.origin.source, self.origin.validator, size_bytes)
            with disk_errors(self.path):
                self._note(asdict(self.origin))

    def gaps(self) -> list[tuple[int, int | None]]:
        """What is missing: (start, one past the end), the last one open-ended where the length is not known."""
        with self._changed:
            found: list[tuple[int, int | None]] = []
            position = self._front
            for stretch in sorted(self._stretches.values()):
                if stretch.start > position:
                    found.append((position, stretch.start))
                position = max(position, stretch.end)
            size_bytes = None if self.origin is None else self.origin.size_bytes
            if size_bytes is None or position < size_bytes:
                found.append((position, size_bytes))
            return found

    @property
    def read_bytes(self) -> int:
        """How far the bytes were read back without a hole."""
        with self._changed:
            return self._front

    @property
    def received_bytes(self) -> int:
        """Bytes that are claimed."""
        with self._changed:
            return self._front + sum(stretch.end - stretch.start for stretch in self._stretches.values())

    def wait_until_read(self, seconds: float) -> bool:
        """Wait a moment for the reading to be where the writing is; True when every claim has been looked at.

        Raises:
            DiskError: the bytes cannot be read back.
        """
        with self._changed:
            # A claim behind a hole cannot be read yet, and is no reason to wait.
            read = self._changed.wait_for(
                lambda: self._failure is not None or self._front not in self._stretches, seconds
            )
            if self._failure is not None:
                raise self._failure
            return read

    def digests(self) -> dict[str, str]:
        """Algorithm to digest of the bytes up to the first hole."""
        with self._changed:
            return self._hashes.digests()

    def block_crc32s(self) -> list[int]:
        """The CRC-32 of every block of these bytes."""
        with self._changed:
            return self._blocks.crc32s()

    def flush(self) -> None:
        """Wait until the bytes are on the disk.

        Raises:
            DiskError: they cannot be written.
        """
        with disk_errors(self.path), open(self.path, "rb+") as stream:
            os.fsync(stream.fileno())

    def discard(self) -> None:
        """Remove what is left of the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _follow(self) -> None:
        try:
            while (found := self._next_stretch()) is not None:
                version, stretch, hashes, blocks = found
                mark, crc = blocks.mark(), 0
                with disk_errors(self.path), open(self.path, "rb", buffering=0) as stream:
                    stream.seek(stretch.start)
                    for chunk in _chunks(stream, stretch.end - stretch.start):
                        hashes.update(chunk)
                        blocks.update(chunk)
                        crc = crc32(chunk, crc)
                if crc != stretch.crc32:
                    blocks.go_back(mark)
                self._judge(version, stretch, hashes, sound=crc == stretch.crc32)
        except BaseException as error:  # handed to the thread that asks for the result
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _next_stretch(self) -> tuple[int, Stretch, Hashes, Blocks] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._front in self._stretches)
            if self._closed:
                return None
            return self.version, self._stretches[self._front], self._hashes.copy(), self._blocks

    def _judge(self, version: int, stretch: Stretch, hashes: Hashes, *, sound: bool) -> None:
        with self._changed:
            if version != self.version:
                return  # begun anew meanwhile
            del self._stretches[stretch.start]
            if sound:
                self._front, self._hashes = stretch.end, hashes
                self._stretches = {start: each for start, each in self._stretches.items() if start >= self._front}
            else:
                self._note({"disowned": stretch.start})
                self._misread += 1
                if self._misread > LIMIT_MISREAD:
                    self._failure = DiskError(f"{self.path}: the disk gives back other bytes than were written")
            self._changed.notify_all()

    def _require_open(self) -> None:
        """A connection that is slow to die must change nothing any more: the folder may be another's by now."""
        if self._closed:
            raise ClosedError("the partial is closed")

    def _note(self, line: Any) -> None:
        rest = (json.dumps(line) + "\n").encode()
        while rest:  # a disk that is nearly full takes a part of it
            rest = rest[self._claims.write(rest) or 0 :]

    def _load(self) -> None:
        """Read the claims; what cannot be read, such as a last line cut short, was never claimed."""
        for line in _read_lines(self._folder / "claims"):
            match line:
                case [int(start), int(end), int(crc)] if 0 <= start < end:
                    self._stretches[start] = Stretch(start, end, crc)
                case {"disowned": int(start)}:
                    self._stretches.pop(start, None)
                case {"mixed": bool(mixed)}:
                    self.mixed = mixed
                case {
                    "source": str(source),
                    "validator": str() | None as validator,
                    "size_bytes": int() | None as size,
                }:
                    self.origin = Origin(source, validator, size) if source else None
        if self.origin is None or self._overlap():
            self._stretches.clear()
            self.origin = None

    def _overlap(self) -> bool:
        ordered = sorted(self._stretches.values())
        limit = self.origin.size_bytes if self.origin and self.origin.size_bytes is not None else sys.maxsize
        return any(one.end > two.start for one, two in pairwise(ordered)) or (bool(ordered) and ordered[-1].end > limit)


def adopt(folder: Path, file: str, algorithms: Iterable[str]) -> Partial:
    """The partial to go on with: the fullest that a dead process left of this file, else a new one; ours from now on.

    What else dead processes left of the file is removed.

    Raises:
        DiskError: it cannot be made.
    """
    owner = new_owner()
    mine = folder / f"{file}.{owner}.part"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        orphans = [path for path in partials(folder, file) if is_orphan(_owner(path, file), path / "claims")]
        for orphan in sorted(orphans, key=claimed_bytes, reverse=True):
            if mine.exists():
                shutil.rmtree(orphan, ignore_errors=True)
                continue
            with suppress(FileNotFoundError):  # another process was faster
                os.rename(orphan, mine)
        mine.mkdir(exist_ok=True)
    try:
        return Partial(mine, algorithms, owner)
    except BaseException:
        give_up(owner)
        raise


def sweep(folder: Path, file: str) -> None:
    """Remove what dead processes left of a file that is no longer needed from them."""
    for path in partials(folder, file):
        if is_orphan(_owner(path, file), path / "claims"):
            shutil.rmtree(path, ignore_errors=True)


def salvage(folder: Path, file: str, damaged: Path, block_crc32s: list[int], source: str, size_bytes: int) -> int:
    """Make a partial of a damaged file and claim its sound blocks, so that only the others are fetched again.

    Args:
        folder: where partials are.
        file: the artifact's name.
        damaged: the file; it becomes the partial's, or is copied where it has another name too.
        block_crc32s: of the right file, see `blocks.Blocks`.
        source: where the right file came from.
        size_bytes: of the right file.

    Returns the bytes that are sound.

    Raises:
        DiskError: the file cannot be read or moved.
    """
    owner = new_owner()
    made = folder / f"{file}.{owner}.part"
    lines: list[Any] = [asdict(Origin(source, None, size_bytes)), {"mixed": True}]
    try:
        with disk_errors(damaged):
            made.mkdir(parents=True)
            with open(damaged, "rb", buffering=0) as stream:
                for number, expected in enumerate(block_crc32s):
                    start, end = number * BLOCK_BYTES, min((number + 1) * BLOCK_BYTES, size_bytes)
                    crc = 0
                    for chunk in _chunks(stream, end - start):
                        crc = crc32(chunk, crc)
                    if crc == expected and stream.tell() == end:
                        lines.append([start, end, crc])
                    stream.seek(end)
            (made / "claims").write_text("".join(json.dumps(line) + "\n" for line in lines))
            if damaged.stat().st_nlink == 1:
                os.replace(damaged, made / "bytes")
            else:
                shutil.copyfile(damaged, made / "bytes")
                damaged.unlink()
            os.truncate(made / "bytes", min(size_bytes, (made / "bytes").stat().st_size))
    finally:
        give_up(owner)
    return sum(line[1] - line[0] for line in lines[2:])


def partials(folder: Path, file: str) -> list[Path]:
    """The folders of every download of the file that is under way, or was broken off."""
    if not folder.is_dir():
        return []
    return [path for path in folder.glob(f"{glob.escape(file)}.*.part") if is_owner(_owner(path, file))]


def claimed_bytes(folder: Path) -> int:
    """Bytes that a partial claims to hold."""
    stretches: dict[int, int] = {}
    for line in _read_lines(folder / "claims"):
        match line:
            case [int(start), int(end), int()]:
                stretches[start] = end
            case {"disowned": int(start)}:
                stretches.pop(start, None)
    return sum(end - start for start, end in stretches.items())


def _read_lines(path: Path) -> Iterator[Any]:
    with suppress(OSError), open(path, "rb") as stream:
        for line in stream:
            with suppress(ValueError):
                yield json.loads(line)


def _chunks(stream: Any, size_bytes: int) -> Iterator[memoryview]:
    """The next bytes of a file, in one buffer that is used again and again."""
    buffer = memoryview(bytearray(min(2 * CHUNK_BYTES, size_bytes)))
    while size_bytes > 0 and (count := stream.readinto(buffer[:size_bytes])):
        size_bytes -= count
        yield buffer[:count]


def _owner(folder: Path, file: str) -> str:
    return folder.name.removeprefix(f"{file}.").removesuffix(".part")
