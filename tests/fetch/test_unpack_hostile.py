"""Archives that mean harm, lie or are broken: refused by name, nothing outside the folder, nothing published."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.catalog.dataset import Artifact
from dlcat.errors import VerificationError
from dlcat.fetch.accept import keep
from dlcat.fetch.install import install
from dlcat.fetch.unpack import Budget, contained, unpack

ROOMY = Budget(10**9)
FILES = {"top.txt": b"top", "folder/deep/data.bin": bytes(range(256)) * 4000, "folder/empty": b""}
END = bytes(1024)


def tar(members, mode="w", **options):
    """A tar of (name, bytes), or (name, TarInfo type, link name), or a finished TarInfo."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as archive:
        for name, *what in members.items() if isinstance(members, dict) else members:
            info = tarfile.TarInfo(name)
            if isinstance(what[0], tuple):
                what = what[0]
            if isinstance(what[0], bytes) and len(what) == 1:
                info.size = len(what[0])
                archive.addfile(info, io.BytesIO(what[0]))
            else:
                info.type, info.linkname = what
                archive.addfile(info)
    return buffer.getvalue()


def header(name, size, kind=b"0"):
    """A tar header written by hand; `size` is the field's bytes, or a number."""
    size_field = size if isinstance(size, bytes) else b"%o" % size
    block = bytearray(struct.pack("100s8s8s8s12s12s8s1s", name, b"644", b"0", b"0", size_field, b"0", b" " * 8, kind))
    block += bytes(512 - len(block))
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content):
    return content + bytes(-len(content) % 512)


def pax(record, kind=b"x"):
    return header(b"pax", len(record), kind) + padded(record)


def record(keyword, value):
    """A pax record: its own length in front."""
    length = next(n for n in range(4, 10**6) if n == len(b"%d %b=%b\n" % (n, keyword, value)))
    return b"%d %b=%b\n" % (length, keyword, value)


def zipped(members, compression=zipfile.ZIP_DEFLATED, mode=0o100777):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            info.external_attr = mode << 16
            archive.writestr(info, content, compression)
    return buffer.getvalue()


LOCAL, CENTRAL = b"PK\3\4", b"PK\1\2"


def altered(content, signature, offset, form, value, nth=0):
    """A zip with one field of its nth local or central header set to something else."""
    raw = bytearray(content)
    place = -1
    for _ in range(nth + 1):
        place = raw.index(signature, place + 1)
    struct.pack_into(form, raw, place + offset, value)
    return bytes(raw)


def encrypted():
    return altered(altered(zipped({"secret": b"text"}), LOCAL, 6, "<H", 1), CENTRAL, 8, "<H", 1)


def overlapping_by_quoting():
    """Fifield's: the first member's bytes are the second member, its header included."""
    content = zipped({"kernel": b"", "bomb": b"x" * 1000}, zipfile.ZIP_STORED)
    inside = content[content.index(LOCAL, 1) : content.index(CENTRAL)]
    for offset in (20, 24):
        content = altered(content, CENTRAL, offset, "<I", len(inside))
    return altered(content, CENTRAL, 16, "<I", zlib.crc32(inside))


def overlapping_in_full():
    """Every name of the directory is one and the same member."""
    content = zipped({"a": b"x" * 1000, "b": b"x" * 1000})
    return altered(altered(content, CENTRAL, 42, "<I", 0, nth=1), CENTRAL, 46, "<B", ord("a"), nth=1)


