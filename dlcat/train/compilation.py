"""A trial of torch's compiler in a process of its own, which may fail, crash or hang without harm.

What the trial compiled stays in the compiler's own cache on the disk: the training that follows finds it there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from dlcat import machine
from dlcat import recipe as recipes
from dlcat.train import device as devices

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from dlcat.recipe import Recipe
    from dlcat.train.experiment import Experiment

LIMIT_SECONDS = 240.0
ROUNDS_SECONDS = 5.0
"""Of timing in turns, but at least one."""
TOLERANCES = {"fp32": 0.02, "bf16": 0.2, "fp16": 0.2}
"""How far the compiled gradient may be off the plain one, as a share of its length.

Sums in another order turn a ReLU on here and there: ResNet-20 in channels_last is 0.003 off the float64 gradient in fp32.
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a gradient costs with and without the compiler."""

    plain_seconds: float
    compiled_seconds: float
    difference: float
    """Between the two gradients of all weights, as a share of the plain one's length."""


def attempt(recipe: Recipe, built: Experiment, example: tuple[Tensor, Tensor]) -> Trial | str:
    """Compile the network of an experiment elsewhere and time it; or why that cannot be done.

    Args:
        recipe: the experiment's, resolved.
        built: with the device, precision and layout that it is compiled for.
        example: inputs (N, ...) as the network takes them, and targets, of the size that it is trained on.
    """
    with TemporaryDirectory(prefix="dlcat-compile-") as name:
        folder = Path(name)
        (folder / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        tensors = dict(zip(("inputs", "targets"), (each.cpu().contiguous() for each in example), strict=True))
        save_file(tensors, folder / "batch.safetensors")
        asked = {
            "folder": name,
            "device": str(built.device.device),
            "precision": built.device.precision,
            "layout": built.device.layout,
            "outputs": built.task.outputs,
            "threads": torch.get_num_threads(),
        }
        trial = _child(asked)
    if isinstance(trial, str):
        return trial
    limit = TOLERANCES[built.device.precision]
    if not trial.difference <= limit:
        return f"its gradient is off by {trial.difference:.1e} of its length; expected at most {limit:g}"
    return trial


def _child(asked: dict[str, Any]) -> Trial | str:
    """What the process answers, or how it failed."""
    command = [sys.executable, "-P", "-m", __name__]  # this dlcat, whatever the current folder holds
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    pipes["env"] = os.environ | {"PYTHONPATH": paths}
    # A group of its own, for the compiler starts processes, too.
    with subprocess.Popen(command, **pipes, text=True, start_new_session=True) as process:
        try:
            said, errors = process.communicate(json.dumps(asked), timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            return f"the compiler took more than {LIMIT_SECONDS:g} s"
        finally:
            _end(process)
    if process.returncode:
        reason: str = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        return f"the compiler failed: {reason[:200]}"
    answer: dict[str, float] = json.loads(said.strip().splitlines()[-1])
    return Trial(**answer)


def _end(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _trial(asked: dict[str, Any]) -> Trial:
    from dlcat.train import experiment

    folder = Path(asked["folder"])
    recipe = recipes.load(folder / "recipe.yaml")
    settings, norm = recipe.train, recipe.model.norm.name
    device = devices.choose(asked["device"], asked["precision"], asked["layout"], norm, compiled=True)
    batch = load_file(folder / "batch.safetensors")
    classes = [str(number) for number in range(asked["outputs"])]
    built = experiment.build(recipe, input_shape=tuple(batch["inputs"].shape[1:]), classes=classes, device=device)
    inputs, targets = device.place(batch["inputs"]), batch["targets"].to(device.device)
    built.model.train()
    plain, compiled = [_run(built, forward, inputs, targets) for forward in (built.model, device.compile(built.model))]
    expected, found = _gradient(built, plain, settings.seed), _gradient(built, compiled, settings.seed)
    seconds: list[tuple[float, float]] = []
    until = perf_counter() + ROUNDS_SECONDS
    while not seconds or perf_counter() < until:
        seconds.append((_seconds(plain, device.device), _seconds(compiled, device.device)))
    return Trial(
        min(each for each, _ in seconds),
        min(each for _, each in seconds),
        float((expected - found).norm() / expected.norm().clamp_min(1e-30)),
    )


def _run(built: Experiment, forward: Callable[[Tensor], Tensor], inputs: Tensor, targets: Tensor) -> Callable[[], None]:
    """One gradient of the batch."""

    def run() -> None:
        built.optimizer.zero_grad(set_to_none=True)
        with built.device.autocast():
            loss = built.task.loss(forward(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]

    return run


def _gradient(built: Experiment, run: Callable[[], None], seed: int) -> Tensor:
    """That of all weights in one row, with the same dropout each time, in the second pass: the first sets things up."""
    run()
    torch.manual_seed(seed)
    run()
    grads = [weight.grad for weight in built.model.parameters() if weight.grad is not None]
    return torch.cat([grad.flatten().double().cpu() for grad in grads])


def _seconds(run: Callable[[], None], device: torch.device) -> float:
    started = perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter() - started


if __name__ == "__main__":
    wanted = json.load(sys.stdin)
    torch.set_num_threads(wanted["threads"])
    machine.keep_memory()
    print(json.dumps(asdict(_trial(wanted))))
