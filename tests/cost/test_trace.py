"""A traced pass looks at every norm and activation there is, also at those of other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ELSEWHERE = """
from torch import nn
from dlcat.layers.activations import activation
from dlcat.layers.norms import norm

@norm
def elsewhere_norm(channels, *, strength: float):
    '''Needs an option.'''
    return nn.Identity()

@activation
def elsewhere_activation(*, strength: float):
    '''Needs an option.'''
    return nn.Identity()
"""
COST = """
import sys
sys.path.insert(0, {site!r})
from torch import nn
from dlcat.cost import cost
from dlcat.layers.activations import activation
from dlcat.layers.norms import norm
print("elsewhere_norm" in norm, "elsewhere_activation" in activation)
price = cost(lambda: nn.Sequential(nn.Conv1d(1, 2, 3), norm["layer"](2), activation["relu"]()), (1, 8))
print(*[layer.receptive_field for layer in price.layers])
"""


def test_another_packages_part_that_needs_an_option_stops_nobody(tmp_path: Path, python: Callable[..., str]) -> None:
    info = tmp_path / "elsewhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dlcat.norms]\nany = elsewhere\n[dlcat.activations]\nany = elsewhere\n")
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    assert python(COST.format(site=str(tmp_path))).splitlines() == ["True True", "(3,) (3,) (3,)"]


def test_the_first_network_of_a_process_may_be_one_layer(python: Callable[..., str]) -> None:
    code = "from torch import nn; from dlcat.cost import cost; print(cost(lambda: nn.Conv2d(3, 4, 3), (3, 8, 8)).macs)"
    assert python(code) == f"{6 * 6 * 4 * 3 * 9}\n"
