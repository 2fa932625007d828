"""The command cost: what is printed, what is beside it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlcat.workspace import Workspace

Command = Callable[..., Any]
WIDTH = 80


def _costs(command: Command, *arguments: object) -> list[dict[str, Any]]:
    answer = command("cost", *arguments, "--json")
    assert answer.code == 0, answer.err
    found: list[dict[str, Any]] = json.loads(answer.out)["costs"]
    return found


def test_a_document_tells_every_layer(command: Command, place: Workspace) -> None:
    (found,) = _costs(command, "mnist_lenet")
    price = place.cost(place.recipe("mnist_lenet"))
    assert (found["parameters"], found["macs"]) == (price.parameters, price.macs)
    assert (found["recipe"], found["change"], found["against_standard"]) == ("mnist_lenet", [], None)
    assert [layer["name"] for layer in found["layers"]] == [layer.name for layer in price.layers]
    first = found["layers"][0]
    assert (first["kind"], first["output_shape"], first["receptive_field"]) == ("Conv2d", [16, 28, 28], [5, 5])
    assert first["backward_macs"] == first["macs"] == 28 * 28 * 16 * 25
    assert sum(layer["kept_bytes"] for layer in found["layers"]) == found["kept_bytes"]
    assert found["batch_size"] == place.recipe("mnist_lenet").train.batch_size


def test_a_change_stands_beside_the_recipe(command: Command) -> None:
    plain, separable, narrow = _costs(
        command, "mnist_lenet", "--vs", "conv=depthwise_separable", "--vs", "model.widths=[8, 16]"
    )
    assert [price["change"] for price in (plain, separable, narrow)] == [
        [],
        ["conv=depthwise_separable"],
        ["model.widths=[8, 16]"],
    ]
    assert separable["model"]["conv"] == "depthwise_separable"
    (block,) = separable["against_standard"]["blocks"]
    assert block["macs"] / block["standard_macs"] == pytest.approx(1 / 32 + 1 / 25)
    assert plain["macs"] - separable["macs"] == block["standard_macs"] - block["macs"]
    assert narrow["parameters"] < plain["parameters"]


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ("conv=flattened", "conv", "flattened"),
        ("norm={name: group, groups: 8}", "norm", {"name": "group", "groups": 8}),
        ("norm.eps=0.1", "norm", {"name": "batch", "eps": 0.1}),
        ("activation=gelu", "activation", "gelu"),
        ("algorithm=im2col", "algorithm", "im2col"),
        ("model.kernel=3", "kernel", 3),
    ],
)
def test_parts_of_the_model_need_not_be_called_so(command: Command, change: str, key: str, value: object) -> None:
    assert _costs(command, "mnist_lenet", "--vs", change)[1]["model"][key] == value


def test_an_algorithm_changes_nothing_that_is_counted(command: Command) -> None:
    plain, other = _costs(command, "mnist_lenet", "--vs", "algorithm=im2col")
    told = {"recipe", "change", "model"}
    assert {key: plain[key] for key in plain.keys() - told} == {key: other[key] for key in other.keys() - told}


def test_a_set_value_is_in_the_recipe_and_in_its_changes(command: Command) -> None:
    plain, changed = _costs(command, "mnist_lenet", "--set", "train.batch_size=10", "--vs", "norm=none")
    assert plain["batch_size"] == changed["batch_size"] == 10
    assert plain["kept_bytes"] > changed["kept_bytes"]


def test_lines_fit_a_terminal(command: Command) -> None:
    said = command("cost", "mnist_lenet", "mnist_depthwise", "--vs", "conv=depthwise_separable").out
    assert max(map(len, said.splitlines())) <= WIDTH
    assert "conv=depthwise_separable" in said
    assert "mnist_depthwise: 7.1 % of the MACs of standard convolutions." in said


def test_layers_are_shown_with_what_they_see_and_beside_a_change(command: Command) -> None:
    lines = command("cost", "mnist_lenet", "--layers").out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert any(line.split()[:4] == ["0", "Conv2d", "16×28×28", "400"] and "5/1" in line for line in lines)
    assert any(line.split()[:2] == ["8", "Linear"] or "Linear" in line for line in lines)
    beside = command("cost", "mnist_lenet", "--layers", "--vs", "conv=depthwise_separable").out.splitlines()
    assert max(map(len, beside)) <= WIDTH
    assert "mnist_lenet, and with conv=depthwise_separable" in beside
    assert not any(line.split()[:3] == ["8", "0", "0"] for line in beside)  # nothing to compare
    assert any(line.split()[:7] == ["4", "12,800", "912", "2.5", "M", "179", "k"] for line in beside)


def test_convolutions_of_another_type_are_shown_beside_standard_ones(command: Command) -> None:
    assert "mnist_depthwise, and with conv=standard" in command("cost", "mnist_depthwise", "--layers").out


def test_data_need_not_be_there(command: Command, tmp_path: Path) -> None:
    assert command("cost", "cifar_bn", "--vs", "conv=group").code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mnist_lenet", "--vs", "conv=depthwise_seperable"), "did you mean 'depthwise_separable'?"),
        (("mnist_lenet", "--vs", "conv"), "expected KEY=VALUE"),
        (("mnist_lenet", "--vs", "norm={name: group, groups: 5}"), "groups"),
        (("mnist_lenet", "--set", "train.batch_size=1"), "expected at least 2, found 1"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(
    command: Command, arguments: tuple[str, ...], said: str
) -> None:
    answer = command("cost", *arguments)
    assert answer.code in (2, 3)
    assert answer.out == ""
    assert said in answer.err
