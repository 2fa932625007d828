"""Recipes: inheritance, overrides, shorthand, and faults that are told all at once with the place of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat import locations, recipe
from dlcat.errors import InvalidError, UsageError
from dlcat.recipe import Recipe
from dlcat.recipe.inheritance import override
from dlcat.workspace import Workspace

SOUND = """# Does it work?
dataset: digits
model: {name: lenet, norm: {name: group, groups: 2}}
optimizer: {name: sgd, lr: 0.1}
train: {epochs: 2, batch_size: 16}
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def sound(recipe_file: Write) -> Path:
    return recipe_file("sound.yaml", SOUND)


@pytest.fixture
def load(place: Workspace) -> Callable[..., Recipe]:
    """load(path, *overrides): with every name and option checked, as the commands do."""
    return lambda path, *overrides: place.recipe(str(path), overrides)


def _refusal(load: Callable[..., Recipe], path: Path, *overrides: str) -> list[str]:
    with pytest.raises(InvalidError) as caught:
        load(path, *overrides)
    return caught.value.message.splitlines()


def test_a_recipe_has_a_name_a_question_and_defaults(sound: Path, load: Callable[..., Recipe]) -> None:
    found = load(sound)
    assert (found.name, found.question) == ("sound", "Does it work?")
    assert found.task.plain() == "classify"
    assert found.model.conv.plain() == "standard"
    assert found.model.norm.plain() == {"name": "group", "groups": 2}
    assert (found.schedule.plain(), found.augment, found.train.seed) == ("constant", [], 0)


def test_a_bare_name_and_a_mapping_mean_the_same(recipe_file: Write, load: Callable[..., Recipe]) -> None:
    short = recipe_file("a.yaml", SOUND.replace("model: {name: lenet, norm: {name: group, groups: 2}}", "model: lenet"))
    long = recipe_file(
        "b.yaml", SOUND.replace("norm: {name: group, groups: 2}", "norm: {name: batch}, conv: {name: standard}")
    )
    assert load(short).plain() == load(long).plain()


# extends


def test_a_child_is_laid_over_its_parent_key_by_key(
    sound: Path, recipe_file: Write, load: Callable[..., Recipe]
) -> None:
    child = recipe_file("child.yaml", "extends: sound.yaml\ntrain: {epochs: 9}\noptimizer: {lr: 0.5}\n")
    found = load(child)
    assert (found.train.epochs, found.train.batch_size) == (9, 16)
    assert found.optimizer.plain() == {"name": "sgd", "lr": 0.5}
    assert found.model.norm.plain() == {"name": "group", "groups": 2}
    assert (found.name, found.question) == ("child", "")


def test_a_choice_of_another_name_brings_no_old_options_along(
    sound: Path, recipe_file: Write, load: Callable[..., Recipe]
) -> None:
    child = recipe_file(
        "child.yaml", "extends: sound.yaml\noptimizer: {name: adam, lr: 0.5}\nmodel: {norm: {name: layer}}\n"
    )
    assert load(child).optimizer.plain() == {"name": "adam", "lr": 0.5}
    assert load(child).model.norm.plain() == "layer"


def test_an_option_for_a_choice_that_the_parent_wrote_short(recipe_file: Write, load: Callable[..., Recipe]) -> None:
    recipe_file("parent.yaml", SOUND.replace("{name: sgd, lr: 0.1}", "adam"))
    child = recipe_file("child.yaml", "extends: parent.yaml\noptimizer: {lr: 0.5}\n")
    assert load(child).optimizer.plain() == {"name": "adam", "lr": 0.5}


def test_lists_are_replaced_whole(recipe_file: Write, load: Callable[..., Recipe]) -> None:
    recipe_file("parent.yaml", f"{SOUND}augment: [flip, {{name: crop, padding: 1}}]\n")
    child = recipe_file("child.yaml", "extends: parent.yaml\naugment: [crop]\n")
    assert [choice.plain() for choice in load(child).augment] == ["crop"]


