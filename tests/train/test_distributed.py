"""Processes that train together: what each takes, what they agree on, and that the sum is what one alone would have done."""

from __future__ import annotations

import runpy
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlcat.layers.norms import norm
from dlcat.optim.optimizers import optimizer as optimizers
from dlcat.run import Run
from dlcat.train.distributed import World

PROGRAM = Path(__file__).with_name("ranks.py")
STILL = ("augment=[]", "optimizer={name: sgd, lr: 0.05, momentum: 0.9}")
"""Nothing is drawn, so that one process and several see the same."""
GROUPS = {"group": "{name: group, groups: 2}", "weight_standardization": "{name: weight_standardization, groups: 2}"}
Together = Callable[..., list[Any]]


@pytest.fixture(scope="session")
def together(forks: Any, place: Any, tmp_path_factory: pytest.TempPathFactory) -> Together:
    """together("order", size=2, key=value): what each of so many processes answers; see ranks.py."""

    def call(order: str, *, size: int = 2, **given: Any) -> list[Any]:
        folder = tmp_path_factory.mktemp("together")
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
        given["cache"] = str(place.locations.cache)
        processes = []
        for rank in range(size):
            variables = {
                "RANK": str(rank),
                "WORLD_SIZE": str(size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
            start = {"VARIABLES": variables, "ORDER": (order, given, str(folder / str(rank)))}
            processes.append(forks.Process(target=runpy.run_path, args=(str(PROGRAM), start, "__rank__")))
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0] * size
        return [torch.load(folder / str(rank), weights_only=False) for rank in range(size)]

    return call


@given(count=st.integers(0, 200), size=st.integers(1, 9))
def test_shares_are_every_item_once_in_order_and_as_even_as_can_be(count: int, size: int) -> None:
    shares = [World(rank, size).share(range(count)) for rank in range(size)]
    assert [item for share in shares for item in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(seed=st.integers(0, 2**63 - 2), size=st.integers(2, 9))
def test_every_process_has_chance_of_its_own_and_the_first_that_of_the_recipe(seed: int, size: int) -> None:
    seeds = [World(rank, size).seed(seed) for rank in range(size)]
    assert seeds[0] == seed
    assert len(set(seeds)) == size
    assert all(0 <= each < 2**63 for each in seeds)


@pytest.fixture(scope="session")
def by_optimizer(together: Together) -> dict[int, list[Any]]:
    overrides = ("augment=[]", "train.epochs=3", "train.batch_size=full")
    return {size: together("each_optimizer", size=size, overrides=overrides) for size in (1, 2)}


@pytest.mark.parametrize("name", list(optimizers))
def test_after_every_step_all_processes_have_the_same_weights(by_optimizer: dict[int, list[Any]], name: str) -> None:
    first, second = (found[name] for found in by_optimizer[2])
    assert first["hashes"] == second["hashes"] != []
    assert len(set(first["hashes"])) > 1
    assert torch.equal(first["weights"], second["weights"])


@pytest.mark.parametrize("name", list(optimizers))
def test_two_processes_go_where_one_goes(by_optimizer: dict[int, list[Any]], name: str) -> None:
    (alone,), (first, _) = (by_optimizer[size] for size in (1, 2))
    epochs, off = (2, 1e-2) if name == "lbfgs" else (3, 1e-3)  # twenty searches a step make much of a rounding
    assert first[name]["losses"][:epochs] == pytest.approx(alone[name]["losses"][:epochs], rel=off)


LOOKS_AROUND = ("batch", "batch_renorm", "switchable")
"""Norms that see the other examples of a process's part, so that what is divided matters."""
TRAININGS: dict[str, tuple[str, ...]] = {
    **{f"norm {name}": (f"model.norm={GROUPS.get(name, name)}",) for name in norm if name not in LOOKS_AROUND},
    "in pieces": ("train.micro_batch_size=7",),
    "in pieces of one": ("train.micro_batch_size=1",),
    "a share more": ("train.batch_size=31",),
    "shortened": ("train.clip_norm=0.1",),
    "the whole split": ("train.batch_size=full", "train.micro_batch_size=20"),
    "small images first": ("train.progressive_resize={size: 6}",),
    "a schedule that watches": ("schedule=plateau", "train.epochs=4"),
    "few labels": ("train.labelled={examples: 20, share: 0.3}", "regularizer=entropy"),
    "averaged weights": ("train.ema=0.8",),
    "weighted classes": ("task={name: classify, class_weights: [1, 3, 1, 1, 2, 1, 1, 1, 1, 0.5]}",),
}
BATCH = ("model.norm=batch",)
OF_THREE = ("norm sync_batch", "in pieces", "in pieces of one", "a share more")


@pytest.fixture(scope="session")
def by_training(together: Together) -> dict[int, list[Any]]:
    every = {name: (*STILL, *each) for name, each in (TRAININGS | {"norm batch": BATCH}).items()}
    chosen = {1: every, 2: every, 3: {name: every[name] for name in OF_THREE}}
    return {size: together("each_of", size=size, trainings=each) for size, each in chosen.items()}


@pytest.mark.parametrize(("name", "size"), [*((name, 2) for name in TRAININGS), *((name, 3) for name in OF_THREE)])
def test_however_many_they_take_the_steps_of_one(by_training: dict[int, list[Any]], name: str, size: int) -> None:
    (alone,), several = by_training[1], by_training[size]
    off = 1e-2 if name == "norm filter_response" else 2e-5  # its learned eps begins near 0, and divides
    for found in several:
        assert found[name]["hashes"] == several[0][name]["hashes"]
        torch.testing.assert_close(found[name]["weights"], alone[name]["weights"], atol=off, rtol=1e-4)
        torch.testing.assert_close(found[name]["outputs"], alone[name]["outputs"], atol=5 * off, rtol=1e-3)
        assert found[name]["losses"] == pytest.approx(alone[name]["losses"], rel=5 * off)


@pytest.mark.parametrize("size", [2, 3])
def test_sync_batch_over_processes_is_batch_over_the_whole_batch(by_training: dict[int, list[Any]], size: int) -> None:
    (alone,), several = by_training[1], by_training[size]
    for found in several:
        torch.testing.assert_close(
            found["norm sync_batch"]["weights"], alone["norm batch"]["weights"], atol=2e-5, rtol=1e-4
        )
        for one, other in zip(found["norm sync_batch"]["averages"], alone["norm batch"]["averages"], strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_batch_norm_looks_at_a_processs_own_examples_and_keeps_the_firsts_averages(
    by_training: dict[int, list[Any]],
) -> None:
    (alone,), (first, second) = by_training[1], by_training[2]
    assert not torch.allclose(first["norm batch"]["weights"], alone["norm batch"]["weights"], atol=1e-4)
    assert first["norm batch"]["hashes"] == second["norm batch"]["hashes"]
    assert all(map(torch.equal, first["norm batch"]["averages"], second["norm batch"]["averages"]))
    assert torch.equal(first["norm batch"]["outputs"], second["norm batch"]["outputs"])


def test_evaluation_has_every_example_once_and_in_its_place(together: Together) -> None:
    untrained = {
        "overrides": (*STILL, "optimizer={name: sgd, lr: 1.0e-30, momentum: 0}", "train.epochs=1"),
        "count": 1203,
    }
    (alone,) = together("trained", size=1, **untrained)
    for found in together("trained", size=2, **untrained):
        assert torch.equal(found["outputs"], alone["outputs"])


def test_with_dropout_and_augmentation_the_same_processes_come_to_the_same_bits(together: Together) -> None:
    moving = ("augment=[{name: crop, padding: 1}]", "model={name: convnet, widths: [4], blocks: 1, dropout: 0.5}")
    (first, second), (again, _) = (together("trained", overrides=moving) for _ in range(2))
    assert first["hashes"] == second["hashes"] == again["hashes"]


@pytest.mark.parametrize("bucket_bytes", [1, 100, 10**9])
def test_gradients_are_sums_and_what_nobody_used_has_none(together: Together, bucket_bytes: int) -> None:
    first, second = together("gradient_sums", bucket_bytes=bucket_bytes)
    for found in (first, second):
        assert found["sum"].keys() == first["own"].keys()
        assert not any(name.startswith("never") for name in found["sum"])
        for name, total in found["sum"].items():
            own = [each["own"].get(name, torch.zeros(())) for each in (first, second)]
            torch.testing.assert_close(total, own[0] + own[1])


def test_gradients_are_those_of_torchs_distributed_data_parallel(together: Together) -> None:
    for found in together("torchs_own", overrides=STILL):
        for ours, theirs in zip(found["ours"], found["torch"], strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_what_cannot_be_divided_is_refused(together: Together) -> None:
    trainings = {
        "too few": ("train.batch_size=3",),
        "pieces of one, uneven": ("train.batch_size=6", "train.micro_batch_size=1"),
        "batch norm of one": ("train.batch_size=4", "model.norm=batch"),
        "sync_batch of one": ("train.batch_size=4", "model.norm=sync_batch"),
        "enough": ("train.batch_size=8", "model.norm=batch"),
        "pieces of one, even": ("train.batch_size=8", "train.micro_batch_size=1"),
    }
    (found,) = together("without_divisible", size=1, trainings=trainings, size_of_world=4)
    for name in ("too few", "pieces of one, uneven", "batch norm of one"):
        assert "train.batch_size" in found[name]
        assert "of 4 processes" in found[name]
    assert [found[name] for name in ("sync_batch of one", "enough", "pieces of one, even")] == ["", "", ""]


MOVING = (
    "augment=[{name: crop, padding: 1}]",
    "model={name: convnet, widths: [8], blocks: 1, dropout: 0.5}",
    "train.batch_size=128",
)


def _run(folder: Path) -> Run:
    (path,) = folder.iterdir()
    return Run(path)


def _scores(run: Run) -> list[dict[str, Any]]:
    return [{key: line[key] for key in line if "second" not in key} for line in run.epochs()]


def _assert_equal(one: Run, two: Run) -> None:
    assert one.weights_path.read_bytes() == two.weights_path.read_bytes()
    assert _scores(one) == _scores(two)
    assert one.result()["metrics"] == two.result()["metrics"]


@pytest.fixture(scope="session")
def whole(together: Together, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two processes that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    first, second = together("whole_runs", overrides=MOVING, folder=str(folder))
    assert first["events"] == ["Started", "Epoch", "Epoch", "Finished"]
    assert second["events"] == []  # only the first speaks, and writes
    return _run(folder)


def test_a_run_says_how_many_trained_it(whole: Run) -> None:
    assert whole.result()["processes"] == whole.environment()["processes"] == 2


def test_stopped_on_any_process_all_stop_and_resume_goes_on_to_the_same_end(
    together: Together, whole: Run, tmp_path: Path
) -> None:
    never = 10**9
    for stop_after in ((3, never), (never, 4)):
        found = together("whole_runs", overrides=MOVING, folder=str(tmp_path), resume=True, stop_after=stop_after)
        assert all(each["error"].startswith("StoppedError: stopped after step") for each in found)
    first, _ = together("whole_runs", overrides=MOVING, folder=str(tmp_path), resume=True)
    assert first["remarks"] == []
    _assert_equal(_run(tmp_path), whole)


@pytest.mark.parametrize("size", [1, 3])
def test_a_checkpoint_of_two_is_taken_up_by_others_and_that_is_said(
    together: Together, tmp_path: Path, size: int
) -> None:
    together("whole_runs", overrides=MOVING, folder=str(tmp_path), stop_after=(3, 3))
    first, *_ = together("whole_runs", size=size, overrides=MOVING, folder=str(tmp_path), resume=True)
    assert first["remarks"] == [f"processes was 2, is {size}; not bit for bit as without a pause"]
    assert first["events"][-1] == "Finished"
    assert _run(tmp_path).result()["processes"] == size


def test_where_the_target_is_reached_all_end(together: Together, tmp_path: Path) -> None:
    wanted = (*MOVING, "target={accuracy: 0.01, stop: true}")
    first, second = together("whole_runs", overrides=wanted, folder=str(tmp_path))
    assert first["events"] == ["Started", "Epoch", "Finished"]
    assert "error" not in second


def test_where_one_diverges_all_end_and_say_where(together: Together, tmp_path: Path) -> None:
    wild = ("optimizer={name: sgd, lr: 1.0e+30}", "train.batch_size=64")
    found = together("whole_runs", overrides=wild, folder=str(tmp_path))
    assert found[0]["error"] == found[1]["error"]
    assert found[0]["error"].startswith("DivergedError: ")
    assert "step" in found[0]["error"]


SHARDED = {
    "sgd": STILL,
    "adamw": ("augment=[]", "optimizer=adamw"),
    "shortened": (*STILL, "train.clip_norm=0.1"),
    "in pieces": (*STILL, "train.micro_batch_size=4"),
    "sync_batch": (*STILL, "model.norm=sync_batch"),
}


def test_with_the_weights_divided_the_steps_are_the_same(together: Together) -> None:
    every = {name: (*each, "train.layout=contiguous") for name, each in SHARDED.items()}
    whole, (first, second) = (together("each_of", trainings=every, shard=shard) for shard in (False, True))
    for name in SHARDED:
        torch.testing.assert_close(first[name]["weights"], whole[0][name]["weights"], atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(first[name]["outputs"], whole[0][name]["outputs"], atol=1e-4, rtol=1e-3)
        assert first[name]["hashes"] == second[name]["hashes"]
        assert first[name]["own"] + second[name]["own"] == whole[0][name]["own"]


def test_divided_a_run_is_taken_up_to_the_bit_and_undivided_too(together: Together, tmp_path: Path) -> None:
    order = {"overrides": MOVING, "shard": True}
    for name in ("whole", "parts", "otherwise"):
        stop_after = None if name == "whole" else (3, 3)
        together("whole_runs", **order, folder=str(tmp_path / name), stop_after=stop_after)
    together("whole_runs", **order, folder=str(tmp_path / "parts"), resume=True)
    _assert_equal(_run(tmp_path / "parts"), _run(tmp_path / "whole"))
    assert _run(tmp_path / "whole").result()["sharded"]
    first, _ = together("whole_runs", overrides=MOVING, folder=str(tmp_path / "otherwise"), resume=True)
    assert first["events"][-1] == "Finished"
    assert _run(tmp_path / "otherwise").result()["metrics"]["test"]["accuracy"] == pytest.approx(
        _run(tmp_path / "whole").result()["metrics"]["test"]["accuracy"], abs=0.05
    )


def test_an_optimizer_that_looks_at_whole_weights_does_not_divide_them(together: Together, tmp_path: Path) -> None:
    wanted = (*MOVING, "optimizer=muon")
    found = together("whole_runs", overrides=wanted, folder=str(tmp_path), shard=True)
    assert all("needs to see whole weights" in each["error"] for each in found)
