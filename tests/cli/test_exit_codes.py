"""The documented exit codes, each met in the way a user meets it, and never a traceback."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]

BAD_RECIPE = "dataset: digits\nmodel: lenett\noptimizer: sgd\ntrain: {epochs: 0, batch_size: 4}\n"


def _refused(answer: Any, code: int, *words: str) -> None:
    assert answer.code == code, answer.err
    assert "\nerror: " in f"\n{answer.err}"
    assert answer.out == ""
    assert "Traceback" not in answer.err
    assert "fault" not in answer.err
    for word in words:
        assert word in answer.err


def test_done_is_zero(command: Command) -> None:
    for arguments in (["--help"], ["-h"], ["--version"], ["list"], ["list", "--help"], ["show", "mnist"]):
        answer = command(*arguments)
        assert (answer.code, answer.err) == (0, "")
        assert answer.out


USAGE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "command": (("fetsch",), ("No such command 'fetsch'",)),
    "option": (("list", "--domian", "image"), ("No such option", "--domian")),
    "missing argument": (("show",), ("Missing argument", "dlcat show --help")),
    "surplus argument": (("show", "mnist", "coco"), ("unexpected extra argument",)),
    "dataset": (("show", "mnits"), ("no dataset named 'mnits'", "did you mean 'mnist'?")),
    "dataset to plan": (("plan", "mnits"), ("did you mean 'mnist'?",)),
    "dataset to fetch": (("fetch", "digits", "mnits"), ("did you mean 'mnist'?",)),
    "dataset to verify": (("verify", "mnits"), ("did you mean 'mnist'?",)),
    "dataset to import": (("import", "mnits", "."), ("did you mean 'mnist'?",)),
    "dataset to list": (("cache", "ls", "nowhere"), ("nowhere is not in the cache",)),
    "dataset to remove": (("cache", "rm", "nowhere"), ("nowhere is not in the cache",)),
    "domain": (("list", "--domain", "images"), ("expected one of image, nlp, audio", "did you mean 'image'?")),
    "size": (("list", "--max-size", "big"), ("'big' is no size",)),
    "language": (("list", "--lang", "fr"), ("--lang fr: expected en or zh",)),
    "part": (("plan", "mnist", "--part", "nope"), ("no part named 'nope'",)),
    "mirror": (("plan", "mnist", "--mirror", "ftp://x"), ("found 'ftp://x'",)),
    "catalog": (("list", "--catalog", "nowhere.yaml"), ("--catalog nowhere.yaml: no such file",)),
    "recipe": (("train", "mnist_lnet"), ("no recipe named 'mnist_lnet'", "did you mean 'mnist_lenet'?")),
    "recipe to check": (("recipes", "check", "mnist_lnet"), ("did you mean 'mnist_lenet'?",)),
    "recipe to cost": (("cost", "mnist_lnet"), ("did you mean 'mnist_lenet'?",)),
    "override": (("train", "digits_quickstart", "--set", "nonsense"), ("--set nonsense: expected KEY=VALUE",)),
    "device": (("train", "digits_quickstart", "--device", "tpu"), ("--device tpu",)),
    "shard": (("train", "digits_quickstart", "--shard"), ("one process has nothing to divide", "--nproc 2")),
    "family": (("options", "nrom"), ("no family named 'nrom'", "did you mean 'norm'?")),
    "schema": (("catalog", "schema", "recipes"), ("did you mean 'recipe'?",)),
    "run": (("report", "nowhere"), ("no run named 'nowhere'",)),
    "run to evaluate": (("eval", "last"), ("no run in", "dlcat train RECIPE makes one")),
    "run to predict with": (("predict", "nowhere", "x.png"), ("no run named 'nowhere'",)),
    "nothing to verify": (("verify", "mnist"), ("nothing of mnist is in the cache", "dlcat fetch mnist")),
    "nothing to import": (("import", "mnist", "nowhere.gz"), ("nowhere.gz: no such file",)),
}


@pytest.mark.parametrize(("arguments", "words"), USAGE.values(), ids=USAGE)
def test_what_does_not_exist_is_usage_2(
    arguments: tuple[str, ...], words: tuple[str, ...], command: Command, place: object
) -> None:
    answer = command(*arguments)
    _refused(answer, 2, *words)


@pytest.mark.parametrize("arguments", [(), ("cache",), ("catalog",)], ids=str)
def test_a_command_that_lacks_its_verb_shows_its_help(arguments: tuple[str, ...], command: Command) -> None:
    answer = command(*arguments)
    assert (answer.code, answer.err) == (2, "")
    assert "Usage: dlcat" in answer.out


INVALID: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "recipe": (("train", "bad.yaml"), ("bad.yaml:2: model.name", "bad.yaml:4: train.epochs")),
    "recipe to check": (("recipes", "check", "bad.yaml"), ("did you mean 'lenet'?",)),
    "recipe that is no YAML": (("cost", "broken.yaml"), ("broken.yaml:1: not YAML",)),
    "recipe of bytes": (("train", "latin.yaml"), ("latin.yaml:1: not UTF-8",)),
    "override": (("train", "digits_quickstart", "--set", "train.epochs=many"), ("--set train.epochs: ",)),
    "option": (("recipes", "show", "digits_quickstart", "--set", "model.depht=3"), ("no option 'depht'",)),
    "contradiction": (
        ("train", "digits_quickstart", "--dry-run", "--set", "train.batch_size=1", "--set", "model.norm=batch"),
        ("norm batch needs more than one example",),
    ),
    "too large a batch": (
        ("train", "digits_quickstart", "--set", "train.batch_size=100000"),
        ("--set train.batch_size: train.batch_size: expected at most",),
    ),
    "dataset without classes": (("train", "digits_quickstart", "--set", "dataset=wmt18"), ("wmt18",)),
    "catalog": (("list", "--catalog", "catalog_bad.yaml"), ("catalog_bad.yaml:1: toy: expected an entry",)),
    "catalog to check": (("catalog", "check", "catalog_bad.yaml"), ("catalog_bad.yaml:1: toy: expected an entry",)),
    "catalog that is gone": (("catalog", "check", "gone.yaml"), ("gone.yaml: cannot be read",)),
}


@pytest.mark.parametrize(("arguments", "words"), INVALID.values(), ids=INVALID)
def test_what_does_not_say_what_it_must_is_invalid_3(
    arguments: tuple[str, ...], words: tuple[str, ...], command: Command, place: object, tmp_path: Path
) -> None:
    (tmp_path / "bad.yaml").write_text(BAD_RECIPE)
    (tmp_path / "broken.yaml").write_text("a: b: c")
    (tmp_path / "latin.yaml").write_bytes(b"# caf\xe9\n")
    (tmp_path / "catalog_bad.yaml").write_text("toy: 3\n")
    answer = command(*arguments)
    _refused(answer, 3, *words)
    assert not (tmp_path / "runs").exists()


def test_no_source_that_answers_is_4(command: Command, toy: Callable[..., tuple[str, ...]], refusing: str) -> None:
    answer = command("fetch", "toy", *toy(refusing))
    _refused(answer, 4, f"{refusing}/toys.bin", "dlcat import toy")


def test_a_source_without_the_file_is_4(command: Command, toy: Callable[..., tuple[str, ...]], server: Any) -> None:
    _refused(command("fetch", "toy", *toy(server.url)), 4, "404")


@pytest.mark.parametrize("served", [b"xyz", b"abcd", b"ab"], ids=["other", "longer", "shorter"])
def test_wrong_bytes_are_5(
    served: bytes, command: Command, toy: Callable[..., tuple[str, ...]], server: Any, tmp_path: Path
) -> None:
    server.files["/toys.bin"] = served
    _refused(command("fetch", "toy", *toy(server.url)), 5, "toy/toys.bin", "expected", "found")
    assert not (tmp_path / "own cache" / "artifacts" / "toy" / "toys.bin").exists()
    assert not (tmp_path / "own cache" / "data" / "toy" / "toys.bin").exists()


def test_bytes_that_changed_in_the_cache_are_5(
    command: Command, toy: Callable[..., tuple[str, ...]], server: Any, tmp_path: Path
) -> None:
    server.files["/toys.bin"] = b"abc"
    options = toy(server.url)
    assert command("fetch", "toy", *options).code == 0
    (tmp_path / "own cache" / "artifacts" / "toy" / "toys.bin").write_bytes(b"abd")
    answer = command("verify", "toy", *options)
    _refused(answer, 5, "toy/toys.bin", "dlcat verify --repair toy")
    assert command("verify", "--repair", "toy", *options).code == 0
    assert command("verify", "toy", *options).code == 0


def test_what_only_a_person_may_get_is_6(command: Command) -> None:
    answer = command("fetch", "imagenet")
    _refused(answer, 6, "must be asked for by a person", "dlcat import imagenet PATH")


def test_files_that_are_none_of_it_are_6(command: Command, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    _refused(command("import", "imagenet", tmp_path), 6, "its terms must be accepted", "dlcat accept imagenet")
    assert command("accept", "imagenet", "--yes").code == 0
    _refused(command("import", "imagenet", tmp_path / "holiday.jpg"), 6, "none of the 1 files found is one of imagenet")


def test_a_disk_without_room_is_7(
    command: Command, toy: Callable[..., tuple[str, ...]], server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    server.files["/toys.bin"] = b"abc"
    _refused(command("fetch", "toy", *toy(server.url)), 7, "needed", "1 B free")


@pytest.mark.parametrize("arguments", [("fetch", "digits", "--cache", "file"), ("train", "digits_quickstart", "--out", "file"), ("recipes", "copy", "mnist_lenet", "file/x.yaml")], ids=lambda words: words[0])  # fmt: skip
def test_a_place_that_cannot_be_written_is_7(
    arguments: tuple[str, ...], command: Command, place: object, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    _refused(command(*arguments), 7)


def test_a_report_that_cannot_be_written_is_7(command: Command, trained: Any) -> None:
    _refused(command("report", trained.path, "--html", "no/such/folder.html"), 7, "no/such/folder.html")


def test_a_training_that_diverges_is_8(command: Command, place: object, tmp_path: Path) -> None:
    answer = command(
        "train", "digits_quickstart", "--set", "optimizer={name: sgd, lr: 1.0e+6}", "--set", "model.norm=none",
        "--set", "train.epochs=2", "--device", "cpu"
    )  # fmt: skip
    assert answer.code == 8
    assert answer.out == ""
    assert "error: digits_quickstart: the training loss is " in answer.err
    assert "Traceback" not in answer.err
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "recipe.yaml").is_file()
    assert command("runs").code == 0
    assert command("eval", "last").code == 3


def test_a_fault_of_ours_is_1_and_asks_for_a_report(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> str:
        raise RuntimeError("so it is")

    monkeypatch.setattr("json.dumps", broken)
    answer = command("recipes", "list", "--json")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("error: dlcat has a fault: RuntimeError: so it is\nhint: please report it")
    assert "Traceback" not in answer.err
    monkeypatch.setenv("DLCAT_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="so it is"):
        command("recipes", "list", "--json")
