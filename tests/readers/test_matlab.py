"""matlab: what SciPy writes is read as SciPy reads it; damaged files, which crash SciPy, are refused."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from scipy.io import savemat

from dlcat.errors import DlcatError, VerificationError
from dlcat.readers.matlab import Variable, headers, values

KINDS = {"f8": "double", "f4": "single", "i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32"}
KINDS |= {"u4": "uint32", "i8": "int64", "u8": "uint64"}


@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)), compressed=st.booleans())
@settings(max_examples=100)
def test_arrays_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str, compressed: bool
) -> None:
    shapes = numpy_strategies.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=5)
    array = data.draw(numpy_strategies.arrays(kind, shapes))
    path = tmp_path_factory.getbasetemp() / "a.mat"
    savemat(path, {"first": np.ones((2, 2)), "array": array, "last": "text"}, do_compression=compressed)
    assert headers(path)["array"] == Variable(KINDS[kind], array.shape)
    found = values(path, ["array", "last"], most_bytes=array.nbytes)
    np.testing.assert_array_equal(found["array"], array)
    assert found["array"].dtype == array.dtype
    assert found["last"] == "text"


def test_structures_are_lists_of_fields_by_columns(tmp_path: Path) -> None:
    table = np.zeros((2, 1), [("name", object), ("numbers", object), ("inner", object)])
    table[0, 0] = ("café", np.array([[1.0, 2.0]]), {"x": 3.0})
    table[1, 0] = ("", np.zeros((0, 0)), {"x": np.eye(2)})
    savemat(tmp_path / "s.mat", {"table": table})
    first, second = values(tmp_path / "s.mat", ["table"], most_bytes=10_000)["table"]
    assert (first["name"], first["numbers"].tolist(), first["inner"][0]["x"].tolist()) == ("café", [[1, 2]], [[3]])
    assert (second["name"], second["numbers"].size, second["inner"][0]["x"].tolist()) == ("", 0, [[1, 0], [0, 1]])


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"x": np.eye(2) * 1j}, "expected a matrix of real values"),
        ({"x": np.array(["a", 1], object)}, "expected numbers, text or structures, found cell, 0 deep"),
        ({"x": {"a": {"b": {"c": {"d": 1}}}}}, "found struct, 3 deep"),
        ({"x": np.zeros((300, 300))}, "expected a smaller variable"),
        ({"y": 1}, "expected the variables x, found none"),
    ],
)
def test_what_is_not_expected_is_refused(tmp_path: Path, variables: dict[str, Any], message: str) -> None:
    path = tmp_path / "x.mat"
    savemat(path, variables)
    with pytest.raises(VerificationError, match=message) as caught:
        values(path, ["x"], most_bytes=100_000)
    assert str(path) in caught.value.message


def test_a_bomb_takes_no_more_memory_than_was_promised(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "bomb.mat"
    savemat(path, {"x": np.zeros((4000, 1000))}, do_compression=True)
    assert path.stat().st_size < 40_000
    tracemalloc.start()
    with pytest.raises(
        VerificationError, match="expected a smaller variable, found one that goes on for 32,000,000 bytes"
    ):
        values(path, ["x"], most_bytes=1 << 20)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_compressed_values_are_held_against_their_checksum(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    savemat(path, {"x": np.arange(100.0)}, do_compression=True)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1  # of Adler-32
    path.write_bytes(raw)
    with pytest.raises(
        VerificationError, match=r"expected what was compressed, found what cannot be read: .*data check"
    ):
        values(path, ["x"], most_bytes=10_000)


def test_bytes_that_fill_up_to_the_next_multiple_of_eight_may_be_missing_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    savemat(path, {"x": np.arange(9, dtype=np.uint8)}, do_compression=True)
    raw = path.read_bytes()
    matrix = zlib.compress(zlib.decompress(raw[136:])[:-7])
    path.write_bytes(raw[:132] + len(matrix).to_bytes(4, "little") + matrix)
    assert values(path, ["x"], most_bytes=100)["x"].tolist() == [list(range(9))]


@given(at=st.integers(0, 900), value=st.binary(min_size=1, max_size=8), compressed=st.booleans())
@settings(max_examples=150)
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: bytes, compressed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.mat"
    savemat(path, {"s": {"name": "text", "x": np.eye(3)}, "x": np.arange(9, dtype=np.int16)}, do_compression=compressed)
    raw = path.read_bytes()
    path.write_bytes(raw[:at] + value + raw[at + len(value) :])
    try:
        values(path, list(headers(path)), most_bytes=10_000)
    except DlcatError as error:
        assert error.exit_code == 5  # noqa: PT017 - or it was read
