"""Tar archives: ustar, GNU and pax, read here, because the standard library's reader trusts what they say.

That one reads a pax header of any length into memory, takes some damaged headers for the end, fills sparse files with
zeros, and spends 0.1 ms on each member: two minutes on the 1.3 million files of ImageNet, against 20 s.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple
from zlib import adler32

from dlcat.errors import VerificationError
from dlcat.fetch.unpack.containment import short
from dlcat.fetch.unpack.streams import content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlcat.fetch.unpack.budget import Account
    from dlcat.fetch.unpack.target import Target

LIMIT_HEADER_BYTES = 1024 * 1024
"""Of a pax header or a long name; real ones hold less than 100 kB."""
LIMIT_RECORD_BYTES = 64 * 1024
"""The largest record in use: behind the end mark, old writers fill theirs with what was in memory."""

_BLOCK_BYTES = 512
_END = bytes(_BLOCK_BYTES)
_FILES = (b"0", b"\0", b"7")
_LINKS = (b"1", b"2")
_NAMES = (b"L", b"K")
_PAX = (b"x", b"X", b"g")
_LABEL = b"V"
_KINDS = {b"3": "a device or a pipe", b"4": "a device or a pipe", b"6": "a device or a pipe", b"S": "a sparse file"}


class Header(NamedTuple):
    """What a member says of itself, the headers before it included."""

    name: str
    kind: bytes
    size_bytes: int
    link: str

    @property
    def is_folder(self) -> bool:
        """Told by the kind or, as before 1988, by the name."""
        return self.kind == b"5" or (self.kind == b"\0" and self.name.endswith("/"))


def unpack_tar(archive: Path, target: Target) -> Iterator[int]:
    """Unpack a tar, compressed or not; yields how many bytes were written each time.

    Raises:
        VerificationError: it is damaged, cut or a bomb, or a member is no file, or would leave the folder.
    """
    with closing(content(archive)) as chunks:
        yield from unpack_tar_stream(chunks, target)


def unpack_tar_stream(chunks: Iterator[bytes], target: Target) -> Iterator[int]:
    """The same of a tar that comes in chunks, decompressed; all of them are read."""
    feed = _Feed(chunks)
    while (header := _next_header(feed, target.account)) is not None:
        if header.is_folder:
            if (path := target.place(header.name, is_folder=True)) is not None:
                target.make_folder(path)
            continue
        if header.kind not in _FILES:
            raise VerificationError(f"member {short(header.name)} is {_kind(header)}; only files are unpacked")
        target.account.spend(header.size_bytes)
        if (path := target.place(header.name)) is None:
            feed.skip(header.size_bytes)
        else:
            target.make_folder(path.rpartition("/")[0])
            yield from target.write(path, feed.pieces(header.size_bytes))
        feed.skip(-header.size_bytes % _BLOCK_BYTES)
    _require_end(feed, target.account)


class _Feed:
    """Chunks of any length, handed out in the lengths that are asked for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def pieces(self, size_bytes: int) -> Iterator[memoryview]:
        """The next bytes, as they lie."""
        while size_bytes:
            if not self._left:
                self._left = memoryview(next(self._chunks, b""))
                if not self._left:
                    raise VerificationError("damaged: it ends before its end mark")
            piece = self._left[:size_bytes]
            self._left = self._left[size_bytes:]
            size_bytes -= len(piece)
            yield piece

    def take(self, size_bytes: int) -> bytes:
        """The next bytes in one piece: for headers, which are small."""
        if len(self._left) < size_bytes:
            return b"".join(self.pieces(size_bytes))
        piece = self._left[:size_bytes].tobytes()
        self._left = self._left[size_bytes:]
        return piece

    def skip(self, size_bytes: int) -> None:
        """Pass over the next bytes."""
        if size_bytes < len(self._left):
            self._left = self._left[size_bytes:]
            return
        for _ in self.pieces(size_bytes):
            pass

    def rest(self) -> Iterator[memoryview]:
        """All that is left."""
        yield self._left
        for chunk in self._chunks:
            yield memoryview(chunk)


