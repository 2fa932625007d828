"""Event files, read back by TensorBoard's own reader: what was logged, also where a training was taken up again."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat import tensorboard
from dlcat.run import Run, scalars


def _line(epoch: int, loss: float) -> dict[str, Any]:
    scores = {"loss": loss, "accuracy": 0.5}
    return {"epoch": epoch, "epochs": 9, "learning_rate": 0.1, "train": scores, "validation": None}


def _read(folder: Path) -> dict[str, dict[int, float]]:
    """Name to step to figure, as TensorBoard shows them."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return {name: {each.step: each.value for each in found.Scalars(name)} for name in found.Tags()["scalars"]}


def test_the_figures_of_an_epoch_have_names_of_their_own() -> None:
    assert scalars(_line(3, 2.0)) == {"learning_rate": 0.1, "train/loss": 2.0, "train/accuracy": 0.5}
    assert scalars({"epoch": 1, "name": "x"}) == {}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_what_was_logged(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for epoch in (1, 2, 300):
        run.log(_line(epoch, 1 / epoch))
    found = _read(tmp_path)
    assert set(found) == {"learning_rate", "train/loss", "train/accuracy"}
    assert found["train/loss"] == {epoch: pytest.approx(1 / epoch) for epoch in (1, 2, 300)}
    assert len(list(tmp_path.glob(f"{tensorboard.PREFIX}*"))) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_epochs_that_are_trained_again_are_drawn_once(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for epoch in (1, 2, 3):
        run.log(_line(epoch, 10.0))
    with open(tensorboard.newest(tmp_path) or tmp_path, "ab") as stream:
        stream.write(b"\x40")  # a kill cut the fourth short
    run.forget_epochs_after(1)
    for epoch in (2, 3):
        run.log(_line(epoch, 20.0))
    assert _read(tmp_path)["train/loss"] == {1: 10.0, 2: 20.0, 3: 20.0}
    assert [line["train"]["loss"] for line in run.epochs()] == [10.0, 20.0, 20.0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_loss_that_is_no_number_or_too_large_is_logged_as_such(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log(_line(1, math.nan))
    run.log(_line(2, 1e300))
    found = _read(tmp_path)["train/loss"]
    assert math.isnan(found[1])
    assert found[2] == math.inf


@settings(max_examples=50)
@given(st.integers(0, 2**40), st.dictionaries(st.text(max_size=20), st.floats(width=32), max_size=4))
def test_a_record_is_framed_by_its_length_and_checksums(step: int, figures: dict[str, float]) -> None:
    record = tensorboard.event(step, figures)
    (length,) = struct.unpack("<Q", record[:8])
    content = record[12:-4]
    assert len(content) == length
    assert struct.unpack("<I", record[8:12]) == (tensorboard.checksum(record[:8]),)
    assert struct.unpack("<I", record[-4:]) == (tensorboard.checksum(content),)


def test_a_later_file_comes_after_an_earlier_one_of_the_same_second(tmp_path: Path) -> None:
    made = []
    for _ in range(3):
        made.append(tensorboard.fresh(tmp_path))
        made[-1].touch()
    assert sorted(made) == made
    assert len(set(made)) == 3
    assert tensorboard.newest(tmp_path) == made[-1]
