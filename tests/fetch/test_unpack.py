"""Archives that mean well: every byte comes out, under the right name, whoever packed it and however."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.catalog.dataset import Artifact, Member, Size
from dlcat.errors import VerificationError
from dlcat.fetch.store import Entry
from dlcat.fetch.unpack import Budget, budget, contained, streams, unpack
from dlcat.fetch.unpack.budget import Account
from dlcat.fetch.unpack.target import Target

ROOMY = Budget(10**9)
FILES = {"top.txt": b"top", "folder/deep/data.bin": bytes(range(256)) * 4000, "folder/empty": b""}
LARGE = {f"images/{n}.bin": bytes([n]) * 700_000 for n in range(12)}


def tar(members, mode="w", **options):
    """A tar of names to bytes, or to a TarInfo type and link name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.mode = 0o6777
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                archive.addfile(info)
    return buffer.getvalue()


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def header(name, size_field, kind=b"0", magic=b"ustar\x0000", signed=False):
    """A tar header written by hand."""
    block = bytearray(
        struct.pack(
            "100s8s8s8s12s12s8s1s100s8s", name, b"644", b"0", b"0", size_field, b"0", b" " * 8, kind, b"", magic
        )
    )
    block += bytes(512 - len(block))
    total = sum(byte - 256 * (signed and byte > 127) for byte in block)
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


def padded(content):
    return content + bytes(-len(content) % 512)


def run(tmp_path: Path, content: bytes, kind: str, *, file="archive", limit=ROOMY, only=None, **fields):
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    artifact = Artifact(file=file, provenance="made here", unpack=kind, **fields)
    steps = unpack(archive, artifact, tmp_path / "out", limit, only=only)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def entries_of(files):
    return [
        Entry(name, len(files[name]), f"sha256:{hashlib.sha256(files[name]).hexdigest()}") for name in sorted(files)
    ]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_comes_out_as_it_went_in_however_it_is_compressed(tmp_path, mode, layout):
    entries = run(tmp_path, tar(FILES, mode, format=layout), "tar")
    assert tree(tmp_path / "out") == FILES
    assert entries == entries_of(FILES)


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("compression", METHODS)
@pytest.mark.parametrize("files", [FILES, LARGE, {}], ids=["small", "large", "none"])
def test_a_zip_comes_out_as_it_went_in_however_it_is_compressed(tmp_path, compression, files):
    entries = run(tmp_path, zipped(files, compression), "zip")
    assert tree(tmp_path / "out") == files
    assert entries == entries_of(files)


@pytest.mark.parametrize(
    ("kind", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)], ids=["gz", "bz2", "xz"]
)
@pytest.mark.parametrize("size", [0, 4, 3_000_000])
def test_a_single_file_is_named_after_its_archive(tmp_path, kind, compress, size):
    content = os.urandom(size // 2) + bytes(size - size // 2)
    run(tmp_path, compress(content), kind, file=f"images.idx.{kind}")
    assert tree(tmp_path / "out") == {"images.idx": content}


def test_a_single_file_is_named_as_the_catalog_says(tmp_path):
    run(tmp_path, gzip.compress(b"data"), "gz", file="x.gz", contents=[Member(path="real/name")])
    assert tree(tmp_path / "out") == {"real/name": b"data"}


@pytest.mark.parametrize(
    ("kind", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)], ids=["gz", "bz2", "xz"]
)
@pytest.mark.parametrize("between", [b"", bytes(512)], ids=["", "padded"])
def test_streams_that_follow_one_another_are_one_file(tmp_path, kind, compress, between):
    run(tmp_path, compress(b"one") + between + compress(b"two") + bytes(1024), kind, file=f"x.{kind}")
    assert tree(tmp_path / "out") == {"x": b"onetwo"}


def test_zstd_is_read_where_something_is_installed_that_does(tmp_path):
    zstd = pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")
    run(tmp_path, zstd.compress(b"data" * 1000), "zst", file="x.zst")
    assert tree(tmp_path / "out") == {"x": b"data" * 1000}


def test_zstd_says_what_to_install_where_nothing_does(tmp_path, monkeypatch):
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(VerificationError, match="zstd") as caught:
        run(tmp_path, b"\x28\xb5\x2f\xfd" + bytes(20), "zst", file="x.zst")
    assert caught.value.hint == "pip install 'dlcat[zst]'"