def _next_header(feed: _Feed, account: Account) -> Header | None:
    """The next member's header, or None at the end mark."""
    known: dict[bytes, bytes] = {}
    while (block := feed.take(_BLOCK_BYTES)) != _END:
        _require_checksum(block)
        kind = block[156:157]
        if kind in _NAMES or kind in _PAX:
            account.count_member()
            known |= _more(kind, _long_header(block, feed, account))
        elif kind != _LABEL:
            return _header(block, kind, known)
    return None


def _header(block: bytes, kind: bytes, known: dict[bytes, bytes]) -> Header:
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and block[345]:  # GNU's own layout has times in this place
        name = block[345:500].partition(b"\0")[0] + b"/" + name
    return Header(
        name=_text(known.get(b"path", name)),
        kind=kind,
        size_bytes=_decimal(known[b"size"]) if b"size" in known else _octal(block[124:136]),
        link=_text(known.get(b"linkpath", block[157:257].partition(b"\0")[0])) if kind in _LINKS else "",
    )


def _long_header(block: bytes, feed: _Feed, account: Account) -> bytes:
    size_bytes = _octal(block[124:136])
    if size_bytes > LIMIT_HEADER_BYTES:
        raise VerificationError(f"expected a header of at most {LIMIT_HEADER_BYTES} bytes, found {size_bytes}")
    account.spend(size_bytes)
    content = feed.take(size_bytes)
    feed.skip(-size_bytes % _BLOCK_BYTES)
    return content


def _more(kind: bytes, content: bytes) -> dict[bytes, bytes]:
    """What a header says of the member that follows it, by pax's keywords."""
    if kind in _NAMES:
        return {b"path" if kind == b"L" else b"linkpath": content.partition(b"\0")[0]}
    records = _records(content)
    if any(keyword.startswith(b"GNU.sparse.") for keyword in records):
        raise VerificationError("a member is a sparse file; only files are unpacked")
    if kind == b"g" and records.keys() & {b"path", b"size"}:
        raise VerificationError("damaged: a header for all members has one member's name or size")
    return {} if kind == b"g" else records


def _records(content: bytes) -> dict[bytes, bytes]:
    """Pax's records: b'19 path=images/1.png' with a line feed, and the length of it all in front."""
    found: dict[bytes, bytes] = {}
    start = 0
    while start < len(content) and content[start]:  # some writers pad with zeros
        length = content[start : start + 20].partition(b" ")[0]
        end = start + _decimal(length)
        keyword, equals, value = content[start + len(length) + 1 : end - 1].partition(b"=")
        if not equals or content[end - 1 : end] != b"\n":
            raise VerificationError("damaged: a pax header is not made of records")
        found[keyword] = value
        start = end
    return found


def _require_checksum(block: bytes) -> None:
    expected = _octal(block[148:156])
    found = _sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if expected != found and expected != found - 256 * _negative(block):  # some old writers took bytes for signed
        raise VerificationError("damaged: a header does not fit its checksum")


def _sum(block: bytes) -> int:
    """All bytes added up, in a tenth of the time of `sum`: the lower half of Adler-32, exact for 256 bytes, is that and 1."""
    return (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2


def _negative(block: bytes) -> int:
    return sum(byte > 127 for byte in block[:148] + block[156:])


def _require_end(feed: _Feed, account: Account) -> None:
    """Read to the end, where compressed streams have their checksum, and refuse what somebody has appended."""
    seen_bytes = 0
    for piece in feed.rest():
        account.spend(len(piece))
        if bytes(piece[max(0, LIMIT_RECORD_BYTES - seen_bytes) :]).strip(b"\0"):
            raise VerificationError("damaged: something follows its end mark")
        seen_bytes += len(piece)


def _octal(field: bytes) -> int:
    """A number in octal digits or, from 8 GiB on, in base 256."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip(b" ")
    if digits and not digits.isdigit():
        raise VerificationError(f"damaged: expected a number in a header, found {field!r}")
    return int(digits or b"0", 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise VerificationError(f"damaged: expected a number in a pax header, found {digits[:20]!r}")
    return int(digits)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _kind(header: Header) -> str:
    if header.kind in _LINKS:
        return f"a link to {header.link[:200]!r}"
    return _KINDS.get(header.kind, f"of a kind that is not known, {header.kind!r}")
