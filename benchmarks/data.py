"""Images decoded per second and core: from a tree and from shards, beside torch's DataLoader on ImageFolder-like code.

python benchmarks/data.py [--images 2000] [--repeats 3] [--workers 1]

Every contender reads the same JPEG files, takes the random resized crops of ImageNet training (224 pixels) and gives uint8 batches
of 128. One pass before the first that counts warms the page cache. The time is that of a whole epoch, workers' start included;
they take turns, so that a machine that slows down slows all.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import machine
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import dlcat
from dlcat.catalog.dataset import Sample
from dlcat.readers import EncodedExamples, shards
from dlcat.readers.decoders import decoded
from dlcat.readers.encoded import Tree
from dlcat.readers.image_folder import image_folder
from dlcat.readers.pixels import Crops

SIDE = 256
CROP = 224
BATCH = 128
CLASSES = ("a", "b", "c", "d")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        contenders = prepare(Path(name), arguments.images, arguments.workers)
        seconds: dict[str, list[float]] = {contender: [] for contender in contenders}
        for turn in range(arguments.repeats + 1):
            for contender, epoch in contenders.items():
                taken = timed(epoch, arguments.images)
                if turn:
                    seconds[contender].append(taken)
    print(f"{machine.describe()}; {arguments.images} JPEG files of {SIDE} x {SIDE}, {arguments.workers} workers\n")
    print("| from | images/s per worker | least | most |")
    print("|---|---|---|---|")
    for contender, times in seconds.items():
        rates = sorted(arguments.images / taken / max(1, arguments.workers) for taken in times)
        print(f"| {contender} | {median(rates):,.0f} | {rates[0]:,.0f} | {rates[-1]:,.0f} |")


def prepare(folder: Path, images: int, workers: int) -> dict[str, Callable[[], Iterator[Any]]]:
    """The files, and every contender as a function that gives the batches of an epoch."""
    for number in range(images):
        path = folder / "tree" / "train" / CLASSES[number % len(CLASSES)] / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(number))
    paths, labels = image_folder(folder / "tree", "train")
    tree = EncodedExamples(Tree(folder / "tree", paths), labels, CLASSES, 3)
    for _ in shards.write(tree, folder / "shards", "made", "train", shard_bytes=10**8, seed=0, made_from=""):
        pass
    made = replace(
        dlcat.catalog()["digits"],
        name="made",
        classes=list(CLASSES),
        sample=Sample(shape=[3, SIDE, SIDE], dtype="uint8"),
    )
    packed = shards.read(str(folder / "shards"), made, "train", cache=folder / "cache")
    files = [str(folder / "tree" / path.decode()) for path in paths]
    return {
        "dlcat, tree": lambda: ours(tree, workers),
        "dlcat, shards": lambda: ours(packed, workers),
        "DataLoader, tree": lambda: theirs(files, labels, workers),
    }


def photo(seed: int) -> bytes:
    """A JPEG with shapes at several scales and noise, about as many bytes as a photo of that size."""
    random = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(random.integers(0, 256, (cells, cells, 3), np.uint8)).resize(
                (SIDE, SIDE), Image.Resampling.BICUBIC
            ),
            np.float32,
        )
        for cells in (4, 16, 64)
    ]
    mixed = 0.5 * layers[0] + 0.3 * layers[1] + 0.2 * layers[2] + random.normal(0, 3, (SIDE, SIDE, 3))
    stream = BytesIO()
    Image.fromarray(mixed.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def timed(epoch: Callable[[], Iterator[Any]], images: int) -> float:
    started = perf_counter()
    seen = sum(len(batch) for batch in epoch())
    taken = perf_counter() - started
    assert seen == images, f"{seen} of {images} images came"
    return taken


def ours(examples: EncodedExamples, workers: int) -> Iterator[np.ndarray[Any, Any]]:
    order = np.random.default_rng(0).permutation(len(examples)) if examples.shards is None else np.arange(len(examples))
    batches = (
        [(place, (1, number)) for place, number in zip(examples.storage.places(part), part, strict=True)]
        for part in (order[start : start + BATCH].tolist() for start in range(0, len(order), BATCH))
    )
    return decoded(batches, Crops(CROP, 3, 0.08, 0.875), processes=workers)


class Files(Dataset[Any]):
    """What a folder of images is in most training scripts."""

    def __init__(self, files: list[str], labels: np.ndarray[Any, Any]) -> None:
        self.files, self.labels = files, labels

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
        with open(self.files[position], "rb") as stream:
            picture = Image.open(stream).convert("RGB")
        left, top, right, bottom = random_part(*picture.size)
        part = picture.crop((left, top, right, bottom)).resize((CROP, CROP), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(part)).permute(2, 0, 1).contiguous(), int(self.labels[position])


def random_part(width: int, height: int) -> tuple[int, int, int, int]:
    """A random resized crop, drawn from torch's generator as training scripts do."""
    for _ in range(10):
        area = width * height * float(torch.empty(1).uniform_(0.08, 1))
        ratio = math.exp(float(torch.empty(1).uniform_(math.log(3 / 4), math.log(4 / 3))))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            top, left = (int(torch.randint(room + 1, (1,))) for room in (height - down, width - across))
            return left, top, left + across, top + down
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, (width + side) // 2, (height + side) // 2


def theirs(files: list[str], labels: np.ndarray[Any, Any], workers: int) -> Iterator[torch.Tensor]:
    loader = DataLoader(Files(files, labels), BATCH, shuffle=True, num_workers=workers)
    return (images for images, _ in loader)


if __name__ == "__main__":
    main()
