"""Figures of a run as TensorBoard reads them: event files, which `tensorboard --logdir runs` draws while training goes on.

An event file is a row of records, each with its length and two checksums (TFRecord); a record is an Event as Protocol
Buffers encode it (tensorflow/core/util/event.proto). The few fields that curves need are written here, so that training
needs no other package.
"""

from __future__ import annotations

import struct
import time
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PREFIX = "events.out.tfevents."
VERSION = b"brain.Event:2"
_POLYNOMIAL = 0x82F63B78
"""Of CRC-32C (Castagnoli 1993), its bits reversed."""
_MASK = 0xA282EAD8
_BYTES = 2
"""The wire type of text, bytes and messages."""


def newest(folder: Path) -> Path | None:
    """The event file that was begun last; TensorBoard reads them in this order."""
    return max(folder.glob(f"{PREFIX}*"), default=None, key=lambda path: path.name)


def fresh(folder: Path) -> Path:
    """A file to begin, which comes after those that are there."""
    last = newest(folder)
    seconds = int(time.time())
    if last is not None and last.name >= _name(seconds):
        seconds = int(last.name.removeprefix(PREFIX).partition(".")[0]) + 1
    return folder / _name(seconds)


def beginning(step: int) -> bytes:
    """How a file begins whose first figures are of that step: what others said of it, or of later ones, is void."""
    version = _field(3, VERSION)
    session = _field(7, _tag(1, 0) + _varint(1))  # SessionLog: status START
    return _record(_moment(0) + version) + _record(_moment(step) + session)


def event(step: int, figures: Mapping[str, float]) -> bytes:
    """The figures of a step, by name; those of one group share what stands before a slash: `train/loss`."""
    values = [_field(1, _field(1, name.encode()) + _tag(2, 5) + _float(value)) for name, value in figures.items()]
    return _record(_moment(step) + _field(5, b"".join(values)))


def checksum(content: bytes) -> int:
    """The CRC-32C of the bytes, masked as records have it.

    >>> (checksum(b"123456789") - 0xA282EAD8) % 2**32 == (0xE3069283 >> 15 | 0xE3069283 << 17) % 2**32
    True
    """
    table, value = _table(), 0xFFFFFFFF
    for byte in content:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + _MASK) & 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    return tuple(_shifted(byte) for byte in range(256))


def _shifted(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


def _name(seconds: int) -> str:
    return f"{PREFIX}{seconds:010}.dlcat"


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + struct.pack("<I", checksum(length)) + content + struct.pack("<I", checksum(content))


def _moment(step: int) -> bytes:
    """The time, which is now, and the step of an event."""
    return _tag(1, 1) + struct.pack("<d", time.time()) + _tag(2, 0) + _varint(step)


def _field(number: int, content: bytes) -> bytes:
    return _tag(number, _BYTES) + _varint(len(content)) + content


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _float(value: float) -> bytes:
    """Four bytes; what is too large for them is infinite."""
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last byte have their highest bit set."""
    head = bytearray()
    while value > 0x7F:
        head.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*head, value])
