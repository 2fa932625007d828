"""The two networks of benchmarks/train.py in plain torch: weight for weight those of dlcat's recipes beside this file."""

from __future__ import annotations

from functools import partial
from math import sqrt
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

GROUPS = 8


def small_cnn() -> nn.Module:
    """Two convolutions and two dense layers for MNIST: (N, 1, 28, 28) to (N, 10)."""
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    return initialised(network)


def resnet20(norm: str = "batch") -> nn.Module:
    """ResNet-20 for CIFAR-10, with projections: (N, 3, 32, 32) to (N, 10). `norm` is batch, or group with 8 groups."""
    make_norm = nn.BatchNorm2d if norm == "batch" else partial(nn.GroupNorm, GROUPS)
    layers = [convolution(3, 16, 3), make_norm(16), nn.ReLU()]
    channels = 16
    for width in (16, 32, 64):
        for _ in range(3):
            layers.append(Residual(channels, width, make_norm))
            channels = width
    return initialised(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)))


class Residual(nn.Module):
    """Two convolutions and the way past them; where the width grows, the size is halved."""

    def __init__(self, channels: int, width: int, make_norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        stride = 1 if width == channels else 2
        past = [] if stride == 1 else [convolution(channels, width, 1, stride), make_norm(width)]
        first = [convolution(channels, width, 3, stride), make_norm(width), nn.ReLU()]
        self.branch = nn.Sequential(*first, convolution(width, width, 3), make_norm(width))
        self.shortcut = nn.Sequential(*past)
        self.relu = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        return self.relu(self.branch(images) + self.shortcut(images))


def convolution(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)


def initialised(network: nn.Module) -> nn.Module:
    """Convolutions as He et al. 2015 draw them, dense layers as torch does."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=sqrt(2 / module.weight[0].numel()))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
