"""Checkpoints: what is put in comes out to the bit, the last whole one is found, and nothing else is taken for one."""

from __future__ import annotations

import math
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlcat.errors import DiskError, StoppedError
from dlcat.train.checkpoint import KEPT, Checkpoints, pack, unpack


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Of any kind of number and up to four axes, some of them in another order of memory."""
    kind = draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]))
    shape = draw(st.lists(st.integers(0, 3), max_size=4))
    made = torch.randn(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 99)))).mul(9).to(kind)
    order = draw(st.permutations(range(made.dim())))
    return made.permute(order) if order else made


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
states = st.dictionaries(
    st.text() | st.integers(),
    st.recursive(
        plain | tensors(),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.integers() | st.text(), inner),
        max_leaves=12,
    ),
)


def same(one: Any, two: Any) -> bool:
    """Equal to the bit, kinds and order of memory as well."""
    if type(one) is not type(two):
        return False
    if isinstance(one, torch.Tensor):
        bits = [tensor.contiguous().flatten().view(torch.uint8) for tensor in (one, two)]
        return (one.dtype, one.shape) == (two.dtype, two.shape) and one.stride() == two.stride() and torch.equal(*bits)
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two) or (isinstance(one, float) and math.isnan(one) and math.isnan(two))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(states)
def test_what_is_packed_comes_out_to_the_bit(tmp_path: Path, state: dict[Any, Any]) -> None:
    path = tmp_path / "packed"
    path.write_bytes(pack(state))
    assert same(unpack(path), state)


def test_the_order_of_memory_is_kept(tmp_path: Path) -> None:
    images = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    (tmp_path / "packed").write_bytes(pack({"images": images, "row": images[0, 0, 0].expand(7, 5)}))
    found = unpack(tmp_path / "packed")
    assert found["images"].is_contiguous(memory_format=torch.channels_last)
    assert found["row"].is_contiguous()  # many places of one number become numbers of their own


def test_what_would_need_pickle_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot hold Event"):
        pack({"list": [Event()]})


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"", b"\x80\x04K\x01.", b"{}" * 40, pack({"a": torch.ones(3)})[:-1]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a checkpoint"):
            unpack(path)


def test_the_last_ones_are_kept_and_the_newest_is_found(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.newest() is None
    for step in range(5):
        checkpoints.keep(step, {"step": step})
    assert checkpoints.newest() == {"step": 4}
    assert len(list(checkpoints.folder.glob("*.safetensors"))) == len(list(checkpoints.folder.glob("*.json"))) == KEPT
    checkpoints.clear()
    assert not checkpoints.folder.exists()


@pytest.mark.parametrize("kind", ["safetensors", "json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "gone"])
def test_where_the_newest_is_damaged_the_one_before_it_serves(tmp_path: Path, kind: str, harm: str) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.keep(step, {"weights": torch.full((100,), step), "step": step})
    path = tmp_path / f"00000002.{kind}"
    content = path.read_bytes()
    # In the description the flip falls on the hash.
    place = content.index(b'sha256": "') + 12 if kind == "json" else -5
    flipped = bytearray(content)
    flipped[place] ^= 1
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes({"flip": bytes(flipped), "cut": content[:-9], "empty": b""}[harm])
    found = checkpoints.newest()
    assert found is not None
    assert found["step"] == 1
    unnoticed = harm == "gone" and kind == "json"  # as if it had never been finished
    assert [each.partition(":")[0] for each in checkpoints.damaged] == (
        [] if unnoticed else [str(tmp_path / "00000002.safetensors")]
    )


def test_where_all_are_damaged_there_is_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.keep(step, {})
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(b"?")
    assert checkpoints.newest() is None
    assert len(checkpoints.damaged) == 2


def test_it_is_time_after_a_while_or_when_it_is_the_last_step(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, 0).due()
    checkpoints = Checkpoints(tmp_path, 1000)
    assert not checkpoints.due()
    checkpoints.stop.set()
    assert checkpoints.due()
    with pytest.raises(StoppedError, match="stopped after step 7"):
        checkpoints.keep(7, {"step": 7})
    assert checkpoints.newest() == {"step": 7}


def test_a_disk_that_refuses_leaves_what_was_there(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.keep(1, {"step": 1})
    (tmp_path / "00000002.json").mkdir()
    (tmp_path / "00000002.json" / "in the way").touch()
    with pytest.raises(DiskError):
        checkpoints.keep(2, {"step": 2})
    (tmp_path / "00000002.json" / "in the way").unlink()
    assert checkpoints.newest() == {"step": 1}
