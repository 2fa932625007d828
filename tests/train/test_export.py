"""A network's file computes what the run's network computes: any model, norm, convolution and activation, any batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from dlcat.errors import InvalidError, UsageError, VerificationError
from dlcat.layers.activations import activation
from dlcat.layers.convs import conv
from dlcat.layers.norms import norm
from dlcat.layers.parts import Parts, choose
from dlcat.models import model
from dlcat.registry import Choice
from dlcat.run import Run
from dlcat.train import export as exports
from dlcat.train.batches import InputStatistics, resident
from dlcat.train.export import FORMATS, Classifier, Exported
from dlcat.train.loop import outputs_of
from dlcat.train.predict import as_input, predict
from dlcat.train.trained import restore
from dlcat.workspace import Workspace

SHAPE = (1, 8, 8)
OUTPUTS = 10
STATISTICS = InputStatistics([5.0], [4.0], 16.0, 0.0, 1.0)
# Norms with groups: their default of 32 does not divide narrow layers.
FITTING: dict[str, dict[str, Any]] = {"group": {"groups": 4}, "weight_standardization": {"groups": 4}}
# The same architectures, drawn small; a model that is not here is taken as it is.
SMALL: dict[str, dict[str, Any]] = {
    "airbench": {"width": 0.25},
    "alexnet": {"width": 0.125, "hidden": 32},
    "capsnet": {"width": 0.125},
    "densenet": {"depth": 10, "growth": 16},
    "googlenet": {"width": 0.25},
    "mobilenet": {"width": 0.25},
    "network_in_network": {"width": 0.25},
    "preact_resnet": {"depth": 8},
    "resnet": {"depth": 8},
    "resnext": {"depth": 11, "groups": 4},
    "shufflenet": {"width": 0.25},
    "vgg": {"depth": 11, "width": 0.125},
    "xception": {"blocks": 1, "width": 0.125},
}
SIGNALS = [name for name in model if model.traits(name).takes == "signals"]
LARGE = {"airbench", "googlenet", "mobilenet", "shufflenet"}
"""Graphs of so many nodes that following them takes seconds."""


@pytest.fixture
def onnx() -> None:
    for name in exports.ONNX_PACKAGES:
        pytest.importorskip(name)


def _parts(norm_name: str = "batch", conv_name: str = "standard", act: str = "relu") -> Parts:
    chosen = Choice(name=norm_name, options=FITTING.get(norm_name, {}))
    return choose(conv=conv_name, norm=chosen, activation=act)


def _classifier(network: nn.Module, place: Workspace) -> Classifier:
    """The network as it would be exported, its buffers and weights away from where they begin."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor += 0.1 * torch.rand(tensor.shape, generator=generator)
    return Classifier(network, STATISTICS, place.recipe("digits_quickstart"), SHAPE).eval()


def _agree(found: Callable[[torch.Tensor], torch.Tensor], network: Classifier) -> None:
    """Both compute the same, for batches of other sizes than the network was followed with."""
    generator = torch.Generator().manual_seed(1)
    for examples in (1, 5):
        inputs = 16 * torch.rand(examples, *SHAPE, generator=generator)
        with torch.inference_mode():
            expected = network(inputs)
            assert expected.shape == (examples, OUTPUTS)
            torch.testing.assert_close(found(inputs), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in SIGNALS]
)
def test_every_model_leaves_as_a_graph_for_any_batch(name: str, place: Workspace) -> None:
    torch.manual_seed(0)
    network = _classifier(model[name](SHAPE, OUTPUTS, _parts(), **SMALL.get(name, {})), place)
    _agree(exports.program(network).module(), network)


class Parade(nn.Module):
    """Every member of a family in a row, so that one graph has them all."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.members = nn.ModuleList(members)
        self.head = nn.Linear(8 * len(members), OUTPUTS)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, 1, H, W) to (N, OUTPUTS)."""
        maps = self.stem(inputs)
        return self.head(torch.cat([member(maps.clone()).mean((2, 3)) for member in self.members], 1))


PARADES: dict[str, Callable[[], list[nn.Module]]] = {
    "norms": lambda: [_parts(name).norm(8) for name in norm],
    "convs": lambda: [
        *(_parts(conv_name=name).conv(8, 8, 3) for name in conv),
        *(_parts(name).conv(8, 8, 3) for name in norm if norm.traits(name).standardizes_weights),
    ],
    "activations": lambda: [_parts(act=name).activation() for name in activation],
}


