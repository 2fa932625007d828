"""What every peer is asked: the same data, network, optimizer and schedule; one line of JSON is its answer."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import network
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset, TensorDataset

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH_SIZE = 128
EVALUATION_BATCH_SIZE = 500
PADDING = 4
RULES: dict[str, dict[str, Any]] = {
    "small_cnn": {"lr": 0.05, "momentum": 0.9, "nesterov": True},
    "resnet20": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
}
"""SGD's options, as the recipes have them."""


@dataclass(frozen=True)
class Work:
    """One training that is asked for."""

    folder: Path
    """With {train,test}_{inputs,targets}.npy: (N, C, H, W) uint8 and (N,) int64; and statistics.json."""
    network: str
    norm: str
    epochs: int
    seed: int
    precision: str
    layout: str
    compile: bool

    @property
    def augments(self) -> bool:
        return self.network == "resnet20"

    @property
    def rule(self) -> dict[str, Any]:
        return RULES[self.network]

    @cached_property
    def steps(self) -> int:
        """Of the whole training; a last batch that is not full is left out, so that all take equally many."""
        return self.epochs * (len(self.stored("train")[1]) // BATCH_SIZE)

    @cached_property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the training split's bytes, each (C, 1, 1)."""
        about = json.loads((self.folder / "statistics.json").read_text(encoding="utf-8"))
        mean, std = (torch.tensor(about[key]).view(-1, 1, 1) for key in ("mean", "std"))
        return mean, std

    def model(self) -> nn.Module:
        torch.manual_seed(self.seed)
        return network.small_cnn() if self.network == "small_cnn" else network.resnet20(self.norm)

    def stored(self, split: str) -> tuple[Tensor, Tensor]:
        """Images as bytes (N, C, H, W), and classes (N,)."""
        inputs, targets = (np.load(self.folder / f"{split}_{part}.npy") for part in ("inputs", "targets"))
        return torch.from_numpy(inputs), torch.from_numpy(targets)

    def numbers(self, images: Tensor) -> Tensor:
        """Bytes (..., C, H, W), made into numbers around zero."""
        mean, std = self.statistics
        return (images.float() - mean) / std

    def loader(self, split: str) -> DataLoader[Any]:
        """As a user would write it: examples made into numbers once, or where they are augmented, one by one."""
        images, targets = self.stored(split)
        if split == "test":
            return DataLoader(TensorDataset(self.numbers(images), targets), EVALUATION_BATCH_SIZE)
        augmented = self.augments
        examples = (
            Augmented(images, targets, self.numbers) if augmented else TensorDataset(self.numbers(images), targets)
        )
        return DataLoader(examples, BATCH_SIZE, shuffle=True, drop_last=True)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), **self.rule)

    def schedule(self, optimizer: torch.optim.Optimizer) -> LambdaLR:
        """A straight line to 0 over all steps; to be stepped after each."""
        return LambdaLR(optimizer, self.falling)

    def falling(self, step: int) -> float:
        return 1 - step / self.steps


class Augmented(Dataset[tuple[Tensor, Tensor]]):
    """Examples mirrored by chance and shifted by up to four pixels, one at a time, as a torch Dataset does it."""

    def __init__(self, images: Tensor, targets: Tensor, numbers: Callable[[Tensor], Tensor]) -> None:
        self.images = images
        self.targets = targets
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        image = functional.pad(self.images[position], (PADDING,) * 4)
        top, left = torch.randint(2 * PADDING + 1, (2,)).tolist()
        side = self.images.shape[-1]
        image = image[:, top : top + side, left : left + side]
        return self.numbers(image.flip(-1) if torch.rand(()) < 0.5 else image), self.targets[position]


def asked() -> Work:
    """The work that the command line asks for, with torch's chance seeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("network", choices=sorted(RULES))
    parser.add_argument("--norm", choices=("batch", "group"), default="batch")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--layout", choices=("contiguous", "channels_last"), default="contiguous")
    parser.add_argument("--compile", action="store_true")
    work = Work(**vars(parser.parse_args()))
    torch.manual_seed(work.seed)
    return work


def answer(fit_seconds: float, accuracy: float, parameters: int) -> None:
    """Print what the benchmark reads; `fit_seconds` are those of training, without data and test."""
    print(json.dumps({"fit_seconds": fit_seconds, "accuracy": accuracy, "parameters": parameters}))


def weights(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
