"""Zip archives: the directory read by the standard library, the members read and checked here, several at once.

Every member must lie where the directory says, under the same name, end before the next one begins, and be as long as
announced: no byte is read twice (Fifield 2019, "A better zip bomb"). The standard library would also decompress half a
megabyte at one go, which bzip2 and LZMA can blow up to gigabytes.
"""

from __future__ import annotations

import bz2
import lzma
import os
import stat
import struct
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Event, Thread
from typing import IO, TYPE_CHECKING

from dlcat.errors import VerificationError
from dlcat.fetch.unpack.containment import short
from dlcat.fetch.unpack.streams import CHUNK_BYTES, deflate, expanded, zstd
from dlcat.machine import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from zipfile import ZipFile, ZipInfo

    from dlcat.fetch.unpack.streams import Decompressor
    from dlcat.fetch.unpack.target import Target

AT_ONCE = 4
LARGE_BYTES = 64 * 1024
"""Below this on average, threads that take turns lose more than they gain: twice the time on 20,000 files of 2 kB."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_END_RECORD = struct.Struct("<4s16xH")
_STORED, _DEFLATED, _BZIP2, _LZMA, _ZSTD = 0, 8, 12, 14, 93
_METHODS = {1: "shrink", 6: "implode", 9: "deflate64", 95: "xz", 98: "PPMd", 99: "AES"}
_RAW_WINDOW = -15
_LZMA_HEADER = struct.Struct("<2xHBI")
_LZMA_PROPERTIES_BYTES = 5
_ENCRYPTED = 0x1
_UTF_8 = 0x800


@dataclass(frozen=True, slots=True)
class Job:
    """A member that is to be unpacked."""

    path: str
    member: ZipInfo
    limit: int
    """The byte of the archive at which the next member, or the directory, begins."""


def unpack_zip(archive: Path, target: Target) -> Iterator[int]:
    """Unpack a zip; yields how many bytes were written each time.

    Raises:
        VerificationError: it is damaged, cut, encrypted, lies about itself or is a bomb, or a member is no file, or would
            leave the folder.
    """
    from zipfile import ZipFile

    with ZipFile(archive) as opened:
        _require_end(archive, opened.comment)
        folders, jobs = _looked_at(opened, target)
    for folder in (*folders, *(job.path.rpartition("/")[0] for job in jobs)):
        target.make_folder(folder)
    total_bytes = sum(job.member.file_size for job in jobs)
    target.total_bytes = total_bytes if target.nesting.ending is None else None
    threads = min(AT_ONCE, cores(), len(jobs)) if total_bytes >= LARGE_BYTES * len(jobs) else 1
    yield from _at_once(archive, jobs, target, threads) if threads > 1 else _in_turn(archive, iter(jobs), target)


def _looked_at(opened: ZipFile, target: Target) -> tuple[list[str], list[Job]]:
    """The folders and files that are wanted, as they lie; nothing is written before every member is known to be fit."""
    members = sorted(opened.infolist(), key=lambda member: member.header_offset)
    starts = [member.header_offset for member in members] + [opened.start_dir]
    folders: list[str] = []
    jobs: dict[str, Job] = {}
    for member, limit in zip(members, starts[1:], strict=True):
        path = target.place(_name(member), is_folder=member.is_dir())
        if not member.is_dir():
            _require_file(member)
        if path is None:
            continue
        if member.is_dir():
            folders.append(path)
            continue
        target.account.spend(member.file_size)
        former = jobs.setdefault(path, Job(path, member, limit)).member
        if (former.file_size, former.CRC) != (member.file_size, member.CRC):
            raise VerificationError(f"member {short(path)} stands twice, with different bytes")
    return folders, list(jobs.values())


def _require_file(member: ZipInfo) -> None:
    name = short(member.orig_filename)
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        raise VerificationError(f"member {name} is a link or a device; only files are unpacked")
    if member.flag_bits & _ENCRYPTED:
        raise VerificationError(f"member {name} is encrypted")
    if member.compress_type not in (_STORED, _DEFLATED, _BZIP2, _LZMA, _ZSTD):
        method = _METHODS.get(member.compress_type, f"method {member.compress_type}")
        raise VerificationError(f"member {name} is compressed by {method}, which dlcat does not read")


def _require_end(archive: Path, comment: bytes) -> None:
    """Refuse what somebody has appended: half of another download, perhaps."""
    with open(archive, "rb") as stream:
        stream.seek(-_END_RECORD.size - len(comment), os.SEEK_END)
        signature, comment_bytes = _END_RECORD.unpack(stream.read(_END_RECORD.size))
    if signature != b"PK\5\6" or comment_bytes != len(comment):
        raise VerificationError("damaged: something follows its end")


def _name(member: ZipInfo) -> str:
    """Where no encoding is declared: UTF-8 if it can be, as macOS writes it, or else the code page of DOS."""
    try:
        return _raw_name(member).decode()
    except UnicodeDecodeError:
        return member.orig_filename


def _raw_name(member: ZipInfo) -> bytes:
    name = member.orig_filename  # `filename` is cut at a NUL
    return name.encode("utf-8" if name.isascii() or member.flag_bits & _UTF_8 else "cp437")


def _in_turn(archive: Path, jobs: Iterator[Job], target: Target) -> Iterator[int]:
    with open(archive, "rb", buffering=CHUNK_BYTES) as stream:
        for job in jobs:
            yield from target.write(job.path, _checked(_content(stream, job), job))


def _at_once(archive: Path, jobs: list[Job], target: Target, threads: int) -> Iterator[int]:
    """The members shared among threads: decompressing, hashing and writing let others run."""
    queue: SimpleQueue[int | BaseException | None] = SimpleQueue()
    stopped = Event()
    waiting = iter(jobs)  # one step of it is atomic, so that all of them may take from it

    def work() -> None:
        try:
            for written_bytes in _in_turn(archive, waiting, target):
                queue.put(written_bytes)
                if stopped.is_set():
                    return
            queue.put(None)
        except BaseException as error:  # raised again by who reads the queue
            queue.put(error)

    running = [Thread(target=work, name="dlcat-unzip", daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        while threads:
            found = queue.get()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                threads -= 1
            else:
                yield found
    finally:
        stopped.set()
        for thread in running:
            thread.join()


def _content(stream: IO[bytes], job: Job) -> Iterator[bytes]:
    member = job.member
    stream.seek(member.header_offset)
    header = stream.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
        raise VerificationError(f"damaged: member {short(job.path)} is not where the directory says")
    _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    name = stream.read(name_bytes)
    if name != _raw_name(member):
        raise VerificationError(f"damaged: member {short(job.path)} has the name {name[:80]!r} elsewhere")
    stream.seek(extra_bytes, os.SEEK_CUR)
    if member.header_offset + len(header) + name_bytes + extra_bytes + member.compress_size > job.limit:
        raise VerificationError(f"member {short(job.path)} overlaps the next one")
    yield from _expanded(stream, member.compress_type, member.compress_size)


def _expanded(stream: IO[bytes], method: int, size_bytes: int) -> Iterator[bytes]:
    if method == _STORED:
        return _pieces(stream, size_bytes)
    start: Callable[[], Decompressor]
    if method == _DEFLATED:
        start = partial(deflate().decompressobj, _RAW_WINDOW)
    elif method == _BZIP2:
        start = bz2.BZ2Decompressor
    elif method == _ZSTD:
        start = zstd()
    else:
        start = _lzma(stream.read(_LZMA_HEADER.size))
        size_bytes -= _LZMA_HEADER.size
    return expanded(_pieces(stream, size_bytes), start, joined=False)


def _lzma(header: bytes) -> Callable[[], Decompressor]:
    """A decoder for the stream that follows: version, length of what follows, lc + 9 (lp + 5 pb), dictionary's bytes."""
    properties_bytes, packed, dictionary_bytes = _LZMA_HEADER.unpack(header)
    if properties_bytes != _LZMA_PROPERTIES_BYTES or packed >= 9 * 5 * 5:
        raise VerificationError("damaged: a member's LZMA header is not one")
    options = {"lc": packed % 9, "lp": packed // 9 % 5, "pb": packed // 45, "dict_size": dictionary_bytes}
    return partial(lzma.LZMADecompressor, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, **options}])


def _pieces(stream: IO[bytes], size_bytes: int) -> Iterator[bytes]:
    while size_bytes > 0 and (piece := stream.read(min(size_bytes, CHUNK_BYTES))):
        size_bytes -= len(piece)
        yield piece


def _checked(chunks: Iterator[bytes], job: Job) -> Iterator[bytes]:
    """The same chunks, as long as they are no more than announced; at the end, neither less nor others."""
    expected = job.member.file_size
    crc32 = deflate().crc32
    found = crc = 0
    for chunk in chunks:
        found += len(chunk)
        if found > expected:
            break
        crc = crc32(chunk, crc)
        yield chunk
    if found != expected:
        more = "more" if found > expected else f"{found}"
        raise VerificationError(f"member {short(job.path)}: expected {expected} bytes, found {more}")
    if crc != job.member.CRC:
        raise VerificationError(f"member {short(job.path)}: expected CRC {job.member.CRC:08x}, found {crc:08x}")
