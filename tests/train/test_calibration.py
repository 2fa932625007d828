"""`auto` is settled once by measuring, remembered, and written into the run, which whoever goes on with it follows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dlcat import run as runs
from dlcat.errors import StoppedError
from dlcat.recipe import MEASURED
from dlcat.run import Run
from dlcat.train import calibration, compilation, experiment, families
from dlcat.train import device as devices
from dlcat.train.material import Material
from dlcat.train.session import Finished
from dlcat.train.splits import splits_of
from dlcat.workspace import Workspace

SMALL = ("train.epochs=2", "train.batch_size=128", "model.widths=[8, 16]", "train.precision=fp32")
LONG = "train.epochs=100000"
OTHER = {"channels_last": "contiguous", "contiguous": "channels_last"}

Train = Callable[..., Run]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of what was found, of this test alone."""
    monkeypatch.setenv("DLCAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(calibration, "BUDGET_SECONDS", 0.3)
    return tmp_path / "cache" / calibration.FILE


@pytest.fixture
def train(place: Workspace, tmp_path: Path) -> Train:
    """train(*overrides, stop=..., resume=...): a run on digits."""

    def call(*overrides: str, recipe: str = "digits_quickstart", **how: Any) -> Run:
        found = place.recipe(recipe, (*SMALL, *overrides) if recipe == "digits_quickstart" else overrides)
        events = list(place.train(found, place.cost(found), device="cpu", folder=tmp_path / "runs", **how))
        assert isinstance(events[-1], Finished)
        return events[-1].run

    return call


@pytest.fixture
def calibrated(place: Workspace) -> Callable[..., devices.Device]:
    """calibrated(*overrides): what a training of digits would go by."""

    def call(*overrides: str) -> devices.Device:
        recipe = families.resolve(place.recipe("digits_quickstart", (*SMALL, *overrides)))
        examples = [place.examples(place.catalog["digits"], split) for split in ("train", "test")]
        split = splits_of(recipe, Material(examples[0], test=examples[1]), experiment.device_for(recipe, "cpu"))
        build = partial(experiment.build, recipe, input_shape=(1, 8, 8), classes=examples[0].classes)
        return calibration.calibrate(recipe, split.train, lambda device: build(device=device))

    return call


def _turn_round(kept: Path) -> str:
    """Let the file say the other layout of its only entry; which."""
    content = json.loads(kept.read_text(encoding="utf-8"))
    ((key, found),) = content.items()
    found["layout"] = OTHER[found["layout"]]
    kept.write_text(json.dumps({key: found}), encoding="utf-8")
    layout: str = found["layout"]
    return layout


def test_what_a_run_found_stands_in_its_recipe(train: Train) -> None:
    run = train()
    written, said = run.recipe_path.read_text(encoding="utf-8"), run.result()
    assert not any(f"{key}: auto" in written for key in MEASURED)
    assert f"layout: {said['layout']}" in " ".join(written.split())
    assert run.environment()["found"] == {"layout": said["layout"], "compile": False}


def test_a_runs_recipe_repeats_it_to_the_bit_whatever_the_machine_thinks_by_then(train: Train, kept: Path) -> None:
    run = train("model.norm=group", "model.norm.groups=4")
    _turn_round(kept)
    again = train(recipe=str(run.recipe_path))
    assert again.result()["layout"] == run.result()["layout"]
    assert again.weights_path.read_bytes() == run.weights_path.read_bytes()


def test_what_was_found_once_is_followed_by_every_seed(train: Train, kept: Path) -> None:
    train("train.seed=0")
    layout = _turn_round(kept)
    assert train("train.seed=0").result()["layout"] == layout
    assert train("train.seed=7").result()["layout"] == layout
    assert train("model.widths=[8, 24]").result()["layout"] == OTHER[layout]


def test_what_was_found_once_is_followed_by_every_fold(train: Train, kept: Path) -> None:
    folded = ("train.folds=5", "train.validation=0", "train.epochs=1")
    train(*folded)
    layout = _turn_round(kept)
    assert train(*folded, "train.fold=4").result()["layout"] == layout


def test_a_run_goes_on_as_it_began_whatever_the_machine_thinks_by_then(
    train: Train, place: Workspace, tmp_path: Path, kept: Path
) -> None:
    whole = train()
    stop = Event()
    stop.set()
    with pytest.raises(StoppedError):
        train(stop=stop)
    _turn_round(kept)
    recipe = place.recipe("digits_quickstart", SMALL)
    begun = place.latest(recipe, tmp_path / "runs")
    assert begun is not None
    assert not begun.finished
    ended = train(resume=begun)
    assert ended.path == begun.path
    assert ended.weights_path.read_bytes() == whole.weights_path.read_bytes()
    assert ended.result()["reasons"] == whole.result()["reasons"]


def test_a_run_is_found_by_what_was_asked_and_not_by_what_was_found(train: Train, place: Workspace) -> None:
    run = train()
    folder = run.path.parent
    asked = families.resolve(place.recipe("digits_quickstart", SMALL))
    found = runs.latest(folder, asked)
    assert found is not None
    assert found.path == run.path
    layout = run.result()["layout"]
    assert runs.latest(folder, asked.settled({"layout": OTHER[layout]})) is None
    explicit = train(f"train.layout={layout}", "train.compile=false")
    assert explicit.environment()["found"] == {}
    found = runs.latest(folder, asked)
    assert found is not None
    assert found.path == run.path, "nobody asked this one to find anything"


def test_a_short_run_goes_by_the_rule(calibrated: Callable[..., devices.Device], kept: Path) -> None:
    device = calibrated()
    (found,) = json.loads(kept.read_text(encoding="utf-8")).values()
    assert found["milliseconds"] == {}
    assert device.layout == "channels_last"
    assert "batch norm" in device.reasons["layout"]
    assert "too little" in device.reasons["compile"]


@pytest.mark.parametrize("norm", ["batch", "{name: group, groups: 4}"])
def test_a_long_run_measures_what_is_open_and_takes_the_fastest(
    norm: str, calibrated: Callable[..., devices.Device], kept: Path
) -> None:
    device = calibrated(LONG, f"model.norm={norm}", "train.compile=false")
    (found,) = json.loads(kept.read_text(encoding="utf-8")).values()
    taken = found["milliseconds"]
    assert set(taken) == {"fp32 channels_last", "fp32 contiguous"}
    chosen = f"fp32 {device.layout}"
    assert taken[chosen] <= min(taken.values()) / calibration.CLEARLY
    assert all(name in device.reasons["layout"] for name in taken)
    assert device.reasons["compile"] == devices.SET


def test_what_is_set_is_not_measured(calibrated: Callable[..., devices.Device], kept: Path) -> None:
    device = calibrated(LONG, "train.layout=contiguous", "train.compile=false")
    assert device.layout == "contiguous"
    assert not kept.exists()


def test_a_norm_that_bf16_cannot_compute_is_trained_in_fp32(
    calibrated: Callable[..., devices.Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a processor whose bf16 units some operation has no use for."""
    monkeypatch.setattr(devices, "has_bf16_units", lambda: True)
    monkeypatch.setattr(calibration, "gradient", partial(_only_in_fp32, calibration.gradient))
    assert calibrated(LONG, "train.precision=auto", "train.compile=false").precision == "fp32"


def _only_in_fp32(gradient: Callable[..., None], built: Any, forward: Any, batch: Any) -> None:
    if built.device.precision != "fp32":
        raise RuntimeError("not implemented for 'BFloat16'")
    gradient(built, forward, batch)


def test_a_damaged_file_is_as_good_as_none(calibrated: Callable[..., devices.Device], kept: Path) -> None:
    layout = calibrated().layout
    for content in ("", "[]", '{"a": 1}', kept.read_text(encoding="utf-8").replace("layout", "order")):
        kept.write_text(content, encoding="utf-8")
        assert calibrated().layout == layout


def test_measuring_leaves_chance_as_it_was(train: Train, kept: Path) -> None:
    first = train("augment=[{name: crop, padding: 1}]", "train.seed=3")
    second = train("augment=[{name: crop, padding: 1}]", "train.seed=3")  # remembered: nothing is measured
    assert first.weights_path.read_bytes() == second.weights_path.read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # the compiler's own
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's compiler needs one for C++")
def test_a_compiled_training_repeats_itself_and_goes_on_to_the_bit(
    train: Train, place: Workspace, tmp_path: Path, stop_at: Callable[[int], Event]
) -> None:
    compiling = ("train.compile=true", "train.layout=contiguous", "train.epochs=1")
    plain = load_file(train("train.compile=false", "train.layout=contiguous", "train.epochs=1").weights_path)
    whole = train(*compiling)
    compiled = load_file(whole.weights_path)
    for name, weight in plain.items():
        assert torch.allclose(weight, compiled[name], atol=1e-3, rtol=1e-3), name
    with pytest.raises(StoppedError):
        train(*compiling, stop=stop_at(3))
    begun = place.latest(place.recipe("digits_quickstart", (*SMALL, *compiling)), tmp_path / "runs")
    assert begun is not None
    assert not begun.finished
    ended = train(*compiling, resume=begun)
    assert ended.weights_path.read_bytes() == whole.weights_path.read_bytes()


@pytest.mark.slow
def test_without_a_compiler_the_trial_and_the_training_say_so(
    train: Train, place: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    recipe = families.resolve(place.recipe("digits_quickstart", SMALL))
    device = devices.choose("cpu", "fp32", "contiguous", "batch")
    built = experiment.build(recipe, input_shape=(1, 8, 8), classes=[str(digit) for digit in range(10)], device=device)
    answer = compilation.attempt(recipe, built, (torch.rand(16, 1, 8, 8), torch.randint(0, 10, (16,))))
    assert isinstance(answer, str)
    assert "compiler" in answer
    code = (
        "import dlcat\ntry:\n dlcat.train('digits_quickstart', overrides=('train.compile=true', 'train.epochs=1'))\n"
        "except dlcat.errors.InvalidError as error: print(error.message, error.hint)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "train.compile: torch's compiler cannot compile" in said.stdout
