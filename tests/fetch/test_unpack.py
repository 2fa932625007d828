"""Archives: the good comes out byte for byte, the hostile and the damaged are refused by name, nothing gets out."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.catalog.dataset import Artifact, Member, Size
from dlcat.errors import VerificationError
from dlcat.fetch.store import Entry
from dlcat.fetch.unpack import Budget, budget, contained, unpack

ROOMY = Budget(10**9)
FILES = {"top.txt": b"top", "folder/deep/data.bin": bytes(range(256)) * 4000, "folder/empty": b""}


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


def zipped(members, compression=zipfile.ZIP_DEFLATED, mode=0o100777):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            info.external_attr = mode << 16
            archive.writestr(info, content, compression)
    return buffer.getvalue()


def encrypted_zip():
    raw = bytearray(zipped({"secret": b"text"}))
    raw[6] |= 1  # the flag in the local header
    raw[raw.index(b"PK\1\2") + 8] |= 1  # and in the central directory
    return bytes(raw)


def run(tmp_path: Path, content: bytes, kind: str, *, file="archive", limit=ROOMY, only=None, contents=()):
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    artifact = Artifact(file=file, provenance="made here", unpack=kind, contents=list(contents))
    steps = unpack(archive, artifact, tmp_path / "out", limit, only=only)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_comes_out_as_it_went_in_however_it_is_compressed(tmp_path, mode, layout):
    entries = run(tmp_path, tar(FILES, mode, format=layout), "tar")
    assert tree(tmp_path / "out") == FILES
    assert entries == [Entry(name, len(content)) for name, content in FILES.items()]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_comes_out_as_it_went_in_however_it_is_compressed(tmp_path, compression):
    entries = run(tmp_path, zipped(FILES, compression), "zip")
    assert tree(tmp_path / "out") == FILES
    assert entries == [Entry(name, len(content)) for name, content in FILES.items()]


@pytest.mark.parametrize(("kind", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress)])
def test_a_single_file_is_named_after_its_archive(tmp_path, kind, compress):
    run(tmp_path, compress(b"data" * 1000), kind, file=f"images.idx.{kind}")
    assert tree(tmp_path / "out") == {"images.idx": b"data" * 1000}


def test_a_single_file_is_named_as_the_catalog_says(tmp_path):
    run(tmp_path, gzip.compress(b"data"), "gz", file="x.gz", contents=[Member(path="real/name")])
    assert tree(tmp_path / "out") == {"real/name": b"data"}


def test_a_gzip_of_several_members_comes_out_whole(tmp_path):
    run(tmp_path, gzip.compress(b"one") + gzip.compress(b"two"), "gz", file="x.gz")
    assert tree(tmp_path / "out") == {"x": b"onetwo"}


def test_a_plain_file_is_linked_not_copied(tmp_path):
    assert run(tmp_path, b"data", "none", file="plain.bin") == [Entry("plain.bin", 4)]
    assert (tmp_path / "out" / "plain.bin").samefile(tmp_path / "archive")


@pytest.mark.parametrize("content", [tar(FILES | {"dir": (tarfile.DIRTYPE, "")}), None])
def test_modes_of_the_archive_are_not_taken_over(tmp_path, content):
    run(tmp_path, content or zipped(FILES), "tar" if content else "zip")
    modes = {stat.S_IMODE(path.stat().st_mode) & ~0o755 for path in (tmp_path / "out").rglob("*")}
    assert modes == {0}
    assert not any(path.stat().st_mode & 0o111 for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_only_what_is_vouched_for_is_unpacked(tmp_path):
    assert run(tmp_path, tar(FILES), "tar", only=frozenset({"top.txt"})) == [Entry("top.txt", 3)]
    assert tree(tmp_path / "out") == {"top.txt": b"top"}


def test_what_macos_adds_to_zips_is_left_out(tmp_path):
    run(tmp_path, zipped({"a": b"a", "__MACOSX/._a": b"junk"}), "zip")
    assert tree(tmp_path / "out") == {"a": b"a"}


def test_of_a_name_that_stands_twice_the_later_holds(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for content in (b"first", b"second!"):
            info = tarfile.TarInfo("./same")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assert run(tmp_path, buffer.getvalue(), "tar") == [Entry("same", 7)]
    assert tree(tmp_path / "out") == {"same": b"second!"}


LONG = "x" * 300
HOSTILE = {
    "tar parent": (tar({"../evil": b"x"}), "tar", r"\.\./evil"),
    "tar parent inside": (tar({"a/../../evil": b"x"}), "tar", "evil"),
    "tar parent folder": (tar({"../evil": (tarfile.DIRTYPE, "")}), "tar", "evil"),
    "tar absolute": (tar({"/etc/evil": b"x"}), "tar", "/etc/evil"),
    "tar drive": (tar({"C:/evil": b"x"}), "tar", "C:/evil"),
    "tar backslash": (tar({"..\\evil": b"x"}), "tar", "evil"),
    "tar symlink up": (
        tar({"link": (tarfile.SYMTYPE, "../outside"), "link/evil": b"x"}),
        "tar",
        "link to '../outside'",
    ),
    "tar symlink absolute": (tar({"link": (tarfile.SYMTYPE, "/etc/passwd")}), "tar", "link to '/etc/passwd'"),
    "tar symlink inside": (tar({"a": b"x", "link": (tarfile.SYMTYPE, "a")}), "tar", "'link' is a link"),
    "tar hard link": (tar({"link": (tarfile.LNKTYPE, "../outside")}), "tar", "'link' is a link"),
    "tar device": (tar({"null": (tarfile.CHRTYPE, "")}), "tar", "'null' is a device"),
    "tar block device": (tar({"disk": (tarfile.BLKTYPE, "")}), "tar", "'disk' is a device"),
    "tar pipe": (tar({"pipe": (tarfile.FIFOTYPE, "")}), "tar", "'pipe' is a device or a pipe"),
    "tar long name": (tar({LONG: b"x"}), "tar", "too long a name"),
    "tar deep": (tar({"d/" * 100 + "f": b"x"}), "tar", "too long a name"),
    "tar long path": (tar({f"{'y' * 200}/" * 6 + "f": b"x"}), "tar", "too long a name"),
    "tar own folder": (tar({".dlcat/toy.jsonl": b"x"}), "tar", "belongs to dlcat"),
    "tar own folder in capitals": (tar({"./.DLCAT/toy.jsonl": b"x"}), "tar", "belongs to dlcat"),
    "tar file as folder": (tar({"a": b"x", "a/b": b"y"}), "tar", "file here and a folder there"),
    "tar folder as file": (tar({"a/b": b"y", "a": b"x"}), "tar", "file here and a folder there"),
    "tar nameless": (tar({".": b"x"}), "tar", "no name"),
    "zip parent": (zipped({"../evil": b"x"}), "zip", r"\.\./evil"),
    "zip absolute": (zipped({"/evil": b"x"}), "zip", "/evil"),
    "zip drive": (zipped({"C:evil": b"x"}), "zip", "C:evil"),
    "zip backslash": (zipped({"..\\evil": b"x"}), "zip", "evil"),
    "zip zero byte": (zipped({"good\0../evil": b"x"}), "zip", "good"),
    "zip symlink": (zipped({"link": b"/etc/passwd"}, mode=0o120777), "zip", "'link' is a link"),
    "zip device": (zipped({"null": b""}, mode=0o020666), "zip", "'null' is a link or a device"),
    "zip own folder": (zipped({".dlcat/x": b"x"}), "zip", "belongs to dlcat"),
    "zip encrypted": (encrypted_zip(), "zip", "'secret' is encrypted"),
    "zip long name": (zipped({LONG: b"x"}), "zip", "too long a name"),
}


@pytest.mark.parametrize(("content", "kind", "words"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_by_name_and_nothing_leaves_the_folder(tmp_path, content, kind, words):
    (tmp_path / "outside").mkdir()
    with pytest.raises(VerificationError, match=words) as caught:
        run(tmp_path, content, kind)
    assert caught.value.message.startswith("archive: ")
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "outside", "out"}
    assert not list((tmp_path / "outside").iterdir())
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


BOMB = bytes(10_000_000)


@pytest.mark.parametrize(
    ("content", "kind", "file"),
    [
        (tar({"bomb": BOMB}, "w:gz"), "tar", "bomb.tgz"),
        (zipped({"bomb": BOMB}), "zip", "bomb.zip"),
        (gzip.compress(BOMB), "gz", "bomb.gz"),
        (bz2.compress(BOMB), "bz2", "bomb.bz2"),
    ],
)
def test_a_bomb_is_stopped_at_the_limit(tmp_path, content, kind, file):
    with pytest.raises(VerificationError, match=rf"{file}: expected at most 1000000 bytes unpacked"):
        run(tmp_path, content, kind, file=file, limit=Budget(1_000_000))
    assert sum(len(data) for data in tree(tmp_path / "out").values()) <= 1_000_000


def test_too_many_members_are_refused(tmp_path):
    with pytest.raises(VerificationError, match="expected at most 10 members"):
        run(tmp_path, tar({f"d{n}": (tarfile.DIRTYPE, "") for n in range(11)}), "tar", limit=Budget(10**9, members=10))


def test_the_budget_follows_the_catalog_or_the_archive_and_never_starves_a_small_one(make_dataset, make_artifact):
    small = make_dataset(make_artifact("a", b""))
    assert budget(small, 100).size_bytes == 64 * 2**20
    assert budget(small, 10_000_000).size_bytes == 2_000_000_000
    known = make_dataset(make_artifact("a", b""), size=Size(download=None, unpacked=10**10))
    assert budget(known, 1000).size_bytes == 11 * 10**9 + 2**20


DAMAGED = {
    "not a tar": (b"<html>login</html>" * 100, "tar"),
    "empty tar": (b"", "tar"),
    "not a zip": (b"<html>login</html>" * 100, "zip"),
    "not a gzip": (b"<html>login</html>", "gz"),
    "bzip2 called gzip": (bz2.compress(b"data"), "gz"),
    "cut tar": (tar(FILES)[:5000], "tar"),
    "cut tar in a header": (tar(FILES)[:1300], "tar"),
    "cut tar.gz": (tar(FILES, "w:gz")[:-20], "tar"),
    "cut tar.bz2": (tar(FILES, "w:bz2")[:-20], "tar"),
    "cut tar.xz": (tar(FILES, "w:xz")[:-20], "tar"),
    "cut gzip": (gzip.compress(b"data" * 1000)[:-9], "gz"),
    "cut bzip2": (bz2.compress(b"data" * 1000)[:-9], "bz2"),
    "wrong crc": (gzip.compress(b"data")[:-8] + bytes(8), "gz"),
    "wrong crc of a tar.gz": (tar(FILES, "w:gz")[:-8] + bytes(8), "tar"),
    "cut zip": (zipped(FILES)[:-30], "zip"),
    "second header damaged": (tar(FILES)[:1024] + b"\x80" + tar(FILES)[1025:], "tar"),
    "xz called tar": (lzma.compress(b"no tar inside"), "tar"),
}


@pytest.mark.parametrize(("content", "kind"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_archive_is_refused_by_name(tmp_path, content, kind):
    with pytest.raises(VerificationError, match=r"^archive: "):
        run(tmp_path, content, kind)


def test_a_member_whose_bytes_changed_is_refused(tmp_path):
    content = zipped({"a": b"right bytes"}, zipfile.ZIP_STORED).replace(b"right bytes", b"wrong bytes")
    with pytest.raises(VerificationError, match="Bad CRC"):
        run(tmp_path, content, "zip")


@pytest.mark.parametrize(
    ("content", "kind"),
    [(tar(FILES), "tar"), (tar(FILES, "w:gz"), "tar"), (zipped(FILES), "zip"), (gzip.compress(FILES["top.txt"]), "gz")],
    ids=["tar", "tar.gz", "zip", "gz"],
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


HOSTILE_TEXT = st.text(st.sampled_from("./\\ab:C\0~-é ")) | st.text(max_size=40)


@settings(max_examples=500, deadline=None)
@given(name=HOSTILE_TEXT)
def test_a_contained_path_stays_in_its_folder_and_the_rest_is_refused(name):
    folder = Path("/store/data")
    try:
        path = contained(name)
    except VerificationError:
        return
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert (folder / path).is_relative_to(folder)
    assert not {"\0", "\\"} & set(str(path))
    assert str(path) == "." or path.parts[0].lower() != ".dlcat"


@given(parts=st.lists(st.text("abcäö 0.-_", min_size=1, max_size=20).filter(lambda part: part.strip(".")), min_size=1))
@settings(max_examples=200, deadline=None)
def test_an_ordinary_path_is_kept_as_it_is(parts):
    name = "/".join(parts[:20])
    assert str(contained(name)) == name
