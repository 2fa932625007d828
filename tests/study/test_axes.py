"""What is varied: parsed as people write it, and every combination made once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcat import document
from dlcat.errors import UsageError
from dlcat.study.axes import Axis, Variant, axis, cells, written

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
    made = axis(f"train.epochs={','.join(found)}")
    assert made.name == "train.epochs"
    assert [variant.overrides for variant in made.variants] == [(f"train.epochs={value}",) for value in found]
    assert len({variant.name for variant in made.variants}) == len(found)


@pytest.mark.parametrize(
    ("text", "key"),
    [("norm=batch", "model.norm"), ("norm.groups=2", "model.norm.groups"), ("optimizer.lr=1", "optimizer.lr")],
)
def test_parts_of_the_model_go_without_saying_so(text: str, key: str) -> None:
    assert axis(text).name == key
    (variant,) = written("step", {"a": {text.partition("=")[0]: 2}}).variants
    assert variant.overrides == (f"{key}=2",)


@pytest.mark.parametrize(
    "text", ["norm", "=batch", "norm=", "norm=batch,", "norm=batch,batch", "train.seed=1,2", "train.fold=0,1"]
)
def test_what_is_no_axis_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--over"):
        axis(text)


def test_a_choice_with_options_is_called_by_its_name_where_that_tells_it_apart() -> None:
    names = [variant.name for variant in axis("norm=batch,{name: group, groups: 8}").variants]
    assert names == ["batch", "group"]
    names = [variant.name for variant in axis("norm={name: group, groups: 8},{name: group, groups: 4}").variants]
    assert names == ["{name: group, groups: 8}", "{name: group, groups: 4}"]


VALUES = [
    ["batch", {"name": "group", "groups": 8}],
    [0.1, 1e-5, 3],
    [True, None],
    ["1e-3", "true", "a b", "x: y", "z,"],
]


@pytest.mark.parametrize("content", VALUES)
def test_a_value_of_a_recipe_reads_back_as_it_was(content: list[Any]) -> None:
    for value, variant in zip(content, written("key", content).variants, strict=True):
        (override,) = variant.overrides
        assert document.parse(f"value: {override.removeprefix('key=')}").data["value"] == value


def test_variants_set_several_keys_together() -> None:
    found = written("step", {"small": {"train.batch_size": 2, "norm": "group"}, "16": {"train.batch_size": 16}})
    assert found == Axis(
        "step",
        (
            Variant("small", ("train.batch_size=2", "model.norm=group")),
            Variant("16", ("train.batch_size=16",)),
        ),
    )


def test_what_repeats_a_training_cannot_be_varied() -> None:
    for content in ([0, 1], {"one": 1}):
        with pytest.raises(ValueError, match="repeats a training"):
            written("train.seed", content) if isinstance(content, list) else written("x", {"one": {"train.seed": 1}})


def test_every_combination_is_made_once_the_last_axis_first() -> None:
    made = cells([axis("a=1,2"), axis("b=x,y")])
    assert [cell.overrides for cell in made] == [("a=1", "b=x"), ("a=1", "b=y"), ("a=2", "b=x"), ("a=2", "b=y")]
    assert made[2].variants == (("a", "2"), ("b", "x"))
    assert [cell.overrides for cell in cells([])] == [()]
    with pytest.raises(ValueError, match="every axis once"):
        cells([axis("a=1"), axis("a=2")])