def test_without_isal_the_standard_library_reads_the_same(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "isal", None)
    streams.deflate.cache_clear()
    try:
        for kind, content in (("tar", tar(FILES, "w:gz")), ("zip", zipped(FILES)), ("gz", gzip.compress(b"data"))):
            (tmp_path / kind).mkdir()
            run(tmp_path / kind, content, kind)
    finally:
        streams.deflate.cache_clear()
    assert tree(tmp_path / "tar" / "out") == tree(tmp_path / "zip" / "out") == FILES
    assert tree(tmp_path / "gz" / "out") == {"archive": b"data"}


def test_a_plain_file_is_linked_not_copied(tmp_path):
    assert run(tmp_path, b"data", "none", file="plain.bin") == [Entry("plain.bin", 4)]
    assert (tmp_path / "out" / "plain.bin").samefile(tmp_path / "archive")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_modes_of_the_archive_are_not_taken_over(tmp_path, kind):
    content = tar(FILES | {"dir": (tarfile.DIRTYPE, "")}) if kind == "tar" else zipped(FILES)
    run(tmp_path, content, kind)
    modes = {stat.S_IMODE(path.stat().st_mode) & ~0o755 for path in (tmp_path / "out").rglob("*")}
    assert modes == {0}
    assert not any(path.stat().st_mode & 0o111 for path in (tmp_path / "out").rglob("*") if path.is_file())


@pytest.mark.parametrize(("content", "kind"), [(tar(FILES), "tar"), (zipped(FILES), "zip")], ids=["tar", "zip"])
def test_only_what_is_vouched_for_is_unpacked(tmp_path, content, kind):
    assert run(tmp_path, content, kind, only=frozenset({"top.txt"})) == entries_of({"top.txt": b"top"})
    assert tree(tmp_path / "out") == {"top.txt": b"top"}


def test_what_macos_adds_to_zips_is_left_out(tmp_path):
    run(tmp_path, zipped({"a": b"a", "__MACOSX/._a": b"junk"}), "zip")
    assert tree(tmp_path / "out") == {"a": b"a"}


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_with_the_same_bytes_is_one_file(tmp_path, kind):
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("same", b"bytes")
            archive.writestr("same", b"bytes")
    else:
        once = tar({"same": b"bytes"})[:1024]
        buffer.write(once + once + bytes(1024))
    run(tmp_path, buffer.getvalue(), kind)
    assert tree(tmp_path / "out") == {"same": b"bytes"}


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize(("one", "other"), [("README", "readme"), ("caf\u00e9", "cafe\u0301")], ids=["case", "form"])
def test_names_that_are_one_file_on_some_disks_are_two_where_the_disk_at_hand_knows_them_apart(
    tmp_path, kind, one, other
):
    files = {one: b"1", other: b"2"}
    (tmp_path / one).touch()
    is_one_file = (tmp_path / other).exists()
    content = tar(files) if kind == "tar" else zipped(files)
    if is_one_file:
        with pytest.raises(VerificationError, match="are one file on this disk"):
            run(tmp_path, content, kind)
    else:
        run(tmp_path, content, kind)
        assert tree(tmp_path / "out") == files


@pytest.mark.parametrize(("one", "other"), [("README", "readme"), ("caf\u00e9", "cafe\u0301")], ids=["case", "form"])
def test_of_two_names_that_are_one_file_neither_takes_the_other_ones_place(tmp_path, one, other):
    target = Target(tmp_path, Account(ROOMY))
    list(target.write(one, [b"first"]))
    with suppress(FileExistsError):
        os.link(tmp_path / one, tmp_path / other)  # as a disk has it that takes the names for the same
    with pytest.raises(VerificationError, match=re.escape(f"members {one!r} and {other!r} are one file on this disk")):
        list(target.write(other, [b"second"]))
    assert (tmp_path / one).read_bytes() == b"first"