def test_a_chain_of_parents_is_followed_from_folder_to_folder(
    sound: Path, recipe_file: Write, load: Callable[..., Recipe], tmp_path: Path
) -> None:
    (tmp_path / "inner").mkdir()
    recipe_file("inner/middle.yaml", "extends: ../sound.yaml\ntrain: {epochs: 5, seed: 4}\n")
    last = recipe_file("last.yaml", "extends: inner/middle.yaml\ntrain: {seed: 7}\n")
    found = load(last)
    assert (found.train.epochs, found.train.seed, found.train.batch_size) == (5, 7, 16)
    assert found.at(("train", "epochs")) == f"{(tmp_path / 'inner' / 'middle.yaml').resolve()}:2: train.epochs"
    assert found.at(("train", "seed")) == f"{last}:2: train.seed"


@pytest.mark.parametrize("names", [("a",), ("a", "b"), ("a", "b", "c")], ids="-".join)
def test_a_circle_of_parents_is_refused(
    names: tuple[str, ...], recipe_file: Write, load: Callable[..., Recipe]
) -> None:
    for name, parent in zip(names, (*names[1:], names[0]), strict=True):
        path = recipe_file(f"{name}.yaml", f"# Why?\nextends: {parent}.yaml\n")
    (line,) = _refusal(load, path)
    assert ":2: extends: " in line
    assert "extends this recipe in turn" in line


def test_a_chain_without_end_is_refused(recipe_file: Write, load: Callable[..., Recipe]) -> None:
    recipe_file("r0.yaml", SOUND)
    for number in range(1, 40):
        path = recipe_file(f"r{number}.yaml", f"extends: r{number - 1}.yaml\n")
    (line,) = _refusal(load, path)
    assert "expected an end to the chain" in line


def test_a_missing_parent_is_met_with_the_closest(sound: Path, recipe_file: Write, load: Callable[..., Recipe]) -> None:
    child = recipe_file("child.yaml", "extends: sund.yaml\n")
    with pytest.raises(InvalidError) as caught:
        load(child)
    assert caught.value.message.startswith(f"{child}:1: extends: no recipe at ")
    assert caught.value.hint == "did you mean 'sound.yaml'?"


@pytest.mark.parametrize("parent", ["3", "[a.yaml]", "{name: a}", "true"])
def test_a_parent_is_a_path(parent: str, recipe_file: Write, load: Callable[..., Recipe]) -> None:
    (line,) = _refusal(load, recipe_file("child.yaml", f"extends: {parent}\n"))
    assert "expected the path of a recipe" in line


# --set

OVERRIDES: list[tuple[str, tuple[str, ...], Any]] = [
    ("train.epochs=7", ("train", "epochs"), 7),
    ("optimizer.lr=5e-4", ("optimizer", "lr"), 5e-4),
    ("optimizer.lr = 1", ("optimizer", "lr"), 1),
    ("optimizer.nesterov=true", ("optimizer", "nesterov"), True),
    ("model.norm=batch", ("model", "norm"), "batch"),
    ("model.norm.groups=4", ("model", "norm", "groups"), 4),
    ("model.norm={name: group, groups: 8}", ("model", "norm", "groups"), 8),
    ("augment=[flip]", ("augment",), ["flip"]),
    ("augment=[]", ("augment",), []),
    ("schedule.warmup=0.25", ("schedule",), {"name": "onecycle", "warmup": 0.25}),
    ("augment.0.padding=2", ("augment",), [{"name": "crop", "padding": 2}]),
    ("augment.0=flip", ("augment",), ["flip"]),
    ("train.precision=fp32", ("train", "precision"), "fp32"),
]


@pytest.mark.parametrize(("text", "where", "value"), OVERRIDES, ids=[text for text, _, _ in OVERRIDES])
def test_an_override_sets_one_value(
    text: str, where: tuple[str, ...], value: Any, recipe_file: Write, load: Callable[..., Recipe]
) -> None:
    path = recipe_file("r.yaml", f"{SOUND}schedule: onecycle\naugment: [crop]\n")
    found: Any = load(path, text).plain()
    for step in where:
        found = found[step]
    assert (found, type(found)) == (value, type(value))