@pytest.mark.parametrize("family", PARADES)
def test_every_part_leaves_as_a_graph_for_any_batch(family: str, place: Workspace) -> None:
    torch.manual_seed(0)
    network = _classifier(Parade(PARADES[family]()), place)
    _agree(exports.program(network).module(), network)


@pytest.mark.slow
@pytest.mark.parametrize("family", PARADES)
def test_every_part_leaves_as_onnx_for_any_batch(family: str, place: Workspace, tmp_path: Path, onnx: None) -> None:
    torch.manual_seed(0)
    network = _classifier(Parade(PARADES[family]()), place)
    path = tmp_path / "model.onnx"
    FORMATS["onnx"].write(network, {"dlcat": "0"}, path)
    _agree(FORMATS["onnx"].read(path), network)


@pytest.fixture
def leave(trained: Run, place: Workspace, tmp_path: Path) -> Callable[..., Exported]:
    """leave("onnx"): the trained run's network, exported to the test's folder."""

    def call(format_name: str, **options: Any) -> Exported:
        return place.export(trained, format_name, tmp_path / FORMATS[format_name].file, **options)

    return call


@pytest.fixture(scope="module")
def left(trained: Run, place: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """left("onnx"): the trained run's network, exported once for all tests that only look at the file."""

    @cache
    def call(format_name: str) -> Exported:
        if format_name == "onnx":
            for name in exports.ONNX_PACKAGES:
                pytest.importorskip(name)
        return place.export(trained, format_name, tmp_path_factory.mktemp("left") / FORMATS[format_name].file)

    return call


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_run_is_held_against_its_file(format_name: str, left: Callable[[str], Exported]) -> None:
    exported = left(format_name)
    assert exported.largest_difference <= exported.tolerance * exported.largest_output
    assert exported.largest_output > 1
    assert exported.examples == exports.CHECKED
    assert exported.examples_of == "the test split"
    assert exported.bytes == Path(exported.file).stat().st_size
    assert [path.name for path in Path(exported.file).parent.glob("*model*")] == [Path(exported.file).name]


def test_the_file_takes_pixels_and_says_what_predict_says(
    left: Callable[[str], Exported], trained: Run, place: Workspace, tmp_path: Path
) -> None:
    network = exports.load(left("safetensors").file)
    built, known = restore(place.recipe(str(trained.recipe_path)), trained, "cpu")
    test = place.examples(place.catalog["digits"], "test")
    expected = outputs_of(built, resident(test, None, built.device, known.statistics))
    with torch.inference_mode():
        torch.testing.assert_close(network(torch.from_numpy(np.array(test.inputs)).float()), expected)
    drawing = tmp_path / "drawing.png"
    Image.fromarray((np.asarray(test.inputs[0, 0], np.float64) * 255 / 16).round().astype(np.uint8)).save(drawing)
    said = predict(drawing, built, known)
    pixels, _ = as_input(drawing, known.statistics, SHAPE)
    with torch.inference_mode():
        probability, position = network(torch.from_numpy(pixels)[None]).softmax(1)[0].max(0)
    assert said.classes[0] == (known.classes[position], pytest.approx(float(probability), rel=1e-5))


def test_mirror_images_are_looked_at_inside_where_the_run_was_measured_so(place: Workspace) -> None:
    recipe = place.recipe("digits_quickstart")
    both = replace(recipe, train=replace(recipe.train, test_time_augment="flip"))
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, OUTPUTS))
    alone, mirrored = (Classifier(network, STATISTICS, each, SHAPE) for each in (recipe, both))
    inputs = torch.rand(3, *SHAPE)
    torch.testing.assert_close(mirrored(inputs), (alone(inputs) + alone(inputs.flip(-1))) / 2)
    torch.testing.assert_close(alone(inputs), network((inputs - 5) / 4))


@pytest.mark.parametrize("name", ["winograd", "fft"])
def test_convolutions_leave_as_torchs_own_whatever_computed_them(
    name: str, trained: Run, place: Workspace, tmp_path: Path
) -> None:
    chosen = Choice(name=name, options={"otherwise": "native"} if name == "winograd" else {})
    recipe = place.recipe(str(trained.recipe_path))
    other = replace(recipe, model=replace(recipe.model, algorithm=chosen))
    test = place.examples(place.catalog["digits"], "test")
    exported = exports.export(other, trained, "torch-export", tmp_path / "model.pt2", test=test)
    assert 0 < exported.largest_difference <= exported.tolerance * exported.largest_output
    graph = torch.export.load(tmp_path / "model.pt2").graph
    computed = {str(node.target) for node in graph.nodes if node.op == "call_function"}
    assert any("conv" in each for each in computed)
    assert not any("fft" in each for each in computed)