# Other writers


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar command")
@pytest.mark.parametrize("layout", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_what_the_tar_command_packs_comes_out(tmp_path, layout):
    files = FILES if layout == "v7" else FILES | {f"{'long' * 20}/{'name' * 22}.txt": b"long"}
    for name, content in files.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    command = ["tar", f"--format={layout}", "-czf", tmp_path / "packed.tgz", "-C", tmp_path / "in", "."]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this tar does not know the format")
    run(tmp_path, (tmp_path / "packed.tgz").read_bytes(), "tar")
    assert tree(tmp_path / "out") == files


OTHER_TARS = {
    "size in base 256": header(b"a", b"\x80" + (5).to_bytes(11, "big")) + padded(b"bytes"),
    "size padded with spaces": header(b"a", b"      5 ") + padded(b"bytes"),
    "signed checksum": header(b"\xc3\xa9" * 9 + b"a", b"5", signed=True) + padded(b"bytes"),
    "unmarked kind": header(b"a", b"5", kind=b"\0", magic=b"") + padded(b"bytes"),
    "contiguous": header(b"a", b"5", kind=b"7") + padded(b"bytes"),
    "label": header(b"volume", b"0", kind=b"V") + header(b"a", b"5") + padded(b"bytes"),
    "folder by its name": header(b"folder/", b"0", kind=b"\0") + header(b"a", b"5") + padded(b"bytes"),
    "header for all": (
        header(b"g", b"%o" % 17, kind=b"g") + padded(b"17 comment=hello\n") + header(b"a", b"5") + padded(b"bytes")
    ),
    "times in the prefix": header(b"a", b"5", magic=b"ustar  \0") + padded(b"bytes"),
}


@pytest.mark.parametrize("content", OTHER_TARS.values(), ids=OTHER_TARS)
@pytest.mark.parametrize("end", [bytes(1024), bytes(512), bytes(1024) + b"memory" * 1000], ids=["", "one", "record"])
def test_tars_of_old_and_strange_writers_are_read(tmp_path, content, end):
    run(tmp_path, content + end, "tar")
    assert list(tree(tmp_path / "out").values()) == [b"bytes"]


class _Pipe(io.RawIOBase):
    """What cannot be gone back in, so that sizes stand behind the members."""

    def __init__(self):
        self.content = b""

    def writable(self):
        return True

    def write(self, data):
        self.content += bytes(data)
        return len(data)


def test_a_zip_that_was_written_to_a_pipe_comes_out(tmp_path):
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    run(tmp_path, pipe.content, "zip")
    assert tree(tmp_path / "out") == FILES


def test_a_zip_with_64_bit_sizes_comes_out(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a", "w", force_zip64=True) as member:
        member.write(b"bytes")
    run(tmp_path, buffer.getvalue(), "zip")
    assert tree(tmp_path / "out") == {"a": b"bytes"}


def test_a_zip_behind_a_program_that_unpacks_it_comes_out(tmp_path):
    run(tmp_path, b"#!/bin/sh\nunzip\n" + zipped(FILES), "zip")
    assert tree(tmp_path / "out") == FILES


def test_a_zip_with_a_comment_comes_out(tmp_path):
    buffer = io.BytesIO(zipped(FILES))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"made by hand"
    run(tmp_path, buffer.getvalue(), "zip")
    assert tree(tmp_path / "out") == FILES


@pytest.mark.parametrize(("raw", "name"), [("é".encode(), "é"), ("é".encode("cp437"), "é")], ids=["macOS", "DOS"])
def test_names_of_a_zip_that_does_not_say_how_they_are_encoded_are_told(tmp_path, raw, name):
    content = zipped({"?" * len(raw): b"x"}).replace(b"?" * len(raw), raw)
    run(tmp_path, content, "zip")
    assert tree(tmp_path / "out") == {name: b"x"}


# Archives inside archives


INNER = {"1.JPEG": b"one", "deep/2.JPEG": b"two"}


def test_a_tar_of_tars_becomes_a_folder_of_folders(tmp_path):
    content = tar({"n01.tar": tar(INNER), "n02.tar": tar({"3.JPEG": b"three"}), "readme": b"r", ".tar": b"no name"})
    entries = run(tmp_path, content, "tar", nested="tar")
    expected = {
        "n01/1.JPEG": b"one",
        "n01/deep/2.JPEG": b"two",
        "n02/3.JPEG": b"three",
        "readme": b"r",
        ".tar": b"no name",
    }
    assert tree(tmp_path / "out") == expected
    assert entries == entries_of(expected)


def test_a_zip_of_zips_does_not_put_a_folder_into_one_of_its_name(tmp_path):
    inner = zipped({"val/": b"", "val/1.png": b"one", "other/2.png": b"two", "__MACOSX/val/x": b"junk"})
    run(tmp_path, zipped({"masks/val.json": b"{}", "masks/val.zip": inner}), "zip", nested="zip")
    expected = {"masks/val.json": b"{}", "masks/val/1.png": b"one", "masks/val/other/2.png": b"two"}
    assert tree(tmp_path / "out") == expected
    assert not (tmp_path / "out" / "masks" / "val" / "val").exists()


def test_a_zip_of_compressed_tars_is_unpacked_in_full(tmp_path):
    content = zipped({"all.tar.gz": tar(INNER, "w:gz"), "mini.tar.gz": tar(INNER, "w:gz"), "plain.tar": b"stays"})
    run(tmp_path, content, "zip", nested="tar.gz")
    inside = {f"{folder}/{name}": body for folder in ("all", "mini") for name, body in INNER.items()}
    assert tree(tmp_path / "out") == {**inside, "plain.tar": b"stays"}


def test_archives_two_levels_down_stay_as_they_are(tmp_path):
    third = tar({"never": b"x"})
    run(tmp_path, tar({"a.tar": tar({"b.tar": third})}), "tar", nested="tar")
    assert tree(tmp_path / "out") == {"a/b.tar": third}


def test_one_file_is_found_inside_an_archive_inside(tmp_path):
    content = tar({"n01.tar": tar(INNER), "n02.tar": b"not a tar, and not looked at", "readme": b"r"})
    run(tmp_path, content, "tar", nested="tar", only=frozenset({"n01/deep/2.JPEG"}))
    assert tree(tmp_path / "out") == {"n01/deep/2.JPEG": b"two"}


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (tar({"../../evil": b"x"}), "would leave the folder"),
        (tar({"link": (tarfile.SYMTYPE, "/etc")}), "is a link"),
        (tar(INNER)[:700], "ends before its end mark"),
        (tar({"bomb": bytes(2_000_000)}), "expected at most 1000000 bytes"),
        (tar({f"{n}": b"" for n in range(30)}), "expected at most 20 members"),
    ],
)
def test_what_is_refused_outside_is_refused_inside(tmp_path, inner, words):
    content = tar({"n01.tar": gzip.compress(inner)})
    with pytest.raises(VerificationError, match=f"^archive: n01.tar: .*{words}"):
        run(tmp_path, content, "tar", nested="tar", limit=Budget(1_000_000, members=20))
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "out"}


