"""A training that was stopped or killed, and taken up again, ends to the bit as one that never was."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from dlcat.errors import InvalidError, StoppedError, UsageError
from dlcat.layers.norms import norm
from dlcat.optim.optimizers import optimizer
from dlcat.run import Run, training
from dlcat.train.mix import mix
from dlcat.train.session import Finished, Started
from dlcat.workspace import Workspace

SMALL = ("train.epochs=2", "train.batch_size=128", "model.widths=[8, 16]", "baseline=none")
GROUPS = {"group": "{name: group, groups: 4}", "weight_standardization": "{name: weight_standardization, groups: 4}"}
KILLS = 20


@pytest.fixture
def train(place: Workspace, tmp_path: Path, stop_at: Callable[[int], Event]) -> Callable[..., list[Any]]:
    """train(overrides, folder, stop_after=7, resume=run): the events of a training on digits."""

    def call(overrides: tuple[str, ...], folder: str, *, stop_after: int = 0, resume: Run | None = None) -> list[Any]:
        recipe = place.recipe("digits_quickstart", (*SMALL, *overrides))
        stop = stop_at(stop_after) if stop_after else None
        return list(
            place.train(recipe, place.cost(recipe), device="cpu", folder=tmp_path / folder, resume=resume, stop=stop)
        )

    return call


def _run(folder: Path) -> Run:
    (path,) = folder.iterdir()
    return Run(path)


def _scores(run: Run) -> list[dict[str, Any]]:
    return [{key: line[key] for key in line if "second" not in key} for line in run.epochs()]


def _assert_equal(one: Run, two: Run) -> None:
    assert one.weights_path.read_bytes() == two.weights_path.read_bytes()
    assert one.best_weights_path.read_bytes() == two.best_weights_path.read_bytes()
    assert _scores(one) == _scores(two)
    assert one.result()["metrics"] == two.result()["metrics"]


def _with_rate(name: str) -> str:
    """The optimizer with a learning rate, where it has no usual one."""
    return f"{{name: {name}, lr: 0.01}}" if optimizer.options(name)["lr"].required else name


RECIPES: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "dropout and pieces": (
        "model={name: vgg, width: 0.125, dropout: 0.5}",
        "train.micro_batch_size=50",
        "train.batch_size=100",
    ),
    "blocks that are shaken, and pieces": (
        "model={name: resnet, depth: 8, shake_drop: 0.5}",
        "train.micro_batch_size=50",
        "train.batch_size=100",
    ),
    "flips, shifts and small images": (
        "model={name: resnet, depth: 8, width: 4}",
        "augment=[flip, {name: crop, padding: 1}]",
        "train.progressive_resize={size: 6, until: 0.6}",
    ),
    "a fold of some of the examples": ("train.examples=700", "train.folds=3", "train.fold=1", "train.batch_size=64"),
    "all that augments": (
        "augment=[{name: flip, alternate: true}, crop, cutout, {name: erasing, probability: 0.7}, rand_augment]",
        "train.micro_batch_size=50",
    ),
    "a moving average of the weights": (
        "train.ema=0.9",
        "model={name: convnet, widths: [8, 16], dropout: 0.3, norm: batch}",
    ),
    "patience that is lost": (
        "optimizer={name: sgd, lr: 1.0e-9}",
        "schedule=constant",
        "train.patience=1",
        "train.epochs=5",
        "model.norm=none",
    ),
    "weights of classes": ("task={name: classify, class_weights: balanced}", "train.micro_batch_size=50"),
    "one of two mixes": ("mix=[{name: mixup, probability: 0.5}, cutmix]", "train.micro_batch_size=50"),
    "directions in which little changes much": (
        "regularizer={name: vat, entropy: 0.1}",
        "model={name: convnet, widths: [8, 16], dropout: 0.3, norm: batch}",
        "train.labelled={examples: 100}",
        "train.micro_batch_size=50",
    ),
    "a schedule that watches": ("schedule=plateau", "train.epochs=4"),
    "a full batch": ("train.batch_size=full", "optimizer=conjugate_gradient", "schedule=constant", "train.epochs=6"),
    **{f"optimizer {name}": (f"optimizer={_with_rate(name)}",) for name in optimizer},
    **{f"norm {name}": (f"model.norm={GROUPS.get(name, name)}",) for name in norm},
    **{f"mix {name}": (f"mix=[{name}]",) for name in mix},
}


@pytest.mark.parametrize("overrides", RECIPES.values(), ids=RECIPES)
def test_stopped_between_two_steps_it_goes_on_to_the_same_end(
    train: Callable[..., list[Any]], tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    whole = train(overrides, "whole")[-1].run
    for stop_after in (3, 2):  # from the beginning, and once more from there
        resume = _run(tmp_path / "parts") if (tmp_path / "parts").exists() else None
        with pytest.raises(StoppedError, match="stopped after step"):
            train(overrides, "parts", stop_after=stop_after, resume=resume)
    started, *_, finished = train(overrides, "parts", resume=_run(tmp_path / "parts"))
    assert isinstance(started, Started)
    assert started.at != (0, 0)
    assert started.remarks == ()
    assert isinstance(finished, Finished)
    _assert_equal(finished.run, whole)
    assert not finished.run.checkpoints_path.exists()
    assert len(finished.run.environment()["resumed"]) == 2


def test_stopped_in_the_second_epoch_the_first_is_not_told_twice(
    train: Callable[..., list[Any]], tmp_path: Path
) -> None:
    whole = train((), "whole")[-1].run
    with pytest.raises(StoppedError, match="stopped after step 12"):
        train((), "parts", stop_after=12)
    run = _run(tmp_path / "parts")
    run.log(run.epochs()[0] | {"epoch": 2})  # trained by a process that was killed before its next checkpoint
    _assert_equal(train((), "parts", resume=run)[-1].run, whole)


def test_without_a_whole_checkpoint_it_begins_anew_in_the_same_folder(
    train: Callable[..., list[Any]], tmp_path: Path
) -> None:
    whole = train((), "whole")[-1].run
    with pytest.raises(StoppedError):
        train((), "parts", stop_after=12)
    run = _run(tmp_path / "parts")
    for path in run.checkpoints_path.glob("*.safetensors"):
        path.write_bytes(b"?")
    started, *_, finished = train((), "parts", resume=run)
    assert started.at == (0, 0)
    assert "damaged" in started.remarks[0]
    _assert_equal(finished.run, whole)


def test_what_was_otherwise_before_is_said(train: Callable[..., list[Any]], tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train((), "parts", stop_after=3)
    run = _run(tmp_path / "parts")
    run.write_json("environment.json", run.environment() | {"torch": "1.0"})
    started, *_ = train((), "parts", resume=run)
    assert any(each.startswith("torch was 1.0, is ") and "not bit for bit" in each for each in started.remarks)
    assert run.environment()["resumed"][0]["remarks"] == list(started.remarks)


def test_a_checkpoint_of_another_training_is_refused(train: Callable[..., list[Any]], tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train((), "parts", stop_after=3)
    with pytest.raises(InvalidError, match="not of this training"):
        train(("model.widths=[4, 4]",), "parts", resume=_run(tmp_path / "parts"))


def test_a_run_is_trained_by_one_process_at_a_time(train: Callable[..., list[Any]], tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train((), "parts", stop_after=3)
    run = _run(tmp_path / "parts")
    with training(run), pytest.raises(UsageError, match="another process is training this run"):
        train((), "parts", resume=run)


def _command(folder: Path, *more: str) -> list[str]:
    sets = [word for override in (*SMALL, "train.epochs=12") for word in ("--set", override)]
    command = [sys.executable, "-m", "dlcat", "train", "digits_quickstart", "--device", "cpu", "--out", str(folder)]
    return [*command, *sets, "--json", *more]


def _train(folder: Path, environment: dict[str, str], *more: str) -> Run:
    done = subprocess.run(
        _command(folder, *more), env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    return Run(Path(json.loads(done.stdout)["run"]))


def _steps(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*/checkpoints/*.json"))


FORKED = """
import os, sys, torch
from dlcat.cli import run

