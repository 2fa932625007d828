"""The table of digits: every fifth line is for testing, and a damaged table is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import VerificationError
from dlcat.readers.digits import digits
from dlcat.workspace import Workspace


def _line(pixel: int | str = 0, label: int | str = 0) -> str:
    return ",".join([str(pixel)] * 64 + [str(label)])


def _table(folder: Path, *lines: str, end: str = "\n") -> Path:
    path = folder / "digits.csv"
    path.write_text("".join(f"{line}{end}" for line in lines))
    return path


@given(count=st.integers(1, 23), every=st.integers(2, 7), written=st.sampled_from(["{}", "{}.0", "{:.2e}"]))
@settings(max_examples=40)
def test_the_splits_share_nothing_and_leave_nothing_out(
    tmp_path_factory: pytest.TempPathFactory, count: int, every: int, written: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    _table(folder, *[_line(written.format(number % 17), number % 10) for number in range(count)])
    train, test = (digits(folder, split, test_every=every) for split in ("train", "test"))
    positions = list(range(every - 1, count, every))
    assert test[1].tolist() == [number % 10 for number in positions]
    assert train[1].tolist() == [number % 10 for number in range(count) if number not in positions]
    assert test[0][:, 0, 0, 0].tolist() == [number % 17 for number in positions]
    assert (train[0].dtype, train[0].shape[1:], train[1].dtype) == (np.uint8, (1, 8, 8), np.int64)


def test_pixels_stand_row_by_row(tmp_path: Path) -> None:
    _table(tmp_path, ",".join(str(number % 17) for number in range(64)) + ",5")
    inputs, _ = digits(tmp_path, "train")
    assert inputs.reshape(-1).tolist() == [number % 17 for number in range(64)]
    assert inputs[0, 0, 1, 0] == 8


def test_the_real_table_is_the_one_that_scikit_learn_loads(place: Workspace) -> None:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    is_test = np.arange(len(labels)) % 5 == 4
    for split, chosen in (("train", ~is_test), ("test", is_test)):
        examples = place.examples(place.catalog["digits"], split)
        assert np.array_equal(examples.inputs.reshape(-1, 64), images[chosen])
        assert np.array_equal(examples.targets, labels[chosen])


DAMAGE = {
    "nothing": ("", "an empty file"),
    "only space": (" \n\n", "an empty file"),
    "a word": (_line(pixel="x"), "could not convert"),
    "lines of two lengths": (f"{_line()}\n1,2,3", "the same number of numbers"),
    "a column too few": (_line().removeprefix("0,"), "64 columns"),
    "a pixel too bright": (_line(pixel=17), "pixels 0 to 16, found 17"),
    "a negative pixel": (_line(pixel=-1), "pixels 0 to 16"),
    "not a number": (_line(pixel="nan"), "whole numbers"),
    "label 10": (_line(label=10), "labels 0 to 9, found 10"),
    "negative label": (_line(label=-1), "labels 0 to 9"),
    "half a pixel": (_line(pixel=0.5), "whole numbers"),
    "half a label": (_line(label=3.5), "whole numbers"),
    "other signs": ("\u00e9" * 10, "could not convert"),
}


@pytest.mark.parametrize(("content", "words"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_table_is_refused_by_name(tmp_path: Path, content: str, words: str) -> None:
    path = _table(tmp_path, content, end="")
    with pytest.raises(VerificationError) as caught:
        digits(tmp_path, "train")
    assert caught.value.message.startswith(f"{path}: ")
    assert words in caught.value.message