def test_without_the_data_noise_of_their_statistics_serves(trained: Run, place: Workspace, tmp_path: Path) -> None:
    recipe = place.recipe(str(trained.recipe_path))
    exported = exports.export(recipe, trained, "safetensors", tmp_path / "model.safetensors")
    assert exported.examples == exports.CHECKED
    assert "not in the cache" in exported.examples_of
    assert exported.largest_output > 1


def test_the_best_epoch_leaves_when_asked_for(leave: Callable[..., Exported], trained: Run) -> None:
    exported = leave("safetensors", best=True)
    assert exported.weights == "best"
    kept, best = load_file(exported.file), load_file(trained.best_weights_path)
    assert kept.keys() == best.keys()
    assert all(torch.equal(kept[name], best[name]) for name in best)


def test_every_file_says_what_it_is(left: Callable[[str], Exported], trained: Run, onnx: None) -> None:
    from onnx import load_model
    from safetensors import safe_open

    archive = {exports.METADATA: ""}
    torch.export.load(left("torch-export").file, extra_files=archive)
    with safe_open(left("safetensors").file, "pt") as file:
        tensors = file.metadata()
    graph = {each.key: each.value for each in load_model(left("onnx").file).metadata_props}
    inside = json.loads(archive[exports.METADATA])
    assert {key: graph[key] for key in inside} == inside
    assert {**tensors, "normalisation": ""} == {**inside, "normalisation": ""}
    assert json.loads(inside["classes"]) == list("0123456789")
    assert json.loads(inside["shape"]) == list(SHAPE)
    assert inside["recipe"] == trained.recipe_path.read_text()
    assert inside["dataset_license"] == "CC-BY-4.0"
    assert inside["normalisation"] == "inside"
    assert inside["inputs"] == "float32 (N, 1, 8, 8) from 0 to 16, as digits stores them"


def test_a_file_that_computes_something_else_is_removed_and_what_was_there_stays(
    leave: Callable[..., Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Path(leave("safetensors").file)
    before = kept.read_bytes()
    monkeypatch.setattr(exports, "TOLERANCE", -1.0)  # no file is as near as that
    with pytest.raises(VerificationError, match=r"expected at most -.* of the largest output") as caught:
        leave("safetensors")
    assert caught.value.exit_code == 5
    assert kept.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]


def test_a_network_that_gives_no_numbers_is_not_exported(trained: Run, place: Workspace, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("recipe.yaml", "inputs.json"):
        (broken / name).write_bytes((trained.path / name).read_bytes())
    weights = load_file(trained.weights_path)
    save_file({name: each.fill_(torch.nan) if each.is_floating_point() else each for name, each in weights.items()},
              broken / "weights.safetensors")  # fmt: skip
    with pytest.raises(VerificationError):
        place.export(Run(broken), "safetensors", tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"\x08\0\0\0\0\0\0\0{}      "], ids=str)
def test_what_is_no_network_of_ours_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidError, match=r"model\.safetensors: not a network that dlcat exported"):
        exports.load(path)


class Stubborn(nn.Module):
    """Computes by the values it sees, which no graph can."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, 1)."""
        return inputs.mean((1, 2, 3))[:, None] if float(inputs.sum()) > 0 else inputs.new_zeros(len(inputs), 1)


def test_a_network_that_no_graph_can_hold_is_refused_with_the_reason(place: Workspace, tmp_path: Path) -> None:
    stubborn = Classifier(Stubborn(), STATISTICS, place.recipe("digits_quickstart"), SHAPE)
    with pytest.raises(InvalidError, match=r"model: torch cannot follow \w+ as a graph: \w+") as caught:
        FORMATS["torch-export"].write(stubborn, {}, tmp_path / "model.pt2")
    assert "safetensors" in caught.value.hint


def test_onnx_without_its_packages_says_what_to_install(
    leave: Callable[..., Exported], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "ONNX_PACKAGES", ("torch", "a_package_that_is_not_there"))
    with pytest.raises(UsageError, match="--format onnx needs a_package_that_is_not_there") as caught:
        leave("onnx")
    assert caught.value.hint == "pip install 'dlcat[onnx]'"