def test_an_archive_may_not_become_the_folder_of_dlcat(tmp_path):
    with pytest.raises(VerificationError, match="belongs to dlcat"):
        run(tmp_path, tar({".dlcat.tar": tar(INNER)}), "tar", nested="tar")


# Budget, progress, threads


def test_the_budget_is_twice_what_the_catalog_promises(make_dataset, make_artifact):
    artifact = make_artifact("a", b"")
    known = make_dataset(artifact, size=Size(download=None, unpacked=10**10))
    assert budget(known, artifact, 1000).size_bytes == 2 * 10**10
    assert budget(known, artifact, 10**12).size_bytes == 2 * 10**10


def test_without_a_promise_the_budget_follows_the_archive_and_never_starves_a_small_one(make_dataset, make_artifact):
    artifact, extra = make_artifact("a", b""), make_artifact("b", b"", part="extra")
    unknown = make_dataset(artifact)
    assert budget(unknown, artifact, 100).size_bytes == 64 * 2**20
    assert budget(unknown, artifact, 10_000_000).size_bytes == 2_000_000_000
    known = make_dataset(artifact, extra, size=Size(download=None, unpacked=5))
    assert budget(known, artifact, 10_000_000).size_bytes == 64 * 2**20
    assert (
        budget(known, extra, 10_000_000).size_bytes == 2_000_000_000
    )  # the promise is about what is fetched by default


