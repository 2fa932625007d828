"""What is varied: parsed as people write it, and every combination made once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcat.errors import UsageError
from dlcat.study.axes import Axis, axis, cells

words = st.text("abc019._- ", min_size=1).map(str.strip).filter(bool)
values = st.recursive(
    words,
    lambda inner: (
        st.lists(inner, min_size=1).map(lambda each: f"[{', '.join(each)}]")
        | st.lists(inner, min_size=1).map(lambda each: f"{{name: {', '.join(each)}}}")
    ),
    max_leaves=5,
)


@given(st.lists(values, min_size=1, unique=True))
def test_values_are_parted_at_commas_outside_brackets(found: list[str]) -> None:
    assert axis(f"train.epochs={','.join(found)}") == Axis("train.epochs", tuple(found))


@pytest.mark.parametrize(
    ("text", "key"),
    [("norm=batch", "model.norm"), ("norm.groups=2", "model.norm.groups"), ("optimizer.lr=1", "optimizer.lr")],
)
def test_parts_of_the_model_go_without_saying_so(text: str, key: str) -> None:
    assert axis(text).key == key


@pytest.mark.parametrize("text", ["norm", "=batch", "norm=", "norm=batch,", "norm=batch,batch", "train.seed=1,2"])
def test_what_is_no_axis_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--over"):
        axis(text)


def test_every_combination_is_made_once_the_last_axis_first() -> None:
    made = cells([Axis("a", ("1", "2")), Axis("b", ("x", "y"))])
    assert made == [("a=1", "b=x"), ("a=1", "b=y"), ("a=2", "b=x"), ("a=2", "b=y")]
    with pytest.raises(UsageError, match="every key once"):
        cells([Axis("a", ("1",)), Axis("a", ("2",))])
