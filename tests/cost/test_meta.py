"""The compiler is not imported for what needs none, and is whole for whoever wants it afterwards."""

from __future__ import annotations

from collections.abc import Callable

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


def test_nor_does_the_command(python: Callable[..., str]) -> None:
    python(
        "import sys; from dlcat.cli import run; run(['cost', 'cifar_bn']);"
        "assert not [name for name in sys.modules if name.startswith('torch._dynamo')]"
    )


def test_the_compiler_works_after_a_count_and_a_count_after_the_compiler(python: Callable[..., str]) -> None:
    compiled = "print(torch.compile(lambda x: (x + 1).mean(), backend='eager')(torch.ones(3)).item())\n"
    assert python(f"{COUNT}{compiled}print(cost(build, (3, 9, 9)).macs)").split() == ["2.0", str(49 * 8 * 27)]


def test_whoever_asks_for_more_meanwhile_is_given_the_compiler(python: Callable[..., str]) -> None:
    asked = "import torch\nfrom dlcat.cost.meta import without_compiler\nwith without_compiler():\n"
    asked += "    import torch._dynamo\n    print(torch._dynamo.is_compiling())\nprint(torch._dynamo.is_compiling())"
    assert python(asked).split() == ["False", "False"]
