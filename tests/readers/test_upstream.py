"""Laws of all readers: what upstream's layout holds is what is read, whatever is in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlcat import locations
from dlcat.readers import Bad, Example, reader
from dlcat.workspace import Workspace
from tests import upstream
from tests.upstream import Written

SHIPPED = Workspace(locations.find()).catalog


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", upstream.names())
def test_what_is_written_is_what_is_read(name: str, seed: int, tmp_path: Path) -> None:
    dataset = SHIPPED[name]
    assert dataset.reader is not None
    for split, expected in upstream.write(name, tmp_path, seed).items():
        read = reader.bind(dataset.reader)(tmp_path, split)
        if reader.traits(dataset.reader.name).gives == "arrays":
            _require_equal_arrays(read, expected)
        else:
            found = list(read)
            assert not [bad for bad in found if isinstance(bad, Bad)]
            assert [_plain(example) for example in found] == expected


def _plain(example: Example) -> Written:
    assert example.place
    return Written(example.input, example.target, example.group, example.absent)


def _require_equal_arrays(read: tuple[np.ndarray, np.ndarray], expected: list[Written]) -> None:  # type: ignore[type-arg]
    inputs, targets = read
    assert np.array_equal(inputs, np.stack([each.input for each in expected]))
    assert targets.tolist() == [each.target for each in expected]
