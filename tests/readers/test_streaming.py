"""What readers yield becomes targets and groups; what cannot be used stops, or is left out and named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcat.errors import VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.promised import Promised
from dlcat.readers.streaming import Targets, Usable, group_number, write_paths, write_texts

NAMED = Promised("classes", ("cat", "dog"), 2)


def _read(promised: Promised, *read: Example | Bad, skip_bad: bool = False) -> tuple[list[Example], Targets, Usable]:
    targets = Targets(promised)
    usable = Usable(read, targets, skip_bad)
    return list(usable), targets, usable


def _example(target: Any, place: str = "a:1", group: str = "") -> Example:
    return Example("text", target, place, group)


def test_names_are_numbered_as_in_the_catalog_and_numbers_are_taken_as_they_are() -> None:
    _, targets, _ = _read(NAMED, _example("dog"), _example(0), _example(None))
    assert targets.arrays()["targets"].tolist() == [1, 0, -1]
    assert targets.names == ["cat", "dog"]


def test_names_that_only_the_data_tell_are_numbered_in_their_order_whatever_comes_first() -> None:
    for order in (["b", "a", "c", "a"], ["a", "c", "b", "a"]):
        _, targets, _ = _read(Promised("classes", None, 3), *map(_example, order), _example(None))
        found = targets.arrays()["targets"]
        assert [targets.names[number] for number in found[:-1]] == order
        assert found[-1] == -1
        assert targets.names == ["a", "b", "c"]


def test_several_classes_are_marked_and_numbers_are_numbers() -> None:
    _, targets, _ = _read(NAMED, _example(("dog", "cat")), _example(()), _example(("dog",)))
    assert targets.arrays()["targets"].tolist() == [[1, 1], [0, 0], [0, 1]]
    _, targets, _ = _read(Promised("number"), _example(2.5), _example(None))
    found = targets.arrays()["targets"]
    assert found.dtype == np.float32
    assert found[0] == 2.5
    assert np.isnan(found[1])


BAD = {
    "an unknown name": (NAMED, _example("emu", "b.csv:7"), r"b\.csv:7: expected one of 2 classes \(cat, dog, .*'emu'"),
    "a number out of range": (NAMED, _example(2, "c"), r"c: expected a class from 0 to 1, found 2"),
    "no number": (Promised("number"), _example(float("inf"), "d:2"), r"d:2: expected a finite number"),
    "what the reader says": (NAMED, Bad("e:3", "three columns", "two"), r"e:3: expected three columns, found two"),
}


@pytest.mark.parametrize(("promised", "bad", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_used_stops_or_is_left_out_and_named(
    promised: Promised, bad: Example | Bad, message: str
) -> None:
    good = _example(1.0 if promised.kind == "number" else "cat")
    with pytest.raises(VerificationError, match=message):
        _read(promised, good, bad)
    kept, targets, usable = _read(promised, good, bad, good, skip_bad=True)
    assert len(kept) == len(targets.arrays()["targets"]) == len(targets.arrays()["groups"]) == 2
    assert usable.left_out_count == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(usable.left_out[0])


def test_a_file_that_cannot_be_opened_is_the_datas_fault(tmp_path: Path) -> None:
    def read() -> Iterator[Example]:
        yield _example("cat")
        (tmp_path / "gone.csv").read_bytes()

    with pytest.raises(VerificationError, match=r"gone\.csv: cannot be read: No such file"):
        list(Usable(read(), Targets(NAMED), skip_bad=True))


def test_groups_are_equal_where_their_names_are_and_nothing_is_no_group() -> None:
    assert group_number("george") == group_number("george") != group_number("theo")
    assert group_number("") == 0
    _, targets, _ = _read(NAMED, _example("cat", group="x"), _example("cat"), _example("dog", group="x"))
    groups = targets.arrays()["groups"]
    assert groups[0] == groups[2] == group_number("x")
    assert groups[1] == 0


def test_texts_and_paths_are_written_as_they_come(tmp_path: Path) -> None:
    write_texts([Example("één", "cat", "a"), Example("", "cat", "b"), Example("\ud800x", "cat", "c")], tmp_path)
    assert (tmp_path / "inputs.bin").read_bytes() == "één".encode() + b"?x"
    assert np.load(tmp_path / "lengths.npy").tolist() == [5, 0, 2]
    write_paths([Example("a/b.png", 0, "a"), Example("c.png", 0, "c")], tmp_path)
    assert np.load(tmp_path / "inputs.npy").tolist() == [b"a/b.png", b"c.png"]