os.environ.update(environment)
torch.set_num_threads(1)
sys.stdout = sys.stderr = open(os.devnull, "w")
sys.exit(run(words))
"""
"""The command in a process that has torch loaded already."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_twenty_times_it_ends_as_if_it_never_was(
    forks: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    environment = environment | {"OMP_NUM_THREADS": "1"}
    whole = _train(tmp_path / "whole", environment)
    folder, chance, kills = tmp_path / "parts", random.Random(0), 0
    while kills < KILLS:
        before = _steps(folder)
        words = _command(folder, "--resume", "--checkpoint", "0")[3:]
        process = forks.Process(target=exec, args=(FORKED, {"environment": environment, "words": words}))
        process.start()
        while process.is_alive() and _steps(folder) == before:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.03))  # somewhere in the steps that follow, or in the writing of a checkpoint
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"it ended before {KILLS} kills"
        kills += 1
    _assert_equal(_train(folder, environment, "--resume", "--checkpoint", "0"), whole)
    assert len(list(folder.iterdir())) == 1


def test_a_polite_signal_keeps_the_last_step_and_resume_goes_on(environment: dict[str, str], tmp_path: Path) -> None:
    whole, folder = _train(tmp_path / "whole", environment), tmp_path / "parts"
    for number in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(
            _command(folder, "--resume"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        for line in process.stderr:
            if "parameters" in line:
                break
        process.send_signal(number)
        said = process.stderr.read()
        assert process.wait(60) == 130, said
        process.stderr.close()
        assert "error: stopped after step" in said
        assert "hint: the same command with --resume goes on from there" in said
    _assert_equal(_train(folder, environment, "--resume"), whole)
    stamp = os.stat(_run(folder).weights_path).st_mtime_ns
    again = _train(folder, environment, "--resume")  # finished: it is told again, and not trained
    assert os.stat(again.weights_path).st_mtime_ns == stamp
