"""dlcat beside its peers: whole processes that train one network on the same arrays, in turns; a table for each work.

The data are fetched by dlcat, here from a mirror on loopback (any server of static files over ../shared/mirror):

    python -m http.server 8000 --bind 127.0.0.1 --directory ../shared/mirror &
    dlcat fetch mnist cifar10 --cache CACHE --mirror http://127.0.0.1:8000
    python benchmarks/train.py small_cnn --cache CACHE --environments FOLDER
    python benchmarks/train.py resnet20_batch resnet20_group --cache CACHE --environments FOLDER --examples 6400

The peers' environments are made in FOLDER from benchmarks/peers/requirements*.txt, and used again where they are. Round
n trains with seed n, so that accuracies spread over seeds. `bare loop` is written for these networks alone and computes
with the precision and layout that dlcat chose, compiled where dlcat compiles: what it is faster by is what dlcat's engine
costs. The recipes have no baseline, for the peers have none.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median, stdev
from time import perf_counter
from typing import TYPE_CHECKING

import machine
import numpy as np

from dlcat import workspace
from dlcat.train.batches import statistics
from dlcat.train.device import has_bf16_units
from dlcat.train.division import divide

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent / "peers"
PROJECT = HERE.parent.parent
BATCH_SIZE = 128
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "SYSTEMROOT", "TMPDIR", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Work:
    """What is trained."""

    network: str
    """Of a recipe beside the peers, and of network.py there."""
    dataset: str
    epochs: int
    norm: str = "none"
    by_hand: bool = False
    """Whether Lightning is set by hand, too."""

    @property
    def recipe(self) -> Path:
        return HERE / f"{self.network}.yaml"


WORKS = {
    "small_cnn": Work("small_cnn", "mnist", 2),
    "resnet20_batch": Work("resnet20", "cifar10", 1, "batch", by_hand=True),
    "resnet20_group": Work("resnet20", "cifar10", 1, "group", by_hand=True),
}
NORMS = {"none": "none", "batch": "batch", "group": "{name: group, groups: 8}"}


@dataclass(frozen=True)
class Peer:
    """Somebody else who trains: a script, the environment it runs in, and what it is told besides the work."""

    name: str
    script: str
    environment: str = "peers"
    options: tuple[str, ...] = ()


PEERS = (
    Peer("torch, DataLoader", "plain.py"),
    Peer("accelerate", "with_accelerate.py"),
    Peer("fastai", "with_fastai.py", "fastai"),
    Peer("ignite", "with_ignite.py"),
    Peer("keras", "with_keras.py"),
    Peer("lightning", "with_lightning.py"),
    Peer("skorch", "with_skorch.py"),
)
BARE = Peer("bare loop", "bare.py")


@dataclass(frozen=True)
class Answer:
    """What one process said, and how long it took."""

    fit_seconds: float
    whole_seconds: float
    accuracy: float
    parameters: int
    how: tuple[str, ...] = ()
    """What dlcat chose, as the scripts are told it."""


def main() -> None:
    options = parse()
    pythons = {name: environment(options.environments, name) for name in ("peers", "fastai")}
    print(f"{machine.describe()}; {options.rounds} rounds, in turns\n")
    for name in options.works:
        with tempfile.TemporaryDirectory(prefix="dlcat-bench-") as folder:
            measure(name, options, pythons, Path(folder))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="+", choices=list(WORKS), metavar="WORK", help=", ".join(WORKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="2 of small_cnn and 1 of resnet20 by default")
    parser.add_argument("--examples", type=int, help="train on so many of the training split, drawn by the seed")
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="peers whose names begin so")
    parser.add_argument("--cache", type=Path, required=True, help="where dlcat fetched the data to")
    parser.add_argument("--environments", type=Path, required=True, help="where the peers' environments are made")
    return parser.parse_args()


def measure(name: str, options: argparse.Namespace, pythons: dict[str, Path], folder: Path) -> None:
    """Everybody in turns, each round begun by another one; then the table."""
    work = replace(WORKS[name], epochs=options.epochs or WORKS[name].epochs)
    peers = [peer for peer in everybody(work) if peer.name.startswith(tuple(options.only))]
    for peer in peers:  # what a first start reads from the disk, the next one finds in memory
        ran([str(pythons[peer.environment]), str(HERE / peer.script), "--help"], folder)
    answers: dict[str, list[Answer]] = {"dlcat": [], **{peer.name: [] for peer in peers}}
    turn = [None, *peers]
    for seed in range(options.rounds):
        told = overrides(work, seed, options.examples)
        examples = write_arrays(work, told, options.cache.resolve(), folder)
        for peer in (*turn[seed % len(turn) :], *turn[: seed % len(turn)]):
            if peer is None:
                answers["dlcat"].append(our_answer(our_words(work, told, options.cache.resolve()), folder))
            else:
                words = their_words(peer, work, seed, folder, answers["dlcat"][:1])
                answers[peer.name].append(their_answer([str(pythons[peer.environment]), *words], folder))
            print(f"{name}, seed {seed}: {peer.name if peer else 'dlcat'}", file=sys.stderr)
    show(f"{name}, {work.epochs} epochs of {examples:,}", answers, work.epochs * (examples // BATCH_SIZE) * BATCH_SIZE)


def everybody(work: Work) -> list[Peer]:
    """All at their defaults; where one is set by hand, so that it suits the processor; and the bare loop."""
    hand = ("--precision", "bf16" if has_bf16_units() else "fp32", "--layout", "channels_last")
    by_hand = [Peer("lightning by hand", "with_lightning.py", options=hand)] if work.by_hand else []
    return [*PEERS, *by_hand, BARE]


def overrides(work: Work, seed: int, examples: int | None) -> list[str]:
    """What is said of the recipe with --set."""
    told = [f"train.epochs={work.epochs}", f"train.seed={seed}", f"model.norm={NORMS[work.norm]}"]
    return told + ([f"train.examples={examples}"] if examples else [])


def our_words(work: Work, told: Sequence[str], cache: Path) -> list[str]:
    words = [
        sys.executable,
        "-m",
        "dlcat",
        "train",
        str(work.recipe),
        *(word for text in told for word in ("--set", text)),
    ]
    return [*words, "--catalog", str(PROJECT / "catalog.yaml"), "--cache", str(cache), "--out", "runs", "--json"]


def their_words(peer: Peer, work: Work, seed: int, folder: Path, ours: Sequence[Answer]) -> list[str]:
    """The script's command line; the bare loop's with what dlcat chose in its first run."""
    norm = ("--norm", work.norm) if work.norm != "none" else ()
    words = [str(HERE / peer.script), str(folder), work.network, *norm, "--epochs", str(work.epochs), *peer.options]
    if peer == BARE:
        words += ours[0].how
    return [*words, "--seed", str(seed)]


def our_answer(words: Sequence[str], folder: Path) -> Answer:
    seconds, said = ran(words, folder)
    result = json.loads(said)
    how = ("--precision", result["precision"], "--layout", result["layout"])
    how += ("--compile",) if result["compiled"] else ()
    return Answer(result["seconds"], seconds, result["metrics"]["test"]["accuracy"], result["parameters"], how)


def their_answer(words: Sequence[str], folder: Path) -> Answer:
    seconds, said = ran(words, folder)
    result = json.loads(said.splitlines()[-1])
    return Answer(result["fit_seconds"], seconds, result["accuracy"], result["parameters"])


def ran(words: Sequence[str], folder: Path) -> tuple[float, str]:
    """A process from start to end: how long it took, and what it said."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    started = perf_counter()
    done = subprocess.run(
        words, cwd=folder, env={**kept, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=False
    )
    seconds = perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return seconds, done.stdout


def show(title: str, answers: dict[str, list[Answer]], examples: int) -> None:
    """Seconds of fit and of the process, and how many times dlcat's they are; accuracy over the seeds.

    Raises:
        SystemExit: not all trained networks of the same size.
    """
    ours = answers["dlcat"]
    if len({answer.parameters for many in answers.values() for answer in many}) != 1:
        raise SystemExit(f"not one network: { {who: many[0].parameters for who, many in answers.items()} }")
    print(
        f"| {title} | fit, s | dlcat's × | whole process, s | dlcat's × | images/s | test accuracy, % | less dlcat's |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for who, many in answers.items():
        print(f"| {' | '.join((who, *cells(many, ours, examples)))} |")
    print(f"\n{ours[0].parameters:,} parameters; dlcat: {' '.join(ours[0].how)}\n", flush=True)


def cells(many: Sequence[Answer], ours: Sequence[Answer], examples: int) -> Iterator[str]:
    for measured in ("fit_seconds", "whole_seconds"):
        theirs, own = ([getattr(answer, measured) for answer in each] for each in (many, ours))
        yield f"{median(theirs):.1f} ({min(theirs):.1f}–{max(theirs):.1f})"
        yield f"{median(theirs) / median(own):.2f}"
    yield f"{examples / median(answer.fit_seconds for answer in many):,.0f}"
    shares, own = ([100 * answer.accuracy for answer in each] for each in (many, ours))
    yield f"{mean(shares):.2f}" + (f" ± {stdev(shares):.2f}" if len(shares) > 1 else "")
    yield f"{mean(shares) - mean(own):+.2f}"


def write_arrays(work: Work, overrides: Sequence[str], cache: Path, folder: Path) -> int:
    """What the peers read: the examples that dlcat trains on with these overrides, and its test split; how many to train on."""
    place = workspace.here(catalogs=(PROJECT / "catalog.yaml",), cache=cache)
    train, test = (place.examples(place.catalog[work.dataset], split) for split in ("train", "test"))
    chosen, _ = divide(place.recipe(str(work.recipe), tuple(overrides)).train, train.targets)
    inputs = np.asarray(train.inputs)[chosen]
    arrays = {"train": (inputs, train.targets[chosen]), "test": (test.inputs, test.targets)}
    for split, (images, targets) in arrays.items():
        np.save(folder / f"{split}_inputs.npy", images)
        np.save(folder / f"{split}_targets.npy", targets)
    (folder / "statistics.json").write_text(json.dumps(statistics(inputs).plain()), encoding="utf-8")
    return len(chosen)


def environment(folder: Path, name: str) -> Path:
    """The Python of an environment with what its file of requirements pins; made where it is not there."""
    python = folder.resolve() / name / ("Scripts" if os.name == "nt" else "bin") / "python"
    pinned = HERE / {"peers": "requirements.txt", "fastai": "requirements-fastai.txt"}[name]
    if not python.exists():
        venv.create(folder / name, with_pip=True)
        alone = ["--no-deps"] if name == "fastai" else []
        subprocess.run([python, "-m", "pip", "install", "-q", *alone, "-r", pinned], check=True, stdout=sys.stderr)
    return python


if __name__ == "__main__":
    main()