def test_overrides_apply_in_order_after_the_parents(
    sound: Path, recipe_file: Write, load: Callable[..., Recipe]
) -> None:
    child = recipe_file("child.yaml", "extends: sound.yaml\ntrain: {epochs: 3}\n")
    found = load(child, "train.epochs=4", "train.epochs=5", "schedule=cosine", "schedule.warmup=0.1")
    assert found.train.epochs == 5
    assert found.schedule.plain() == {"name": "cosine", "warmup": 0.1}
    assert found.at(("train", "epochs")) == "--set train.epochs: train.epochs"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train.epochs", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("augment.5=flip", "there are 1 items"),
        ("augment.1=flip", "there are 1 items"),
        ("augment.-1=flip", "there are 1 items"),
        ("augment.x=flip", "there are 1 items"),
        ("augment.9.padding=1", "there are 1 items"),
        ("train.epochs.x=1", "has nothing inside"),
    ],
)
def test_an_override_that_leads_nowhere_is_a_usage_error(
    text: str, words: str, recipe_file: Write, load: Callable[..., Recipe]
) -> None:
    path = recipe_file("r.yaml", f"{SOUND}augment: [crop]\n")
    with pytest.raises(UsageError) as caught:
        load(path, text)
    assert caught.value.message.startswith(f"--set {text.partition('=')[0]}")
    assert words in caught.value.message


@pytest.mark.parametrize("value", ["[1", "{a", "a: b", "!!python/object:os x", "&x 1", "'x", "\x07"])
def test_an_override_whose_value_is_not_yaml_is_refused_by_its_name(
    value: str, sound: Path, load: Callable[..., Recipe]
) -> None:
    (line,) = _refusal(load, sound, f"optimizer.lr={value}")
    assert line.startswith("--set optimizer.lr")


def test_an_override_is_one_value(sound: Path, load: Callable[..., Recipe]) -> None:
    with pytest.raises(UsageError, match=r"--set optimizer\.lr"):
        load(sound, "optimizer.lr=0.1\ntrain: 3")


@given(key=st.text("abct.0129=²٣ -", max_size=8) | st.text(max_size=6), value=st.text(max_size=6))
@settings(max_examples=200)
def test_any_override_is_taken_or_refused_and_nothing_else(key: str, value: str) -> None:
    raw: dict[str, Any] = {"a": {"b": 1}, "t": ["x", {"name": "y"}]}
    try:
        override(raw, {}, f"{key}={value}")
    except (InvalidError, UsageError) as error:
        assert error.message.startswith("--set ")  # noqa: PT017 - or it was read


# faults

FAULTS = {
    "unknown key": (
        "optimiser: sgd\n",
        "{path}:6: optimiser: unknown key 'optimiser'; did you mean 'optimizer'?",
    ),
    "unknown key of train": ("train: {epoch: 3}\n", "train.epoch: unknown key 'epoch'; did you mean 'epochs'?"),
    "internal key": ("name: x\n", "{path}:6: name: unknown key 'name'"),
    "unknown dataset": ("dataset: mnits\n", "dataset: no dataset named 'mnits' in the catalog; did you mean 'mnist'?"),
    "unknown model": ("model: {name: lenett}\n", "model.name: no model named 'lenett'; did you mean 'lenet'?"),
    "unknown norm": ("model: {norm: grop}\n", "model.norm.name: no norm named 'grop'; did you mean 'group'?"),
    "unknown conv": ("model: {conv: standart}\n", "no conv named 'standart'; did you mean 'standard'?"),
    "unknown activation": ("model: {activation: rellu}\n", "no activation named 'rellu'; did you mean 'relu'?"),
    "unknown task": ("task: classfy\n", "no task named 'classfy'; did you mean 'classify'?"),
    "unknown optimizer": ("optimizer: {name: sdg}\n", "no optimizer named 'sdg'; did you mean 'sgd'?"),
    "unknown schedule": ("schedule: cosin\n", "{path}:6: schedule.name: no schedule named 'cosin'"),
    "unknown augmentation": ("augment: [flip, crp]\n", "{path}:6: augment[1].name: no aug"),
    "unknown option of a model": ("model: {dept: 3}\n", "no option 'dept' of model 'lenet'"),
    "unknown option of a norm": ("model: {norm: {name: group, group: 2}}\n", "did you mean 'groups'?"),
    "unknown option of an optimizer": ("optimizer: {momentm: 0.9}\n", "did you mean 'momentum'?"),
    "wrong type": ("train: {epochs: many}\n", "train.epochs: expected a valid integer, found 'many'"),
    "wrong type of an option": ("optimizer: {lr: fast}\n", "expected a valid number, found 'fast'"),
    "out of range": ("train: {batch_size: 0}\n", "train.batch_size: expected greater than or equal to 1, found 0"),
    "share out of range": ("train: {validation: 1}\n", "train.validation: expected less than 1, found 1"),
    "unknown precision": ("train: {precision: fp8}\n", "train.precision: expected 'auto', 'fp32', 'bf16' or 'fp16'"),
    "text for a list": ("augment: flip\n", "{path}:6: augment: expected a valid"),
    "a mapping without a name": ("schedule: {warmup: 0.1}\n", "schedule.name: expected this key"),
    "a number for a choice": ("schedule: 3\n", "{path}:6: schedule: expected"),
}


