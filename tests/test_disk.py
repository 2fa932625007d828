"""The disk: room is checked, refusals are said in words, small files appear whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dlcat.disk import disk_errors, free_bytes, link_or_copy, require_room, write_beside
from dlcat.errors import DiskError


def test_free_room_is_known_for_a_folder_that_does_not_exist_yet(tmp_path: Path):
    assert free_bytes(tmp_path / "not" / "yet") > 0
    assert not (tmp_path / "not").exists()


def test_too_little_room_names_needed_and_free(tmp_path: Path):
    with pytest.raises(DiskError, match=r"1000 PB needed, .* free") as caught:
        require_room(tmp_path, 10**18)
    assert caught.value.exit_code == 7
    assert "--cache" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "no space left"), (errno.EROFS, "read-only"), (errno.EACCES, "permission denied")],
)
def test_what_the_system_refuses_is_said_in_words(tmp_path: Path, code, words):
    with pytest.raises(DiskError, match=f"here: .*{words}"), disk_errors(tmp_path / "here"):
        raise OSError(code, os.strerror(code))


def test_a_small_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path):
    write_beside(tmp_path / "folder" / "note", "old")
    write_beside(tmp_path / "folder" / "note", "new")
    assert [(path.name, path.read_text()) for path in (tmp_path / "folder").iterdir()] == [("note", "new")]


def test_a_small_file_that_cannot_take_its_place_leaves_nothing_beside_it(tmp_path: Path):
    (tmp_path / "note").mkdir()
    with pytest.raises(DiskError):
        write_beside(tmp_path / "note", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_a_linked_file_takes_no_room_and_a_symbolic_link_is_followed(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"data")
    (tmp_path / "symbolic").symlink_to("file")
    link_or_copy(tmp_path / "symbolic", tmp_path / "linked")
    assert (tmp_path / "linked").samefile(tmp_path / "file")
    assert not (tmp_path / "linked").is_symlink()


def test_where_links_cannot_be_made_a_copy_has_the_same_bytes_and_time(tmp_path: Path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "file").write_bytes(b"data")
    os.utime(tmp_path / "file", ns=(7, 1_000_000_007))
    link_or_copy(tmp_path / "file", tmp_path / "copied")
    assert (tmp_path / "copied").read_bytes() == b"data"
    assert (tmp_path / "copied").stat().st_mtime_ns == 1_000_000_007
    assert not (tmp_path / "copied").samefile(tmp_path / "file")
