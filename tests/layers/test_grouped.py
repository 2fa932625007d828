"""A convolution in groups is many convolutions side by side, to the last number."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcat.layers.convs import conv
from dlcat.layers.convs.pointwise_group import Shuffle
from dlcat.layers.grouped import in_groups, side_by_side
from dlcat.layers.parts import Parts, choose
from dlcat.registry import Choice


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", list(conv))
def test_convolutions_side_by_side_give_what_each_gives_alone(
    name: str, stride: int, dimensions: int, bias: bool
) -> None:
    torch.manual_seed(0)
    copies = [conv[name](4, 8, 3, stride, dimensions, bias).double() for _ in range(3)]
    together = side_by_side(copies[0], 3).double()
    together.load_state_dict(
        {key: torch.cat([copy.state_dict()[key] for copy in copies]) for key in copies[0].state_dict()}
    )
    inputs = torch.randn(2, 12, *(7,) * dimensions, dtype=torch.float64)
    alone = torch.cat([copy(part) for copy, part in zip(copies, inputs.chunk(3, dim=1), strict=True)], dim=1)
    torch.testing.assert_close(together(inputs), alone)


def _parts(name: str, norm: str = "batch") -> Parts:
    return choose(conv=name, norm=Choice(name=norm, options={"groups": 1} if norm == "weight_standardization" else {}))


def test_as_many_groups_as_channels_are_a_depthwise_convolution() -> None:
    made = _parts("standard").grouped(6, 6, 5, 2, groups=6)
    assert isinstance(made, nn.Conv2d)
    assert (made.groups, made.kernel_size, made.stride, made.weight.shape) == (6, (5, 5), (2, 2), (6, 1, 5, 5))


def test_one_group_is_the_chosen_convolution_itself() -> None:
    made = _parts("pointwise_group").grouped(8, 8, 3, groups=1)
    assert [type(step) for step in made] == [type(step) for step in _parts("pointwise_group").conv(8, 8, 3)]


@pytest.mark.parametrize(("norm", "bias"), [("batch", False), ("none", True)])
def test_groups_have_a_bias_only_where_no_norm_adds_one(norm: str, bias: bool) -> None:
    assert (_parts("standard", norm).grouped(4, 4, 3, groups=2).bias is not None) == bias


def test_weights_of_groups_are_standardized_as_all_are() -> None:
    parts = _parts("standard", "weight_standardization")
    assert type(parts.grouped(4, 4, 3, groups=2)) is type(parts.conv(4, 4, 3))


@pytest.mark.parametrize(("channels_in", "channels_out"), [(6, 8), (8, 6)])
def test_groups_that_do_not_divide_the_channels_are_refused(channels_in: int, channels_out: int) -> None:
    with pytest.raises(ValueError, match="4 groups do not divide 6 channels"):
        _parts("standard").grouped(channels_in, channels_out, 3, groups=4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_shuffles_side_by_side_shuffle_their_own_groups(layout: torch.memory_format) -> None:
    maps = torch.randn(2, 24, 5, 5)
    twice = side_by_side(side_by_side(Shuffle(2), 2), 2)  # four of them, six channels each
    shuffled = twice(maps.to(memory_format=layout))
    assert shuffled.is_contiguous(memory_format=layout)
    order = [6 * copy + place for copy in range(4) for place in (0, 3, 1, 4, 2, 5)]
    assert torch.equal(shuffled, maps[:, order])


def test_what_knows_its_own_form_for_many_is_asked() -> None:
    class Doubled(nn.Module):
        def side_by_side(self, copies: int) -> nn.Module:
            return nn.Identity() if copies == 4 else self

    assert isinstance(in_groups(lambda *_: Doubled(), 8, 8, 4), nn.Identity)


def test_what_is_no_convolution_of_torch_is_refused() -> None:
    class Own(nn.Conv2d):
        """Looks like torch's, and may compute anything."""

    for made in (Own(1, 1, 1), nn.ReLU()):
        with pytest.raises(ValueError, match=rf"4 groups of 2 channel\(s\) apart.*{type(made).__name__} has no form"):
            in_groups(lambda *_, found=made: found, 8, 8, 4)
