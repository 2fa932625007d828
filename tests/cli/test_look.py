"""dlcat sample and dlcat stats, on every dataset of which a tiny version can be written in upstream's layout."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import upstream

Command = Callable[..., Any]
Tiny = Callable[[str], list[str]]


@pytest.mark.parametrize("name", upstream.names())
def test_what_was_written_is_shown_and_counted(name: str, tiny: Tiny, tmp_path: Path, command: Command) -> None:
    where = tiny(name)
    split, written = next(iter(upstream.write(name, _folder(tmp_path)).items()))
    answer = command("sample", name, *where, "-n", 3)
    assert answer.code == 0, answer.err
    shown = re.findall(rf"^{name} {re.escape(split)}\[(\d+)\]", answer.out, flags=re.M)
    assert len(shown) == min(3, len(written))
    assert command("sample", name, *where, "--html", tmp_path / "page.html").code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<figure") == min(4, len(written))
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    told = json.loads(command("sample", name, *where, "--json", "-n", 2).out)
    assert [each["number"] for each in told["examples"]]
    counted = command("stats", name, *where, "--json")
    if counted.code == 3 and "records" in counted.err:  # they are read and shown, not prepared
        return
    assert counted.code == 0, counted.err
    first = json.loads(counted.out)["splits"][0]
    assert (first["split"], first["examples"], first["unreadable"]) == (split, len(written), 0)
    assert command("stats", name, *where).code == 0


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "again"
    folder.mkdir()
    return folder


def test_repetitions_within_and_across_splits_are_counted(tiny: Tiny, tmp_path: Path, command: Command) -> None:
    where = tiny("twenty-newsgroups")
    assert command("fetch", "twenty-newsgroups", *where).code == 0
    top = tmp_path / "cache" / "data" / "twenty-newsgroups"
    train = sorted((top / "20news-bydate-train").rglob("[0-9]*"))
    test = sorted((top / "20news-bydate-test").rglob("[0-9]*"))
    train[1].write_bytes(train[0].read_bytes())
    test[0].write_bytes(train[0].read_bytes())
    found = json.loads(command("stats", "twenty-newsgroups", *where, "--json").out)
    assert found["splits"][0]["repeated"] == 1
    (overlap,) = found["overlaps"]
    assert (overlap["split"], overlap["other"], overlap["repeated"]) == ("train", "test", 1)


def test_a_sound_that_cannot_be_read_is_named(tiny: Tiny, tmp_path: Path, command: Command) -> None:
    where = tiny("fsdd")
    assert command("fetch", "fsdd", *where).code == 0
    broken = min((tmp_path / "cache" / "data" / "fsdd").rglob("*.wav"))
    broken.write_bytes(b"RIFF")
    found = json.loads(command("stats", "fsdd", *where, "--json").out)
    names = [name for split in found["splits"] for name in split["unreadable_names"]]
    assert len(names) == 1
    assert broken.name in names[0]


def test_an_option_of_the_reader_changes_what_is_counted_and_a_wrong_one_is_refused(
    tiny: Tiny, command: Command
) -> None:
    where = tiny("fsdd")
    found = json.loads(command("stats", "fsdd", *where, "--json", "--option", "target=speaker").out)
    assert "jackson" in dict(found["splits"][0]["classes"])
    assert command("stats", "fsdd", *where, "--option", "target=mood").code == 3
    assert command("stats", "fsdd", *where, "--option", "target").code == 2
