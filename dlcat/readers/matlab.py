"""MATLAB's files of version 5 (MathWorks, "MAT-File Format", 2025): what one says of itself is held against what is there.

SciPy reads them, too; but a damaged file makes it read outside its memory, which ends the process (bus error in 1.17).
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from math import prod
from typing import IO, TYPE_CHECKING, Any, NoReturn

import numpy as np

from dlcat.errors import VerificationError
from dlcat.readers.text_files import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

HEADER_BYTES = 128
CHUNK_BYTES = 1 << 20
NAME_BYTES = 4096
"""The longest name, list of sizes or list of fields that is believed."""
DESCRIPTION_BYTES = 4 * NAME_BYTES
"""Of one variable, beside its values."""
DEPTH = 3
"""Structures in structures that are believed."""
MATRIX, COMPRESSED, UTF8, UTF16 = 14, 15, 16, 17
COMPLEX = 0x800
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""How numbers are stored; often in fewer bytes than their class has."""
NUMBERS = {6: "double", 7: "single", 8: "int8", 9: "uint8", 10: "int16", 11: "uint16", 12: "int32", 13: "uint32"}
NUMBERS |= {14: "int64", 15: "uint64"}
CLASSES = NUMBERS | {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse"}
"""What MATLAB calls them."""


@dataclass(frozen=True, slots=True)
class Variable:
    """What a file says of one variable."""

    kind: str
    """uint8, double, char, struct, ..."""
    shape: tuple[int, ...]


def headers(path: Path) -> dict[str, Variable]:
    """What is in the file, by name; no values are read.

    Raises:
        VerificationError: it is no such file, or cut off.
    """
    return {matrix.name: Variable(CLASSES[matrix.code], matrix.shape) for matrix in _matrices(path, 0)}


def values(path: Path, names: Collection[str], *, most_bytes: int) -> dict[str, Any]:
    """These variables: arrays of numbers, text, or of a structure a list of {field: value}, by columns as MATLAB has them.

    Args:
        path: of a file whose `headers` are as expected.
        names: of variables in it.
        most_bytes: that any of them may take.

    Raises:
        VerificationError: what the file says does not agree with what is there, or is more than that.
    """
    found = {matrix.name: matrix.values() for matrix in _matrices(path, most_bytes) if matrix.name in names}
    if missing := sorted(set(names) - set(found)):
        raise VerificationError(
            f"{path}: expected the variables {', '.join(missing)}, found {', '.join(found) or 'none'}"
        )
    return found


def _matrices(path: Path, most_bytes: int) -> Iterator[_Matrix]:
    """Every variable, its header read; its values are, before the next is asked for, or not at all."""
    with opened(path) as stream:
        start = stream.read(HEADER_BYTES)
        order = {b"IM": "<", b"MI": ">"}.get(start[126:128], "")
        if not order or start[124:126] not in (b"\0\1", b"\1\0"):
            _fail(path, "a MATLAB file of version 5", f"one that starts {start[:19]!r}")
        while tag := stream.read(8):
            kind, length = (int(word) for word in np.frombuffer(tag.ljust(8, b"\0"), f"{order}u4"))
            if kind not in (MATRIX, COMPRESSED):
                _fail(path, "matrices", f"an element of type {kind}")
            end = stream.tell() + length
            if end > os.fstat(stream.fileno()).st_size:
                _fail(path, f"{end:,} bytes", "fewer: it is cut off")
            pull = _plain(stream, length) if kind == MATRIX else _inflated(stream, length)
            matrix = _Matrix(path, order, pull, most_bytes + DESCRIPTION_BYTES)
            matrix.read_header(is_tagged=kind == COMPRESSED)
            yield matrix
            stream.seek(end)


def _fail(path: Path, expected: str, found: str) -> NoReturn:
    raise VerificationError(
        f"{path}: expected {expected}, found {found}", hint="fetch it again with `dlcat fetch NAME --force`"
    )


def _plain(stream: IO[bytes], length: int) -> Callable[[int], bytes]:
    left = [length]

    def pull(count: int) -> bytes:
        content = stream.read(min(count, left[0]))
        left[0] -= len(content)
        return content

    return pull


def _inflated(stream: IO[bytes], length: int) -> Callable[[int], bytes]:
    inflate, read = zlib.decompressobj(), _plain(stream, length)

    def pull(count: int) -> bytes:
        while True:
            packed = inflate.unconsumed_tail or read(CHUNK_BYTES)
            content = inflate.decompress(packed, count)
            if content or not packed:
                return content

    return pull


class _Matrix:
    """One variable, from bytes that are asked for as they are needed."""

    name = ""
    code = 0
    shape: tuple[int, ...] = ()

    def __init__(self, path: Path, order: str, pull: Callable[[int], bytes], most_bytes: int) -> None:
        self._path = path
        self._order = order
        self._pull = pull
        self._left = most_bytes

    def read_header(self, *, is_tagged: bool) -> None:
        """Take name, class and shape; the tag before them, where it was not taken yet."""
        if is_tagged:
            self._open()
        self.name, self.code, self.shape = self._header()

    def values(self) -> Any:
        """What comes after the header, to the end, where the checksum of what was compressed is."""
        found = self._values(self.code, self.shape, 0)
        self._pass_over(CHUNK_BYTES)
        return found

    def _open(self) -> int:
        """Take the tag of a matrix; its length."""
        kind, length, _ = self._tag()
        if kind != MATRIX:
            _fail(self._path, "a matrix", f"an element of type {kind}")
        return length

    def _header(self) -> tuple[str, int, tuple[int, ...]]:
        flags, sizes, name = (self._element(NAME_BYTES) for _ in range(3))
        if len(flags) < 4 or len(sizes) < 8 or len(sizes) % 4:
            _fail(self._path, "a matrix with flags and sizes", f"{len(flags)} and {len(sizes)} bytes of them")
        word = int(np.frombuffer(flags[:4], f"{self._order}u4")[0])
        shape = tuple(int(size) for size in np.frombuffer(sizes, f"{self._order}i4"))
        if word & 255 not in CLASSES or word & COMPLEX or min(shape) < 0:
            _fail(self._path, "a matrix of real values", f"class {word & 255}, flags {word:#x}, sizes {shape}")
        return name.decode("latin-1"), word & 255, shape

    def _values(self, code: int, shape: tuple[int, ...], depth: int) -> Any:
        match CLASSES[code]:
            case "struct" if depth < DEPTH:
                return self._structure(shape, depth)
            case "char":
                return self._text()
            case kind if kind in NUMBERS.values():
                return self._numbers(shape).astype(np.dtype(kind), copy=False)
        _fail(self._path, "numbers, text or structures", f"{CLASSES[code]}, {depth} deep")

    def _structure(self, shape: tuple[int, ...], depth: int) -> list[dict[str, Any]]:
        width = int.from_bytes(self._element(4), "little" if self._order == "<" else "big")
        raw = self._element(NAME_BYTES)
        if not raw or not width or len(raw) % width:
            _fail(self._path, "names of fields", f"{len(raw)} bytes of them, {width} each")
        names = (raw[start : start + width] for start in range(0, len(raw), width))
        fields = [name.partition(b"\0")[0].decode("latin-1") for name in names]
        return [{field: self._nested(depth) for field in fields} for _ in range(prod(shape))]

    def _nested(self, depth: int) -> Any:
        if not self._open():
            return np.zeros((0, 0))
        _, code, shape = self._header()
        return self._values(code, shape, depth + 1)

    def _text(self) -> str:
        kind, length, content = self._tag()
        if kind not in (1, 2, 4, UTF8, UTF16):
            _fail(self._path, "text", f"an element of type {kind}")
        raw = self._content(length, content)
        wide = "utf-16-le" if self._order == "<" else "utf-16-be"
        return raw.decode(wide if kind in (4, UTF16) else "utf-8", "replace")

    def _numbers(self, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        kind, length, content = self._tag()
        if kind not in STORED:
            _fail(self._path, "numbers", f"an element of type {kind}")
        stored = np.dtype(self._order + STORED[kind])
        if length != prod(shape) * stored.itemsize:
            _fail(self._path, f"{prod(shape) * stored.itemsize:,} bytes for shape {shape}", f"{length:,}")
        raw = np.frombuffer(self._content(length, content), stored)
        return raw.astype(stored.newbyteorder("="), copy=False).reshape(shape, order="F")

    def _element(self, most: int) -> bytes:
        _, length, content = self._tag()
        if length > most:
            _fail(self._path, f"at most {most:,} bytes of description", f"{length:,}")
        return bytes(self._content(length, content))

    def _tag(self) -> tuple[int, int, bytes | None]:
        """Type and length of the next element; and its content, where that is so short that it is in the tag."""
        tag = self._take(8)
        word, length = (int(each) for each in np.frombuffer(tag, f"{self._order}u4"))
        if not word >> 16:
            return word, length, None
        if word >> 16 > 4:
            _fail(self._path, "at most 4 bytes in a tag", str(word >> 16))
        return word & 0xFFFF, word >> 16, bytes(tag[4 : 4 + (word >> 16)])

    def _content(self, length: int, content: bytes | None) -> bytes | bytearray:
        if content is not None:
            return content
        found = self._take(length)
        self._pass_over(-length % 8)
        return found

    def _take(self, count: int) -> bytearray:
        """So many bytes: memory is taken as they come, whatever was said."""
        self._left -= count
        if self._left < 0:
            _fail(self._path, "a smaller variable", f"one that goes on for {count:,} bytes")
        found = bytearray()
        while len(found) < count:
            content = self._bytes(min(count - len(found), CHUNK_BYTES))
            if not content:
                _fail(self._path, f"{count:,} bytes", f"{len(found):,}: it is cut off")
            found += content
        return found

    def _pass_over(self, count: int) -> None:
        """So many bytes that fill up to the next multiple of eight, or what is left of them."""
        while count > 0 and (content := self._bytes(count)):
            count -= len(content)

    def _bytes(self, most: int) -> bytes:
        try:
            return self._pull(most)
        except (OSError, zlib.error) as error:
            _fail(self._path, "what was compressed", f"what cannot be read: {error}")