@pytest.mark.parametrize(("child", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_with_its_place_and_what_was_meant(
    child: str, message: str, recipe_file: Write, load: Callable[..., Recipe]
) -> None:
    key = child.partition(":")[0]
    path = recipe_file("r.yaml", SOUND)
    if f"\n{key}:" in SOUND:
        path = recipe_file("child.yaml", f"extends: r.yaml\n{child}")
    else:
        path = recipe_file("r.yaml", SOUND + child)
    lines = _refusal(load, path)
    assert any(message.format(path=path) in line for line in lines), lines
    assert all(line.startswith(f"{path}:") for line in lines)


def test_all_faults_are_told_at_once_each_with_its_place(recipe_file: Write, load: Callable[..., Recipe]) -> None:
    path = recipe_file(
        "r.yaml",
        "dataset: nowhere\nmodel: {name: lenet, norm: bach}\noptimizer: {name: sgd, lr: fast}\ntrain: {epochs: 0}\n",
    )
    lines = _refusal(load, path, "train.seed=-1", "schedule=cosinus")
    places = [line.partition(": ")[0] for line in lines]
    assert sorted(places) == sorted(
        [f"{path}:{number}" for number in (1, 2, 3, 4, 4)] + ["--set train.seed", "--set schedule"]
    ), lines


def test_an_override_of_a_whole_choice_takes_the_blame_for_it(sound: Path, load: Callable[..., Recipe]) -> None:
    lines = _refusal(load, sound, "model.norm={name: grop}", "optimizer=sdg")
    assert sorted(line.split(": ")[0] for line in lines) == ["--set model.norm", "--set optimizer"]


def test_missing_keys_are_named(recipe_file: Write, load: Callable[..., Recipe]) -> None:
    lines = _refusal(load, recipe_file("r.yaml", "task: classify\n"))
    assert {line.split(": ")[1] for line in lines} == {"dataset", "model", "optimizer", "train"}


# names


def test_a_recipe_is_found_by_path_by_name_and_as_the_readme_writes_it(
    place: Workspace, sound: Path, tmp_path: Path
) -> None:
    shipped = locations.shipped("recipes")
    assert recipe.find(place.locations, str(sound)) == sound
    for name in ("mnist_lenet", "mnist_lenet.yaml", "recipes/mnist_lenet.yaml"):
        assert recipe.find(place.locations, name) == shipped / "mnist_lenet.yaml"


@pytest.mark.parametrize("name", ["mnist_lnet", "recipes/mnist_lnet.yaml", "elsewhere/mnist_lenet.yaml"])
def test_an_unknown_recipe_is_met_with_the_closest(place: Workspace, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipe.find(place.locations, name)
    assert caught.value.hint.startswith("did you mean 'mnist_lenet'?")


def test_recipes_are_listed_nearest_first_whatever_else_lies_there(tmp_path: Path) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    for folder in (near, far):
        folder.mkdir()
        (folder / "same.yaml").write_text("# Q\n")
    (near / "catalog.yaml").write_text("")
    (near / "folder.yaml").mkdir()
    (near / "latin.yaml").write_bytes(b"# caf\xe9\n")
    (far / "only.yaml").write_text("a: 1\n# no question, for it comes too late\n")
    place = locations.Locations(catalogs=(), recipes=(near, far, tmp_path / "no"), cache=tmp_path, runs=tmp_path)
    found = recipe.listed(place)
    assert found == [near / "latin.yaml", far / "only.yaml", near / "same.yaml"]
    assert [recipe.question(path) for path in found] == ["caf\ufffd", "", "Q"]
