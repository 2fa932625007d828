"""Random images of CIFAR-10's size, for benchmarks of speed alone, and the recipe that they are trained with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dlcat.train.batches import Batches, InputStatistics

if TYPE_CHECKING:
    from dlcat.train.device import Device

RECIPE = Path(__file__).resolve().parent / "peers" / "resnet20.yaml"
SHAPE, CLASSES = (3, 32, 32), tuple("0123456789")
MEAN, STD = 127.5, 74.0


def batches(device: Device, examples: int) -> Batches:
    """So many of them, the same ones every time."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (examples, *SHAPE), generator=random, dtype=torch.uint8)
    targets = torch.randint(0, len(CLASSES), (examples,), generator=random)
    return Batches(images, targets, device, InputStatistics([MEAN] * 3, [STD] * 3, 255.0, 0.0, 1.0))
