"""An algorithm computes every convolution of a network, says what it cannot, and tells what was used."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dlcat.errors import InvalidError
from dlcat.layers.algorithms import algorithm
from dlcat.layers.algorithms.computed import Conv1d, Conv2d
from dlcat.layers.algorithms.native import backend
from dlcat.layers.algorithms.network import Used, use, used
from dlcat.layers.parts import initialise_he
from dlcat.layers.standardized import StandardizedConvolution
from dlcat.registry import Choice


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()),
        StandardizedConvolution(nn.Conv2d(4, 4, 3, padding=1, bias=False)),
        nn.ConvTranspose2d(4, 2, 2, 2),
        nn.Conv2d(2, 2, 1),
    )


def _maps() -> torch.Tensor:
    return torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", [name for name in algorithm if name != "auto"])
def test_every_convolution_is_computed_by_it_and_nothing_else_changes(name: str) -> None:
    plain = _network()
    options = {"otherwise": "native"} if name == "winograd" else {}
    network = use(copy.deepcopy(plain), Choice(name=name, options=options))
    assert list(network.state_dict()) == list(plain.state_dict())
    torch.testing.assert_close(network(_maps()), plain(_maps()), atol=1e-4, rtol=1e-4)
    replaced = [module for module in network.modules() if isinstance(module, Conv2d)]
    assert len(replaced) == {"native": 0, "winograd": 2}.get(name, 3)


def test_the_standardized_weights_are_the_ones_that_are_convolved() -> None:
    network = use(_network(), Choice(name="direct"))
    before = network(_maps())
    with torch.no_grad():
        network[1].convolution.weight.mul_(3).add_(0.5)  # type: ignore[index, union-attr]  # standardizing takes both away
    torch.testing.assert_close(network(_maps()), before, atol=1e-3, rtol=1e-3)


def test_first_weights_are_drawn_as_for_torchs() -> None:
    plain, other = _network(), use(_network(), Choice(name="im2col"))
    for network in (plain, other):
        torch.manual_seed(3)
        initialise_he(network)
    assert all(map(torch.equal, plain.state_dict().values(), other.state_dict().values()))


def test_what_it_cannot_compute_is_named_with_the_reason_and_the_way_out() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Conv2d(4, 4, 5)), nn.Conv2d(4, 4, 3, stride=2))
    with pytest.raises(ValueError, match=r"^winograd cannot compute layer '1\.0': the window is 5 x 5, ") as refusal:
        use(network, Choice(name="winograd"))
    assert "(nor 1 more)" in str(refusal.value)
    assert "`algorithm: {name: winograd, otherwise: native}`" in str(refusal.value)


def test_an_unknown_algorithm_is_said_with_the_closest() -> None:
    with pytest.raises(InvalidError, match="did you mean 'winograd'"):
        use(_network(), Choice(name="winogard"))


def test_a_convolution_alone_is_replaced() -> None:
    assert type(use(nn.Conv1d(2, 3, 3), Choice(name="fft"))) is Conv1d


def test_what_was_used_is_told_in_the_order_of_the_layers() -> None:
    network = use(_network(), Choice(name="winograd", options={"otherwise": "native", "tile": 2})).train()
    found = used(network, _maps())
    assert [(one.layer, one.algorithm) for one in found] == [
        ("0.0", "winograd 2"),
        ("1.convolution", "winograd 2"),
        ("3", "native"),
    ]
    assert [bool(one.backend) for one in found] == [False, False, True]
    assert all(module.training for module in network.modules())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_the_back_end_of_torch_depends_on_the_numbers() -> None:
    convolution, inputs = nn.Conv2d(3, 4, 3, padding=1), torch.rand(16, 3, 32, 32)
    default = backend(convolution, inputs)
    if default == "unknown":
        pytest.skip("this torch does not tell")
    other = backend(copy.deepcopy(convolution).double(), inputs.double())  # oneDNN has no float64
    assert other not in {"unknown", default}
    assert used(convolution, inputs) == (Used("", "native", default),)


def test_where_torch_does_not_tell_its_back_end_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch._C, "_select_conv_backend", raising=False)
    assert backend(nn.Conv2d(3, 4, 3), torch.rand(1, 3, 8, 8)) == "unknown"
