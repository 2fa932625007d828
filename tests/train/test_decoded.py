"""Splits that are decoded while training: a pure function of seed, epoch and step, from a tree as from shards."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import InvalidError, StoppedError
from dlcat.inputs import Pictures
from dlcat.readers import EncodedExamples
from dlcat.readers.pixels import Crops, decode_at
from dlcat.run import Run
from dlcat.train import device as devices
from dlcat.train.decoded import ReadBatches, shard_order
from dlcat.train.loop import outputs_of
from dlcat.train.placing import batches_of, measure
from dlcat.train.predict import predict
from dlcat.train.trained import restore
from dlcat.workspace import Workspace

CPU = devices.choose("cpu", "fp32", "contiguous", "batch")
CROPS = Crops(12, 3, 0.08, 0.875)
FORM = Pictures(CROPS, None, 0)
RECIPE = """
# Can they be told apart?
dataset: toy
inputs: {name: pictures, size: 12, workers: 0}
model: {name: lenet, kernel: 3, widths: [4, 8]}
augment: [flip]
optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
train: {epochs: 3, batch_size: 8, precision: fp32}
"""


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12), window=st.integers(1, 60), seed=st.integers(0, 10**6)
)
@settings(max_examples=60)
def test_an_order_over_shards_is_a_permutation_that_moves_no_example_by_a_window(
    sizes: list[int], window: int, seed: int
) -> None:
    shards = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    order = shard_order(shards, torch.Generator().manual_seed(seed), window)
    assert sorted(order.tolist()) == list(range(sum(sizes)))
    assert torch.equal(order, shard_order(shards, torch.Generator().manual_seed(seed), window))
    unmixed = shard_order(shards, torch.Generator().manual_seed(seed), 1)
    assert len(torch.unique_consecutive(shards[unmixed])) == len(sizes)  # one shard after the other
    moved = order.argsort() - unmixed.argsort()
    assert int(moved.abs().max()) < window


def test_orders_differ_from_epoch_to_epoch_in_shards_and_within_them() -> None:
    shards, generator = torch.arange(6).repeat_interleave(20), torch.Generator().manual_seed(0)
    first, second = (shard_order(shards, generator, 30) for _ in range(2))
    assert not torch.equal(shards[first], shards[second])
    assert not torch.equal(first.sort().indices, second.sort().indices)


def _split(gallery: Workspace, form: Pictures = FORM) -> ReadBatches:
    examples = gallery.examples(gallery.catalog["toy"], "train")
    positions = np.arange(0, 40, 2)
    found = batches_of(examples, positions, CPU, measure(examples, positions, form), form)
    assert isinstance(found, ReadBatches)
    return found


def _epoch(split: ReadBatches, first: int = 0, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [(b.stored, b.positions) for b in split.shuffled(6, generator, lambda images, _: images, first=first)]  # type: ignore[misc]


def test_every_batch_follows_from_seed_and_step_whatever_came_before_and_whoever_decodes(gallery: Workspace) -> None:
    whole = _epoch(_split(gallery))
    assert [len(positions) for _, positions in whole] == [6, 6, 6]
    for first in (1, 3):
        for workers in (0, 2):
            rest = _epoch(_split(gallery, Pictures(CROPS, None, workers)), first)
            assert len(rest) == 3 - first
            for one, two in zip(rest, whole[first:], strict=True):
                assert torch.equal(one[0], two[0])
                assert torch.equal(one[1], two[1])
    assert not torch.equal(whole[0][1], _epoch(_split(gallery), seed=1)[0][1])


def test_pictures_keep_their_labels_and_are_the_crops_of_their_files(gallery: Workspace) -> None:
    split = _split(gallery)
    examples, crops = split.inputs.examples, Crops(12, 3, 0.08, 0.875)
    seen: list[int] = []
    for (inputs, targets), start in zip(split.in_order(7), range(0, 20, 7), strict=True):
        chosen = range(start, min(start + 7, 20))
        places = examples.storage.places([2 * position for position in chosen])
        centre = np.stack([decode_at(place, crops, None) for place in places])
        assert torch.equal(inputs, split.numbers(torch.from_numpy(centre)))
        names = [examples.classes[target] for target in targets.tolist()]
        assert names == [Path(place.path).parent.name for place in places]
        seen += chosen
    assert seen == list(range(20))
    assert torch.equal(split.inputs[torch.tensor([3])], split.inputs[3:4])
    assert split.inputs[torch.tensor([], dtype=torch.long)].shape == (0, 3, 12, 12)


def test_an_epoch_is_drawn_anew_with_other_crops(gallery: Workspace) -> None:
    split, generator = _split(gallery), torch.Generator().manual_seed(0)
    epochs = []
    for _ in range(2):
        shown = {}
        for batch in split.shuffled(20, generator, lambda images, _: images):
            assert batch.stored is not None
            shown |= dict(zip(batch.positions.tolist(), batch.stored, strict=True))
        epochs.append(shown)
    assert set(epochs[0]) == set(epochs[1]) == set(range(20))
    assert sum(torch.equal(epochs[0][position], epochs[1][position]) for position in range(20)) == 0


@pytest.fixture
def train(gallery: Workspace, tmp_path: Path, stop_at: Callable[[int], Event]) -> Callable[..., Any]:
    """train(folder, overrides, stop_after=3, resume=run): what a training on the toy pictures came to."""
    (tmp_path / "toy.yaml").write_text(RECIPE, encoding="utf-8")

    def call(folder: str, *overrides: str, stop_after: int = 0, resume: Run | None = None) -> Run:
        recipe = gallery.recipe(str(tmp_path / "toy.yaml"), overrides)
        _, cost = gallery.trainable(recipe)
        stop = stop_at(stop_after) if stop_after else None
        events = list(gallery.train(recipe, cost, device="cpu", folder=tmp_path / folder, resume=resume, stop=stop))
        run: Run = events[-1].run
        return run

    return call


def _packed(gallery: Workspace, tmp_path: Path) -> str:
    """An override by which a recipe reads several shards."""
    folder = tmp_path / "packed"
    list(gallery.pack(gallery.catalog["toy"], ("train", "test"), folder, shard_bytes=20_000, seed=1))
    assert len(list(folder.glob("train-*.tar"))) > 2
    return f"inputs.shards={folder}"


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True], ids=["tree", "shards"])
def test_a_training_that_stops_within_an_epoch_goes_on_to_the_same_end_with_other_workers(
    gallery: Workspace, tmp_path: Path, train: Callable[..., Run], packed: bool
) -> None:
    overrides = (_packed(gallery, tmp_path),) if packed else ()
    whole = train("whole", *overrides)
    with pytest.raises(StoppedError):
        train("parts", *overrides, stop_after=6)
    (path,) = (tmp_path / "parts").iterdir()
    done = train("parts", *overrides, "inputs.workers=2", resume=Run(path))
    assert done.weights_path.read_bytes() == whole.weights_path.read_bytes()
    assert done.result()["metrics"] == whole.result()["metrics"]
    assert done.result()["inputs"]["train"] == f"decoded while training, from {'shards' if packed else 'files'}"


def test_a_picture_is_predicted_as_it_would_be_evaluated(gallery: Workspace, train: Callable[..., Run]) -> None:
    run = train("run", "train.epochs=1")
    recipe = gallery.recipe(str(run.recipe_path))
    form = gallery.form(recipe)
    built, known = restore(recipe, run, "cpu", form=form)
    examples = gallery.material(recipe).test
    assert isinstance(examples, EncodedExamples)
    expected = outputs_of(built, batches_of(examples, None, built.device, known.statistics, form)).softmax(1)
    for place, probabilities in zip(examples.storage.places(range(10)), expected, strict=True):
        found = predict(Path(place.path), built, known, 3)
        shares = dict(found.classes)
        assert [shares[name] for name in examples.classes] == pytest.approx(probabilities.tolist(), abs=1e-5)


def test_what_shards_hold_is_in_the_record_of_a_run(
    gallery: Workspace, tmp_path: Path, train: Callable[..., Run]
) -> None:
    recorded = json.dumps(train("run", _packed(gallery, tmp_path)).environment())
    assert "train.json" in recorded
    assert "test.json" in recorded


@pytest.mark.slow
def test_killed_at_random_it_goes_on_to_the_same_end(
    gallery: Workspace, tmp_path: Path, train: Callable[..., Run], environment: dict[str, str]
) -> None:
    override = _packed(gallery, tmp_path)
    whole = train("whole", override, "inputs.workers=1")
    words = ["train", str(tmp_path / "toy.yaml"), "--resume", "--checkpoint", "0", "--device", "cpu", "--set", override]
    words += ["--set", "inputs.workers=1", "--out", str(tmp_path / "parts")]
    words += ["--catalog", str(tmp_path / "catalog.yaml"), "--cache", str(tmp_path / "cache")]
    chance = random.Random(0)
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-m", "dlcat", *words],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            _wait_for_steps(tmp_path / "parts", chance.randint(1, 4), process)
            os.kill(process.pid, signal.SIGKILL)
    done = subprocess.run([sys.executable, "-m", "dlcat", *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "parts").iterdir()
    assert Run(path).weights_path.read_bytes() == whole.weights_path.read_bytes()
    assert Run(path).result()["metrics"] == whole.result()["metrics"]


def _wait_for_steps(folder: Path, steps: int, process: subprocess.Popen[bytes]) -> None:
    """Until so many more checkpoints were written than there were, or the training is over."""

    def newest() -> int:
        return max((int(path.stem) for path in folder.glob("*/checkpoints/[0-9]*.json")), default=0)

    before = newest()
    while newest() < before + steps and process.poll() is None:
        Event().wait(0.01)


REFUSED = {
    "no size": (("inputs=null",), r"toy\.yaml:\d+: dataset: .*expected how they become numbers"),
    "a size of none": (("inputs.size=0",), "option 'size'"),
    "an unknown key": (("inputs.sise=3",), "did you mean 'size'"),
    "arrays": (("dataset=digits",), "prepared as arrays"),
}


@pytest.mark.parametrize(("overrides", "message"), REFUSED.values(), ids=REFUSED)
def test_inputs_that_cannot_be_meant_are_refused_where_they_are_written(
    place: Workspace, gallery: Workspace, tmp_path: Path, overrides: tuple[str, ...], message: str
) -> None:
    (tmp_path / "toy.yaml").write_text(RECIPE.lstrip(), encoding="utf-8")
    where = place if "digits" in overrides[0] else gallery
    with pytest.raises(InvalidError, match=message):
        where.cost(where.recipe(str(tmp_path / "toy.yaml"), overrides))


def test_packed_arrays_train_as_pictures(
    place: Workspace, tmp_path: Path, recipe_file: Callable[[str, str], Path]
) -> None:
    list(place.pack(place.catalog["digits"], ("train", "test"), tmp_path / "packed", shard_bytes=10**9, seed=0))
    text = RECIPE.replace("dataset: toy", "dataset: digits").replace("size: 12", "size: 8, least_area: 1, center: 1")
    path = recipe_file("digits.yaml", text.lstrip())
    recipe = place.recipe(str(path), (f"inputs.shards={tmp_path / 'packed'}", "train.epochs=1", "train.batch_size=32"))
    form, packed = place.form(recipe), place.material(recipe).test
    assert packed is not None
    arrays = place.examples(place.catalog["digits"], "test")
    split = batches_of(packed, None, CPU, measure(packed, np.arange(len(packed)), form), form)
    order = np.random.default_rng(0).permutation(len(arrays))
    assert np.array_equal(split.inputs[:].numpy(), arrays.inputs[order])  # type: ignore[union-attr]
    assert np.array_equal(split.targets.numpy(), arrays.targets[order])
    events = list(place.train(recipe, place.cost(recipe), device="cpu", folder=tmp_path / "runs"))
    assert events[-1].run.result()["metrics"]["test"]["accuracy"] > 0.2
