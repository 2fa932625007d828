"""The compiler is not imported for what needs none, and is whole for whoever wants it afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

COUNT = """
import sys, torch
from torch import nn
from dlcat.cost import cost
build = lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
cost(build, (3, 9, 9))
assert not [name for name in sys.modules if name.startswith("torch._dynamo")]
"""


def test_counting_does_not_import_the_compiler(python: Callable[..., str]) -> None:
    python(COUNT)


TRAIN = """
import sys, torch
from torch import nn, optim
from dlcat.compiler import without_compiler
network = nn.Linear(3, 2)
def steps(rule):
    optimizer = rule(network.parameters())
    for _ in range(2):
        network(torch.ones(2, 3)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        optimizer.load_state_dict(optimizer.state_dict())
"""


def test_nor_do_steps_of_optimizers(python: Callable[..., str]) -> None:
    python(
        f"{TRAIN}with without_compiler():\n    for rule in (optim.SGD, optim.Adam, optim.RMSprop): steps(rule)\n"
        "assert not [name for name in sys.modules if name.startswith('torch._dynamo')]\n"
        "assert not any(type(finder).__name__ == '_Finder' for finder in sys.meta_path)"
    )


def test_nor_does_a_training(python: Callable[..., str], tmp_path: Path) -> None:
    words = ["train", "digits_quickstart", "--set", "train.epochs=1", "--set", "baseline=none", "--out", str(tmp_path)]
    said = python(
        "import contextlib, io, sys; from dlcat.cli import run\n"
        f"with contextlib.redirect_stderr(io.StringIO()): code = run([*{words}, '--json'])\n"
        "assert code == 0 and not [name for name in sys.modules if name.startswith('torch._dynamo')]"
    )
    assert json.loads(said)["epochs"] == 1


def test_a_network_is_compiled_meanwhile_and_one_steps_before_and_after(python: Callable[..., str]) -> None:
    said = python(
        f"{TRAIN}with without_compiler():\n    steps(optim.SGD)\n"
        "    print(torch.compile(network, backend='eager')(torch.ones(2, 3)).shape[1])\n    steps(optim.Adam)\n"
        "steps(optim.SGD)\nprint(torch._dynamo.is_compiling())"
    )
    assert said.split() == ["2", "False"]


def test_a_module_of_the_compiler_that_is_imported_meanwhile_is_the_compilers(python: Callable[..., str]) -> None:
    said = python(
        "import sys, torch\nfrom dlcat.compiler import without_compiler\nwith without_compiler():\n"
        "    import torch._dynamo.utils as utils\n"
        "print(utils is torch._dynamo.utils, utils is sys.modules['torch._dynamo.utils'], utils.__spec__.origin == utils.__file__)"
    )
    assert said.split() == ["True"] * 3


def test_who_looks_through_all_modules_does_not_load_it(python: Callable[..., str]) -> None:
    python(
        "import importlib.metadata, inspect, sys, torch\nfrom dlcat.compiler import without_compiler\nwith without_compiler():\n"
        "    inspect.getmodule(inspect.currentframe())\n    importlib.metadata.entry_points(group='dlcat.norms')\n"
        "assert not [name for name in sys.modules if name.startswith('torch._dynamo')]"
    )


def test_nor_does_the_command(python: Callable[..., str]) -> None:
    python(
        "import sys; from dlcat.cli import run; run(['cost', 'cifar_bn']);"
        "assert not [name for name in sys.modules if name.startswith('torch._dynamo')]"
    )


def test_the_compiler_works_after_a_count_and_a_count_after_the_compiler(python: Callable[..., str]) -> None:
    compiled = "print(torch.compile(lambda x: (x + 1).mean(), backend='eager')(torch.ones(3)).item())\n"
    assert python(f"{COUNT}{compiled}print(cost(build, (3, 9, 9)).macs)").split() == ["2.0", str(49 * 8 * 27)]


def test_whoever_asks_for_more_meanwhile_is_given_the_compiler(python: Callable[..., str]) -> None:
    asked = "import torch\nfrom dlcat.compiler import without_compiler\nwith without_compiler():\n"
    asked += "    import torch._dynamo\n    print(torch._dynamo.is_compiling())\nprint(torch._dynamo.is_compiling())"
    assert python(asked).split() == ["False", "False"]