def zip64_lie(size):
    """The directory says, in 64 bits, that a member of five bytes is larger."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("liar")
        archive.writestr(info, b"bytes")
        info.file_size = info.compress_size = size
    return buffer.getvalue()


def long_symlink():
    """A path that is longer than the system resolves, and links that turn it back up (CVE-2025-4517)."""
    members, path = [], ""
    for sign in "abcdefghijklmnop":
        members += [(f"{path}{'d' * 247}", tarfile.DIRTYPE, ""), (f"{path}{sign}", tarfile.SYMTYPE, "d" * 247)]
        path += f"{'d' * 247}/"
    short = "/".join("abcdefghijklmnop")
    members += [
        (f"{short}/{'l' * 254}", tarfile.SYMTYPE, "../" * 16),
        ("escape", tarfile.SYMTYPE, f"{short}/{'l' * 254}/../outside"),
        ("escape/evil", b"x"),
    ]
    return tar(members)


LONG = "x" * 300
LINKED = {"link": (tarfile.SYMTYPE, "../outside"), "link/evil": b"x"}
NAMES = {
    "tar parent": (tar({"../evil": b"x"}), "tar", r"\.\./evil"),
    "tar parent inside": (tar({"a/../../evil": b"x"}), "tar", "evil"),
    "tar parent that comes back": (tar({"a/../b": b"x"}), "tar", "would leave"),
    "tar parent folder": (tar({"../evil": (tarfile.DIRTYPE, "")}), "tar", "evil"),
    "tar absolute": (tar({"/etc/evil": b"x"}), "tar", "/etc/evil"),
    "tar drive": (tar({"C:/evil": b"x"}), "tar", "C:/evil"),
    "tar backslash": (tar({"..\\evil": b"x"}), "tar", "evil"),
    "tar zero byte": (pax(record(b"path", b"good\0/../evil")) + header(b"x", 0) + END, "tar", "would leave"),
    "tar path of pax": (pax(record(b"path", b"../evil")) + header(b"good", 0) + END, "tar", r"\.\./evil"),
    "tar path of GNU": (header(b"L", 8, b"L") + padded(b"../evil\0") + header(b"good", 0) + END, "tar", r"\.\./evil"),
    "tar long name": (tar({LONG: b"x"}), "tar", "too long a name"),
    "tar deep": (tar({"d/" * 100 + "f": b"x"}), "tar", "too long a name"),
    "tar long path": (tar({f"{'y' * 200}/" * 6 + "f": b"x"}), "tar", "too long a name"),
    "tar own folder": (tar({".dlcat/toy.jsonl": b"x"}), "tar", "belongs to dlcat"),
    "tar own folder in capitals": (tar({"./.DLCAT/toy.jsonl": b"x"}), "tar", "belongs to dlcat"),
    "tar own folder in disguise": (tar({".dl\u200ccat/toy.jsonl": b"x"}), "tar", "belongs to dlcat"),
    "tar nameless": (tar({".": b"x"}), "tar", "no name"),
    "zip parent": (zipped({"../evil": b"x"}), "zip", r"\.\./evil"),
    "zip parent folder": (zipped({"../evil/": b""}, mode=0o40755), "zip", r"\.\./evil"),
    "zip absolute": (zipped({"/evil": b"x"}), "zip", "/evil"),
    "zip drive": (zipped({"C:evil": b"x"}), "zip", "C:evil"),
    "zip backslash": (zipped({"..\\evil": b"x"}), "zip", "evil"),
    "zip zero byte": (zipped({"good\0../evil": b"x"}), "zip", "good"),
    "zip own folder": (zipped({".dlcat/x": b"x"}), "zip", "belongs to dlcat"),
    "zip long name": (zipped({LONG: b"x"}), "zip", "too long a name"),
}
KINDS = {
    "tar symlink, then through it": (tar(LINKED), "tar", "link to '../outside'"),
    "tar symlink absolute": (tar({"link": (tarfile.SYMTYPE, "/etc/passwd")}), "tar", "link to '/etc/passwd'"),
    "tar symlink inside": (tar({"a": b"x", "link": (tarfile.SYMTYPE, "a")}), "tar", "'link' is a link"),
    "tar symlink of a long path": (long_symlink(), "tar", "is a link"),
    "tar hard link": (tar({"link": (tarfile.LNKTYPE, "../outside/secret")}), "tar", "'link' is a link"),
    "tar device": (tar({"null": (tarfile.CHRTYPE, "")}), "tar", "'null' is a device"),
    "tar block device": (tar({"disk": (tarfile.BLKTYPE, "")}), "tar", "'disk' is a device"),
    "tar pipe": (tar({"pipe": (tarfile.FIFOTYPE, "")}), "tar", "'pipe' is a device or a pipe"),
    "tar sparse": (header(b"hole", 0, b"S") + END, "tar", "'hole' is a sparse file"),
    "tar sparse of pax": (pax(record(b"GNU.sparse.size", b"9" * 12)) + header(b"x", 0) + END, "tar", "sparse"),
    "tar of several volumes": (header(b"rest", 0, b"M") + END, "tar", "a kind that is not known"),
    "tar file as folder": (tar({"a": b"x", "a/b": b"y"}), "tar", "file here and a folder there"),
    "tar folder as file": (tar({"a/b": b"y", "a": b"x"}), "tar", "file here and a folder there"),
    "tar twice": (tar([("./same", b"first"), ("same", b"second")]), "tar", "'same' stands twice"),
    "zip symlink": (zipped({"link": b"/etc/passwd"}, mode=0o120777), "zip", "'link' is a link"),
    "zip device": (zipped({"null": b""}, mode=0o020666), "zip", "'null' is a link or a device"),
    "zip file as folder": (zipped({"a": b"x", "a/b": b"y"}), "zip", "file here and a folder there"),
    "zip twice": (zipped({"./same": b"first", "same": b"second"}), "zip", "'same' stands twice"),
    "zip encrypted": (encrypted(), "zip", "'secret' is encrypted"),
    "zip deflate64": (altered(zipped({"a": b"x"}), CENTRAL, 10, "<H", 9), "zip", "compressed by deflate64"),
    "zip unknown method": (altered(zipped({"a": b"x"}), CENTRAL, 10, "<H", 77), "zip", "compressed by method 77"),
}
LIES = {
    "tar header of a gigabyte": (header(b"pax", 2**30, b"x") + END, "tar", "header of at most 1048576 bytes"),
    "tar name of a gigabyte": (header(b"long", 2**30, b"L") + END, "tar", "header of at most 1048576 bytes"),
    "tar larger than it is": (header(b"a", 10_000) + padded(b"x" * 500) + END, "tar", "before its end mark"),
    "tar of an exabyte": (header(b"a", b"\x80" + b"\x0f" + bytes(10)) + END, "tar", "bytes unpacked"),
    "tar of a negative size": (header(b"a", b"\xff" * 12) + END, "tar", "expected a number"),
    "tar of a signed size": (header(b"a", b"-7") + END, "tar", "expected a number"),
    "tar size of pax": (pax(record(b"size", b"-1")) + header(b"a", 0) + END, "tar", "expected a number"),
    "tar size of pax for all": (pax(record(b"size", b"1"), b"g") + header(b"a", 0) + END, "tar", "for all members"),
    "tar pax of no records": (pax(b"path=evil") + header(b"a", 0) + END, "tar", "pax"),
    "tar pax of cut records": (pax(b"90 path=evil\n") + header(b"a", 0) + END, "tar", "not made of records"),
    "zip smaller than it is": (altered(zipped({"a": b"x" * 99}), CENTRAL, 24, "<I", 9), "zip", "9 bytes, found more"),
    "zip larger than it is": (altered(zipped({"a": b"x" * 9}), CENTRAL, 24, "<I", 99), "zip", "99 bytes, found 9"),
    "zip packed smaller": (altered(zipped({"a": os.urandom(999)}), CENTRAL, 20, "<I", 9), "zip", "999 bytes, found"),
    "zip packed larger": (altered(zipped({"a": b"x"}), CENTRAL, 20, "<I", 10**6), "zip", "overlaps|ends before"),
    "zip elsewhere": (altered(zipped({"a": b"x"}), CENTRAL, 42, "<I", 5), "zip", "not where the directory says"),
    "zip under another name": (
        altered(zipped({"a": b"x"}), LOCAL, 30, "<B", ord("b")),
        "zip",
        "the name b'b' elsewhere",
    ),
    "zip quoting overlap": (overlapping_by_quoting(), "zip", "'kernel' overlaps the next one"),
    "zip full overlap": (overlapping_in_full(), "zip", "'a' overlaps the next one"),
    "zip64 of too much": (zip64_lie(2**40), "zip", "bytes unpacked"),
    "zip64 of more than there is": (zip64_lie(2**25), "zip", "overlaps the next one"),
    "zip of other bytes": (
        zipped({"a": b"right bytes"}, zipfile.ZIP_STORED).replace(b"right bytes", b"wrong bytes"),
        "zip",
        "expected CRC",
    ),
}
BROKEN = {
    "not a tar": (b"<html>login</html>" * 100, "tar", "damaged"),
    "empty tar": (b"", "tar", "before its end mark"),
    "not a zip": (b"<html>login</html>" * 100, "zip", "not a zip"),
    "empty zip": (b"", "zip", "not a zip"),
    "not a gzip": (b"<html>login</html>", "gz", "expected gz, found a file that starts with"),
    "bzip2 called gzip": (bz2.compress(b"data"), "gz", "expected gz, found bz2"),
    "cut tar": (tar(FILES)[:5000], "tar", "before its end mark"),
    "cut tar in a header": (tar(FILES)[:1300], "tar", "before its end mark"),
    "cut tar between members": (tar({"a": b"x", "b": b"y"})[:1024], "tar", "before its end mark"),
    "cut tar.gz": (tar(FILES, "w:gz")[:-20], "tar", "in the middle|damaged"),
    "cut tar.bz2": (tar(FILES, "w:bz2")[:-20], "tar", "in the middle"),
    "cut tar.xz": (tar(FILES, "w:xz")[:-20], "tar", "in the middle"),
    "cut gzip": (gzip.compress(b"data" * 1000)[:-9], "gz", "in the middle"),
    "cut bzip2": (bz2.compress(b"data" * 1000)[:-9], "bz2", "in the middle"),
    "cut zip": (zipped(FILES)[:-30], "zip", "not a zip"),
    "wrong crc": (gzip.compress(b"data")[:-8] + bytes(8), "gz", "damaged"),
    "wrong length": (gzip.compress(b"data")[:-4] + bytes(4), "gz", "damaged"),
    "wrong crc of a tar.gz": (tar(FILES, "w:gz")[:-8] + bytes(8), "tar", "damaged"),
    "second header damaged": (tar(FILES)[:1024] + b"\x80" + tar(FILES)[1025:], "tar", "checksum"),
    "xz called tar": (lzma.compress(b"no tar inside"), "tar", "damaged"),
    "tar, then another": (tar({"a": b"x"}) + END * 60 + tar({"hidden": b"x"}), "tar", "something follows its end mark"),
    "tar.gz, then rubbish": (tar(FILES, "w:gz") + b"rubbish", "tar", "damaged"),
    "gzip, then rubbish": (gzip.compress(b"data") + b"rubbish" * 9, "gz", "damaged"),
    "gzip, then a little": (gzip.compress(b"data") + b"x", "gz", "damaged"),
    "bzip2, then rubbish": (bz2.compress(b"data") + b"rubbish", "bz2", "damaged"),
    "xz, then rubbish": (lzma.compress(b"data") + b"rubbish", "xz", "damaged"),
    "zip, then rubbish": (zipped(FILES) + b"rubbish", "zip", "something follows its end"),
    "zip, then half of another": (zipped(FILES) + zipped(FILES)[:60], "zip", "something follows its end"),
}
HOSTILE = NAMES | KINDS | LIES | BROKEN


def run(tmp_path: Path, content: bytes, kind: str, *, file="archive", limit=ROOMY, **fields):
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    artifact = Artifact(file=file, provenance="made here", unpack=kind, **fields)
    for _ in unpack(archive, artifact, tmp_path / "out", limit):
        pass


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_there_are_more_than_enough_of_them():
    assert len(HOSTILE) >= 90
    assert min(len(NAMES), len(KINDS), len(LIES), len(BROKEN)) >= 20


@pytest.mark.parametrize(("content", "kind", "words"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_by_name_and_nothing_leaves_the_folder(tmp_path, content, kind, words):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    with pytest.raises(VerificationError, match=words) as caught:
        run(tmp_path, content, kind)
    assert caught.value.message.startswith("archive: ")
    assert len(caught.value.message) < 500
    assert {path.name for path in tmp_path.iterdir()} <= {"archive", "outside", "out"}
    assert tree(tmp_path / "outside") == {"secret": b"secret"}
    assert not any(
        path.is_symlink() or path.stat().st_nlink > 1 for path in (tmp_path / "out").rglob("*") if path.is_file()
    )


@pytest.mark.parametrize(("content", "kind", "words"), HOSTILE.values(), ids=HOSTILE)
def test_nothing_of_a_hostile_archive_is_published(make_artifact, make_dataset, store, content, kind, words):
    artifact = make_artifact("set.archive", content, unpack=kind)
    dataset = make_dataset(artifact)
    part = store.locations.cache / "part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    keep(dataset, artifact, store, {"sha256": digest}, source="here", rewrapped=False, part=part)
    receipt = store.receipt(dataset, artifact)
    with pytest.raises(VerificationError, match=words):
        list(install(dataset, artifact, store, receipt))
    assert tree(store.data_path(dataset)) == {}
    assert not store.staging_path(dataset).exists()
    assert not store.is_unpacked(dataset, artifact)


# Bombs


MANY = {str(n): bytes(400_000) for n in range(25)}
BOMBS = {
    "tar": (lambda zeros: tar({"bomb": zeros}), "tar"),
    "tar.gz": (lambda zeros: tar({"bomb": zeros}, "w:gz"), "tar"),
    "tar.gz of many": (lambda _: tar(MANY, "w:gz"), "tar"),
    "pax header": (lambda zeros: gzip.compress(header(b"pax", len(zeros), b"x") + zeros, 1), "tar"),
    "padding": (lambda zeros: gzip.compress(tar({"a": b"x"}) + zeros, 1), "tar"),
    "zip": (lambda zeros: zipped({"bomb": zeros}), "zip"),
    "zip of many": (lambda _: zipped(MANY), "zip"),
    "bzip2 in zip": (lambda zeros: zipped({"bomb": zeros}, zipfile.ZIP_BZIP2), "zip"),
    "LZMA in zip": (lambda zeros: zipped({"bomb": zeros}, zipfile.ZIP_LZMA), "zip"),
    "gz": (lambda zeros: gzip.compress(zeros, 1), "gz"),
    "bz2": (lambda zeros: bz2.compress(zeros), "bz2"),
    "xz": (lambda zeros: lzma.compress(zeros, preset=0), "xz"),
}


@pytest.mark.parametrize(("build", "kind"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_stopped_at_the_limit(tmp_path, build, kind):
    with pytest.raises(VerificationError, match=r"archive: expected (a header of )?at most (1000000|1048576) bytes"):
        run(tmp_path, build(bytes(10_000_000)), kind, limit=Budget(1_000_000))
    assert sum(len(data) for data in tree(tmp_path / "out").values()) <= 1_000_000


@pytest.mark.parametrize(("build", "kind"), BOMBS.values(), ids=BOMBS)
def test_however_much_comes_out_memory_stays_flat(tmp_path, build, kind):
    content = build(bytes(60_000_000))
    tracemalloc.start()
    try:
        with suppress(VerificationError):
            run(tmp_path, content, kind)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 16 * 2**20


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (tar({f"d{n}": (tarfile.DIRTYPE, "") for n in range(11)}), "tar"),
        (tar({f"f{n}": b"" for n in range(11)}), "tar"),
        (pax(record(b"comment", b"")) * 11 + header(b"a", 0) + END, "tar"),
        (zipped({f"f{n}": b"" for n in range(11)}), "zip"),
    ],
    ids=["tar of folders", "tar of files", "tar of headers", "zip"],
)
def test_too_many_members_are_refused(tmp_path, content, kind):
    with pytest.raises(VerificationError, match="expected at most 10 members"):
        run(tmp_path, content, kind, limit=Budget(10**9, members=10))


# Damage of any kind


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (tar(FILES), "tar"),
        (tar(FILES, "w:gz"), "tar"),
        (tar({"x" * 120: b"long"}, format=tarfile.PAX_FORMAT), "tar"),
        (tar({"x" * 120: b"long"}, format=tarfile.GNU_FORMAT), "tar"),
        (zipped(FILES), "zip"),
        (zipped(FILES, zipfile.ZIP_LZMA), "zip"),
        (zipped(FILES, zipfile.ZIP_BZIP2), "zip"),
        (gzip.compress(FILES["top.txt"]), "gz"),
        (lzma.compress(FILES["top.txt"]), "xz"),
    ],
    ids=["tar", "tar.gz", "pax", "GNU", "zip", "zip of LZMA", "zip of bzip2", "gz", "xz"],
)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_byte_never_ends_in_a_traceback(tmp_path_factory, content, kind, data):
    position = data.draw(st.integers(0, len(content) - 1))
    mask = data.draw(st.integers(1, 255))
    flipped = content[:position] + bytes([content[position] ^ mask]) + content[position + 1 :]
    folder = tmp_path_factory.mktemp("flipped")
    with suppress(VerificationError):  # a DiskError would be the wrong thing to say
        run(folder, flipped, kind)
    assert {path.name for path in folder.iterdir()} <= {"archive", "out"}


@pytest.mark.parametrize(
    ("content", "kind"), [(tar(FILES, "w:gz"), "tar"), (zipped(FILES), "zip"), (lzma.compress(b"x" * 99), "xz")]
)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_cut_anywhere_is_refused(tmp_path_factory, content, kind, data):
    end = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(VerificationError):
        run(tmp_path_factory.mktemp("cut"), content[:end], kind)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=2000), start=st.sampled_from([b"", b"\x1f\x8b\x08\0", b"PK\3\4", b"PK\5\6", b"BZh9"]))
def test_nothing_comes_out_of_rubbish_whatever_it_begins_with(tmp_path_factory, content, start):
    for kind in ("tar", "zip"):
        folder = tmp_path_factory.mktemp("rubbish")
        with suppress(VerificationError):
            run(folder, start + content, kind)
        assert {path.name for path in folder.iterdir()} <= {"archive", "out"}
        assert tree(folder / "out") == {}


# Names


HOSTILE_TEXT = st.text(st.sampled_from("./\\ab:C\0~-é ")) | st.text(max_size=40)


@settings(max_examples=500, deadline=None)
@given(name=HOSTILE_TEXT)
def test_a_contained_path_stays_in_its_folder_and_the_rest_is_refused(name):
    folder = Path("/store/data")
    try:
        path = contained(name)
    except VerificationError:
        return
    assert not path.startswith("/")
    assert not path.endswith("/")
    assert not {"..", "."} & set(path.split("/"))
    assert (folder / path).is_relative_to(folder)
    assert not {"\0", "\\"} & set(path)
    assert path.partition("/")[0].lower() != ".dlcat"
    assert contained(path) == path
