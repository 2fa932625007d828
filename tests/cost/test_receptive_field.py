"""What positions see, against what they are seen to see: a number that is none spreads to all that depends on it."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from dlcat.cost import cost
from dlcat.cost.receptive_field import Sight
from dlcat.cost.trace import trace
from dlcat.layers.activations import activation
from dlcat.layers.convs import conv
from dlcat.layers.norms import norm
from dlcat.layers.parts import Parts, choose
from dlcat.layers.upsamples import upsample
from dlcat.models import model
from dlcat.models.squeeze import SqueezeExcitation

LENGTH = 44
SIGNALS = [name for name in model if model.traits(name).takes == "signals"]
SMALL: dict[str, dict[str, Any]] = {
    "alexnet": {"width": 0.125, "hidden": 8},
    "densenet": {"depth": 10, "growth": 8},
    "mobilenet": {"width": 0.25},
    "network_in_network": {"width": 0.125},
    "preact_resnet": {"depth": 8},
    "resnet": {"depth": 8},
    "resnext": {"depth": 11, "groups": 4, "group_width": 2},
    "shufflenet": {"width": 0.5},
    "vgg": {"depth": 11, "width": 0.125},
    "xception": {"blocks": 1, "width": 0.25},
}


def _parts(conv_name: str, norm_name: str = "batch", dimensions: int = 1) -> Parts:
    return choose(conv=conv_name, norm=norm_name, dimensions=dimensions)


def _foreseen(network: nn.Module, shape: tuple[int, ...]) -> dict[str, tuple[Sight, ...]]:
    """By the name of each layer whose output comes from the input."""
    with torch.device("meta"):
        calls = trace(network.to("meta").train(), torch.empty(2, *shape))
    return {call.name: call.sees for call in calls if call.sees is not None}


def _spread(network: nn.Module, length: int, channels: int) -> dict[str, Tensor]:
    """By layer: (length, positions), whether a position is none where that input position is none."""
    torch.manual_seed(0)
    batch = torch.rand(length, channels, length, dtype=torch.float64)
    batch[torch.arange(length), :, torch.arange(length)] = torch.nan
    found: dict[str, Tensor] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: object, output: Tensor) -> None:
            found[name] = output.isnan().any(1).reshape(length, -1)  # (N, positions)

        return hook

    hooks = [module.register_forward_hook(note(name)) for name, module in network.named_modules()]
    with torch.no_grad():
        network.double().eval()(batch)
    for hook in hooks:
        hook.remove()
    return found


def _interval(sight: Sight, position: int, length: int) -> tuple[int, int]:
    """The first and the last position of the input that it sees."""
    start = sight.start + position * sight.jump
    return max(0, ceil(start)), min(length - 1, ceil(start + sight.size) - 1)


def _sees_what_it_should(build: Callable[[], nn.Module], channels: int, length: int = LENGTH) -> int:
    """How many layers were compared, position by position."""
    spread = _spread(build(), length, channels)
    foreseen = _foreseen(build(), (channels, length))
    has_holes = any(getattr(module, "dilation", 1) not in (1, (1,)) for module in build().modules())
    even = True  # as long as all positions of a layer see windows of one kind
    for name, (sight,) in foreseen.items():
        even &= sight.jump.denominator == 1
        for position, seen in enumerate(spread[name].T):
            places = seen.nonzero().flatten().tolist()
            first, last = _interval(sight, position, length)
            sticks_out = sight.start + position * sight.jump < 0 or last == length - 1
            if even and not (has_holes and sticks_out):  # a hole at the border is not seen
                assert [places[0], places[-1]] == [first, last], (name, position)
            else:
                assert first <= places[0] <= places[-1] <= last, (name, position)
    return len(foreseen)


@pytest.mark.parametrize(
    "conv_name",
    ["standard", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dilated", "transposed", "pointwise"))],
)
@pytest.mark.parametrize("name", SIGNALS)
def test_every_position_of_every_layer_sees_what_reaches_it(name: str, conv_name: str) -> None:
    def build() -> nn.Module:
        network: nn.Module = model[name]((3, LENGTH), 10, _parts(conv_name), **SMALL.get(name, {}))
        return network

    try:
        build()
    except ValueError as error:
        pytest.skip(f"{name} refuses {conv_name}, as tests/models holds it to: {error}")
    assert _sees_what_it_should(build, 3) > 5


@pytest.mark.parametrize("name", list(conv))
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_convolution_of_every_type_sees_its_window(name: str, stride: int, kernel: int) -> None:
    _sees_what_it_should(lambda: conv[name](4, 4, kernel, stride, 1, True), 4, 14)


@pytest.mark.parametrize("name", list(upsample))
@pytest.mark.parametrize(("kernel", "factor"), [(3, 1), (5, 2), (3, 3)])
def test_an_upsampled_map_sees_what_it_is_said_to(name: str, kernel: int, factor: int) -> None:
    """Its positions see windows of several kinds: none sees more, and some nearly as much."""

    def build() -> nn.Module:
        return nn.Sequential(nn.Conv1d(4, 4, 3, stride=2), upsample[name](4, 4, kernel, factor, 1, True))

    (sight,) = _foreseen(build(), (4, 25))["1"]
    widest = 0
    for position, seen in enumerate(_spread(build(), 25, 4)["1"].T):
        places = seen.nonzero().flatten().tolist()
        first, last = _interval(sight, position, 25)
        assert first <= places[0] <= places[-1] <= last
        widest = max(widest, places[-1] - places[0] + 1)
    assert widest <= sight.size < widest + 2
    assert sight.jump * factor == 2


class Odd(nn.Module):
    """Slices, pads, selects and sums that no layer does."""

    def __init__(self, how: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.before, self.after = nn.Conv1d(4, 4, 3, padding=1), nn.Conv1d(4, 4, 3, padding=1)
        self.how = how

    def forward(self, inputs: Tensor) -> Tensor:
        return self.after(self.how(self.before(inputs)))


@pytest.mark.parametrize(
    "how",
    [
        lambda x: x[:, :, 3::2],
        lambda x: functional.pad(x, (2, 1))[:, :, 1:-1],
        lambda x: x + x[:, :, 5, None],
        lambda x: x * x.mean(1, keepdim=True),
        lambda x: x.mean(1)[:, None].expand(-1, 4, -1),
        lambda x: torch.cat([x[:, :2], x.roll(1, 2)[:, 2:]], 1),
        lambda x: x.movedim(1, 2).reshape(len(x), -1, 2, 2).flatten(2).transpose(1, 2),
        lambda x: x + x.amax(2, keepdim=True),
        lambda x: functional.avg_pool1d(x, 3, 2, ceil_mode=True),
        lambda x: functional.max_pool1d(x, 2, 1, dilation=3),
        lambda x: functional.interpolate(x, scale_factor=2.0)[:, :, ::2],
        lambda x: torch.cat([x, x[:, :, :1]], 2),
        lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
        lambda x: x.clone().relu_().to(torch.float64).to(x.dtype) - 1,
    ],
    ids=range(14),
)
def test_what_stands_between_layers_is_followed(how: Callable[[Tensor], Tensor]) -> None:
    """Where the rule is not exact, as for what is rolled round, everything is seen: never too little."""
    spread = _spread(Odd(how), 20, 4)[""]
    (sight,) = _foreseen(Odd(how), (4, 20))[""]
    for position, seen in enumerate(spread.T):
        places = seen.nonzero().flatten().tolist()
        first, last = _interval(sight, position, 20)
        assert first <= places[0] <= places[-1] <= last


@pytest.mark.parametrize(
    ("how", "size", "jump"),
    [
        (lambda x: x[:, :, 3::2], 7, 2),
        (lambda x: functional.pad(x, (2, 1))[:, :, 1:-1], 5, 1),
        (lambda x: x + x[:, :, 5, None], 20, 0),
        (lambda x: x.mean(1)[:, None].expand(-1, 4, -1), 5, 1),
        (lambda x: functional.max_pool1d(x, 2, 1, dilation=3), 8, 1),
        (lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), 5, 1),
        (lambda x: torch.cat(x.chunk(2, 2)[::-1], 2), 20, 0),
        (lambda x: x.roll(1, 2), 20, 0),
    ],
)
def test_what_stands_between_layers_is_told_in_numbers(how: Callable[[Tensor], Tensor], size: int, jump: int) -> None:
    layer = cost(lambda: Odd(how), (4, 20)).layers[-1]
    assert (layer.receptive_field, layer.jump) == ((size,), (jump,))


@pytest.mark.parametrize("name", list(norm))
def test_what_a_norm_knows_of_other_positions_is_left_aside(name: str) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 64, 3), norm[name](64), nn.ReLU(inplace=True), nn.Conv2d(64, 4, 3))

    assert cost(build, (3, 9, 9)).layers[-1].receptive_field == (5, 5)


@pytest.mark.parametrize("name", list(activation))
def test_an_activation_looks_at_one_position(name: str) -> None:
    build = lambda: nn.Sequential(nn.Conv1d(3, 4, 3), activation[name](), nn.Conv1d(4, 4, 3))  # noqa: E731
    assert cost(build, (3, 9)).layers[-1].receptive_field == (5,)


def test_a_dropout_looks_at_one_position() -> None:
    price = cost(lambda: nn.Sequential(nn.Conv1d(3, 4, 3), nn.Dropout(0.5), nn.Conv1d(4, 4, 3)), (3, 9))
    assert price.layers[-1].receptive_field == (5,)


def test_a_layer_that_moves_numbers_to_other_places_is_no_norm_for_keeping_the_shape() -> None:
    class Turned(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs.transpose(1, 2)

    price = cost(lambda: nn.Sequential(nn.Conv1d(7, 7, 1), Turned(), nn.Conv1d(7, 7, 3, padding=1)), (7, 7))
    assert price.layers[-1].receptive_field == (7,)


def test_squeeze_and_excitation_lets_every_position_see_everything() -> None:
    price = cost(lambda: nn.Sequential(nn.Conv2d(3, 8, 3), SqueezeExcitation(8, 2), nn.Conv2d(8, 8, 3)), (3, 20, 16))
    assert price.layers[0].receptive_field == (3, 3)
    assert (price.layers[-1].receptive_field, price.layers[-1].jump) == ((20, 16), (0.0, 0.0))


# Of one position of the last maps on 224 x 224, along each axis: (size, jump). By r = 1 + sum of (k - 1) * jump: VGG-16's
# 13 convolutions give 1 + 2 (2 + 2 2 + 3 4 + 3 8 + 3 16) = 181 and the four pools before the last 1 + 2 + 4 + 8 = 15, so
# 196, and 212 behind the last pool; ResNet-50, with its strides in the 3 x 3 convolutions, 7 + 4 + 3 (2 4) + 8 + 3 16
# + 16 + 5 32 + 32 + 2 64 = 427. 212 and MobileNet's 315 are in Araujo et al. 2019 as well.
KNOWN: list[tuple[str, dict[str, Any], str, tuple[int, int]]] = [
    ("vgg", {"depth": 16}, "Conv2d", (196, 16)),
    ("vgg", {"depth": 16}, "MaxPool2d", (212, 32)),
    ("resnet", {"depth": 18}, "Conv2d", (435, 32)),
    ("resnet", {"depth": 50}, "Conv2d", (427, 32)),
    ("mobilenet", {"version": 1}, "Conv2d", (315, 32)),
]


@pytest.mark.parametrize(("name", "options", "kind", "known"), KNOWN, ids=str)
def test_known_networks_see_what_is_known(
    name: str, options: dict[str, Any], kind: str, known: tuple[int, int]
) -> None:
    shape = (3, 224, 224)
    price = cost(lambda: model[name](shape, 10, _parts("standard", dimensions=2), **options), shape)
    layer = [layer for layer in price.layers if layer.kind == kind][-1]
    assert (layer.receptive_field, layer.jump) == ((known[0],) * 2, (known[1],) * 2)


def test_behind_the_mean_over_positions_all_of_the_image_is_seen() -> None:
    price = cost(lambda: model["resnet"]((3, 32, 24), 10, _parts("standard", dimensions=2), depth=8), (3, 32, 24))
    assert (price.layers[-1].kind, price.layers[-1].receptive_field) == ("Linear", (32, 24))
    assert price.layers[-1].jump == (0.0, 0.0)
