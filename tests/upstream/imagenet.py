"""ImageNet: a folder per synset as the tar of tars unpacks, validation pictures in the root, test pictures apart, and the devkit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.pictures import write_jpeg
from tests.upstream import Written

SYNSETS = {
    "n01440764": "tench, Tinca tinca",
    "n01443537": "goldfish, Carassius auratus",
    "n01484850": "great white shark, white shark, man-eater, man-eating shark, Carcharodon carcharias",
    "n01491361": "tiger shark, Galeocerdo cuvieri",
    "n01494475": "hammerhead, hammerhead shark",
}
NODES = {"n00001740": "entity", "n01503061": "bird"}
"""Synsets above, which have no pictures of their own."""
PER_CLASS = 3
DEVKIT = "ILSVRC2012_devkit_t12"
VALIDATION, TEST = 12, 12


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """All that the three archives and the devkit hold."""
    draw = np.random.default_rng(seed)
    numbers = {synset: int(at) + 1 for synset, at in zip(SYNSETS, draw.permutation(len(SYNSETS)), strict=True)}
    write_devkit(folder / DEVKIT, numbers)
    return {
        "train": _training(folder, draw),
        "validation": _validation(folder, draw, numbers),
        "test": _test(folder, draw),
    }


def write_devkit(folder: Path, numbers: dict[str, int]) -> None:
    """data/meta.mat, a structure per synset in the order of the devkit's own numbers; those above come last."""
    from scipy.io import savemat

    fields = (
        "ILSVRC2012_ID",
        "WNID",
        "words",
        "gloss",
        "num_children",
        "children",
        "wordnet_height",
        "num_train_images",
    )
    rows = [
        (number, synset, SYNSETS[synset], "a fish", 0, np.zeros((1, 0)), 0, 1300) for synset, number in numbers.items()
    ]
    rows.sort(key=lambda row: row[0])
    for synset, words in NODES.items():
        rows.append((len(rows) + 1, synset, words, "more than one", 2, np.array([[1.0, 2.0]]), 1, 0))
    table = np.zeros((len(rows), 1), [(field, object) for field in fields])
    for at, row in enumerate(rows):
        table[at, 0] = tuple(float(value) if isinstance(value, int) else value for value in row)
    (folder / "data").mkdir(parents=True)
    savemat(folder / "data" / "meta.mat", {"synsets": table}, do_compression=True)
    (folder / "readme.txt").write_text("This is the documentation of the ILSVRC2012 Development Kit.\n")


def _training(folder: Path, draw: np.random.Generator) -> list[Written]:
    written = []
    for label, synset in enumerate(sorted(SYNSETS)):
        (folder / synset).mkdir()
        for name in sorted(f"{synset}_{number}.JPEG" for number in draw.choice(20_000, PER_CLASS, replace=False)):
            write_jpeg(folder / synset / name, draw)
            written.append(Written(f"{synset}/{name}", label))
    return written


def _validation(folder: Path, draw: np.random.Generator, numbers: dict[str, int]) -> list[Written]:
    drawn = [sorted(SYNSETS)[at] for at in draw.integers(0, len(SYNSETS), VALIDATION)]
    lines = "".join(f"{numbers[synset]}\n" for synset in drawn)
    (folder / DEVKIT / "data" / "ILSVRC2012_validation_ground_truth.txt").write_text(lines)
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, VALIDATION + 1)]
    for name in names:
        write_jpeg(folder / name, draw)
    return [Written(name, sorted(SYNSETS).index(synset)) for name, synset in zip(names, drawn, strict=True)]


def _test(folder: Path, draw: np.random.Generator) -> list[Written]:
    names = [f"ILSVRC2012_test_{number:08d}.JPEG" for number in range(1, TEST + 1)]
    (folder / "test").mkdir()
    for name in names:
        write_jpeg(folder / "test" / name, draw)
    return [Written(f"test/{name}", None) for name in names]