@pytest.mark.parametrize(
    ("content", "kind", "total"),
    [(zipped(LARGE), "zip", 8_400_000), (zipped(FILES), "zip", 1_024_003), (tar(LARGE, "w:gz"), "tar", None)],
    ids=["large zip", "small zip", "tar"],
)
def test_progress_counts_every_byte(tmp_path, content, kind, total):
    (tmp_path / "archive").write_bytes(content)
    artifact = Artifact(file="a", provenance="made here", unpack=kind)
    steps = list(unpack(tmp_path / "archive", artifact, tmp_path / "out", ROOMY))
    done = [done for done, _ in steps]
    assert done == sorted(done)
    assert done[-1] == sum(map(len, tree(tmp_path / "out").values()))
    assert {of for _, of in steps} == {total}


@pytest.mark.parametrize(("content", "kind"), [(zipped(LARGE), "zip"), (tar(LARGE, "w:gz"), "tar")], ids=["zip", "tar"])
def test_who_stops_early_leaves_no_thread_behind(tmp_path, content, kind):
    (tmp_path / "archive").write_bytes(content)
    before = threading.active_count()
    steps = unpack(
        tmp_path / "archive", Artifact(file="a", provenance="made here", unpack=kind), tmp_path / "out", ROOMY
    )
    next(steps)
    steps.close()
    assert threading.active_count() == before


# Properties


NAMES = st.lists(
    st.text(st.characters(exclude_characters="/\\\0:.", exclude_categories=("Cs",)), min_size=1, max_size=12),
    min_size=1,
    max_size=8,
)
TREES = st.dictionaries(
    NAMES.map(lambda parts: "d/" * (len(parts) > 1) + "/".join(parts)), st.binary(max_size=3000), max_size=6
)


def _is_tree(files):
    """No path is the folder of another, or the same on disks that fold names."""
    folders = {name[:at] for name in files for at, sign in enumerate(name) if sign == "/"}
    return not folders & files.keys()


@settings(max_examples=80, deadline=None)
@given(
    files=TREES.filter(_is_tree),
    layout=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    mode=st.sampled_from(["w", "w:gz", "w:bz2"]),
)
def test_every_tree_that_the_standard_library_packs_comes_out(tmp_path_factory, files, layout, mode):
    folder = tmp_path_factory.mktemp("tree")
    entries = run(folder, tar(files, mode, format=layout), "tar")
    assert entries == entries_of(files)
    assert tree(folder / "out") == files


@settings(max_examples=80, deadline=None)
@given(files=TREES.filter(_is_tree), compression=st.sampled_from(METHODS))
def test_every_tree_that_is_zipped_comes_out(tmp_path_factory, files, compression):
    folder = tmp_path_factory.mktemp("tree")
    assert run(folder, zipped(files, compression), "zip") == entries_of(files)
    assert tree(folder / "out") == files


COMPRESSORS = {
    "gz": (gzip.compress, lambda: streams.deflate().decompressobj(31)),
    "bz2": (bz2.compress, bz2.BZ2Decompressor),
    "xz": (lzma.compress, lzma.LZMADecompressor),
}


@pytest.mark.parametrize(("compress", "start"), COMPRESSORS.values(), ids=COMPRESSORS)
@settings(max_examples=40, deadline=None)
@given(
    contents=st.lists(
        st.binary(max_size=50) | st.just(bytes(2_500_000)) | st.just(bytes(2**20)), min_size=1, max_size=3
    ),
    zeros=st.integers(0, 9),
    cuts=st.lists(st.integers(0, 5000), max_size=5),
)
def test_however_compressed_bytes_are_cut_the_same_comes_out_in_small_chunks(compress, start, contents, zeros, cuts):
    packed = b"".join(compress(content) + bytes(zeros) for content in contents)
    places = [0, *sorted(cut for cut in cuts if cut < len(packed)), len(packed)]
    chunks = list(streams.expanded((packed[a:b] for a, b in pairwise(places)), start))
    assert b"".join(chunks) == b"".join(contents)
    assert all(0 < len(chunk) <= streams.CHUNK_BYTES for chunk in chunks)


@given(parts=st.lists(st.text("abcäö 0.-_", min_size=1, max_size=20).filter(lambda part: part.strip(".")), min_size=1))
@settings(max_examples=200, deadline=None)
def test_an_ordinary_path_is_kept_as_it_is(parts):
    name = "/".join(parts[:20])
    assert contained(name) == name
