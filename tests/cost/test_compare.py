"""Networks beside each other: block by block, by name."""

from __future__ import annotations

from torch import nn

from dlcat.cost import Cost, cost
from dlcat.cost.compare import against_standard, blocks, pairs
from dlcat.layers.convs import Chain, conv


def _price(name: str = "standard", *more: nn.Module, stride: int = 1) -> Cost:
    def build() -> nn.Module:
        chosen = conv[name](8, 16, 3, stride, 2, False)
        return nn.Sequential(nn.Conv2d(3, 8, 1), chosen, nn.BatchNorm2d(16), *more)

    return cost(build, (3, 6, 6))


def test_the_steps_of_a_convolution_are_put_together() -> None:
    price = _price("depthwise_separable")
    assert [layer.name for layer in price.layers] == ["0", "1.0", "1.1", "2"]
    found = {block.name: block for block in blocks(price)}
    assert list(found) == ["0", "1", "2"]
    assert (found["1"].parameters, found["1"].macs) == (8 * 9 + 8 * 16, 36 * (8 * 9 + 8 * 16))
    assert found["1"].backward_macs == 2 * found["1"].macs
    assert found["1"].kept_bytes == sum(layer.kept_bytes for layer in price.layers[1:3])
    assert found["1"].receptive_field == (3, 3)


def test_blocks_of_one_name_stand_beside_each_other_and_others_alone() -> None:
    found = pairs(_price("flattened", nn.Flatten()), _price("standard", nn.ReLU(), nn.Flatten()))
    names = [tuple(block.name if block else None for block in pair) for pair in found]
    assert names == [("0", "0"), ("1", "1"), ("2", "2"), ("3", "3"), (None, "4")]
    swapped = pairs(_price("standard", nn.ReLU(), nn.Flatten()), _price("flattened", nn.Identity(), nn.Flatten()))
    assert [(one and one.name, two and two.name) for one, two in swapped][3:] == [("3", None), ("4", "4")]


def test_what_only_the_second_has_stands_where_it_runs() -> None:
    def build(*layers: nn.Module) -> Cost:
        return cost(lambda: nn.Sequential(*layers), (3, 6, 6))

    names = [
        (one or two).name
        for one, two in pairs(
            build(nn.Identity(), nn.Conv2d(3, 3, 1)), build(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.ReLU())
        )
        if one or two
    ]
    assert names == ["0", "1", "2"]


def test_a_convolution_is_held_against_the_standard_one_of_its_shape() -> None:
    channels_out, kernel = 16, 3
    found = against_standard(_price("depthwise_separable"), _price())
    (share,) = found.blocks
    assert share.name == "1"
    assert share.macs / share.standard_macs == 1 / channels_out + 1 / kernel**2
    assert (found.macs, found.standard_macs) == (share.macs, share.standard_macs)
    assert against_standard(_price("dilated"), _price()).blocks == ()


def test_chains_in_chains_are_one_block() -> None:
    price = cost(lambda: Chain(Chain(nn.Conv1d(2, 2, 1), nn.Conv1d(2, 2, 1)), nn.Conv1d(2, 2, 1)), (2, 5))
    assert [block.macs for block in blocks(price)] == [3 * 5 * 4]
