"""Ctrl-C, closed pipes and terminals, met by real processes."""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlcat.run import Run
from dlcat.workspace import Workspace

Start = Callable[..., "subprocess.Popen[str]"]

FULL = Path("/dev/full")
"""Where every write fails for lack of room."""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")


def test_ctrl_c_during_a_fetch_ends_with_130_and_the_next_fetch_succeeds(
    start: Start, command: Callable[..., Any], toy: Callable[..., tuple[str, ...]], server: Any, tmp_path: Path
) -> None:
    body = bytes(range(256)) * 2000
    server.files["/toys.bin"] = body
    server.stuck = {"/toys.bin"}
    options = toy(server.url, body)
    process = start("fetch", "toy", *options)
    assert server.reached.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "error: interrupted" in err
    assert "Traceback" not in err
    cache = tmp_path / "own cache"
    assert not (cache / "artifacts" / "toy" / "toys.bin").exists()
    assert not (cache / "data" / "toy" / "toys.bin").exists()
    server.stuck = set()
    assert command("fetch", "toy", *options).code == 0
    assert (cache / "data" / "toy" / "toys.bin").read_bytes() == body


def test_ctrl_c_during_a_training_ends_with_130_and_keeps_what_happened(
    start: Start, command: Callable[..., Any], place: Workspace, tmp_path: Path
) -> None:
    words = ("--set", "train.epochs=100000", "--set", "train.compile=false")  # which would be tried in so long a run
    process = start("train", "digits_quickstart", *words, "--device", "cpu")
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("epoch"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), seen
    assert "error: stopped after step" in err
    assert "Traceback" not in err
    (folder,) = (tmp_path / "runs").iterdir()
    run = Run(folder)
    assert run.epochs()
    assert not run.finished
    (listed,) = json.loads(command("runs", "--json").out)["runs"]
    assert (listed["finished"], listed["epochs"]) == (False, len(run.epochs()))


@pytest.mark.parametrize(
    "arguments", [["list"], ["show", "wmt18", "--json"], ["--help"], ["options"], ["nope"]], ids=" ".join
)
def test_a_closed_pipe_ends_quietly(arguments: list[str], start: Start, place: Workspace) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `head` does when it has seen enough
    process = start(*arguments, stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert "Broken" not in err
    assert "Traceback" not in err
    assert process.returncode == (2 if arguments == ["nope"] else 0)


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["--help"], ["show", "mnist"]], ids=" ".join)
def test_an_output_without_room_ends_with_7(arguments: list[str], start: Start, place: Workspace) -> None:
    with open(FULL, "wb") as full:
        process = start(*arguments, stdout=full)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 7
    assert err.startswith("error: standard output: No space left on device\nhint: ")
    assert not [word for word in ("Traceback", "fault", "Exception") if word in err]


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_where_nothing_can_be_said_the_exit_code_still_tells(start: Start, place: Workspace) -> None:
    with open(FULL, "wb") as full:
        process = start("list", stdout=full, stderr=full)
        refused = start("show", "mnits", stdout=full, stderr=full)
    assert (process.wait(60), refused.wait(60)) == (7, 2)


def test_a_table_in_an_encoding_without_chinese_is_still_printed(
    start: Start, environment: dict[str, str], place: Workspace
) -> None:
    process = start("show", "mnist", "--lang", "zh", env={**environment, "PYTHONIOENCODING": "ascii"})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "mnist" in out


def test_a_folder_with_a_catalog_is_a_workspace(
    start: Start, environment: dict[str, str], tmp_path: Path, entry: Callable[..., dict[str, Any]]
) -> None:
    import yaml

    (tmp_path / "catalog.yaml").write_text(yaml.safe_dump({"mine": entry(title="My own")}))
    variables = {name: value for name, value in environment.items() if name != "DLCAT_CACHE"}
    process = start("list", "--json", env=variables)
    out, _ = process.communicate(timeout=60)
    assert [dataset["name"] for dataset in json.loads(out)["datasets"]] == ["mine"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "catalog.yaml"]


WRITTEN = (
    "inputs.json",
    "environment.json",
    "recipe.yaml",
    "metrics.jsonl",
    "events.out",
    "weights.safetensors",
    "errors.npz",
    "result.json",
    "report.html",
)
"""A run's files in the order in which they are written; of TensorBoard's, how its name begins."""

# Without bytecode, which Python 3.11 cuts at the limit, does not notice, and cannot read the next time.
LIMITED = """
import contextlib, io, json, resource
from dlcat.cli import run
told = []
for limit_bytes, arguments in {cases!r}:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = run(arguments)
    told.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(told))
"""


def _training(epochs: int, folder: Path) -> list[str]:
    # Without a validation split, no epoch is the best, and has its weights written, before the last.
    sets = ("--set", f"train.epochs={epochs}", "--set", "train.validation=0", "--set", "baseline=none")
    return ["train", "digits_quickstart", *sets, "--device", "cpu", "--out", str(folder)]


def _refused_at(name: str, reason: str, folder: Path, told: tuple[int, str, str]) -> Run:
    """The run in the folder, known to have stopped at that file, to have said so, and to hold what came before whole."""
    code, out, err = told
    (path,) = folder.iterdir()
    assert (code, out) == (7, "")
    assert f"error: {path / name}: {reason}\nhint: free some space" in err
    assert not [word for word in ("Traceback", "fault", "Exception") if word in err]
    run = Run(path)
    log = {"metrics.jsonl", *(("events.out",) if run.epochs() else ())} if name == "metrics.jsonl" else set()
    lock = set() if run.finished else {".training.lock"}
    assert {found.name.partition(".tfevents")[0] for found in path.iterdir()} == {
        *WRITTEN[: WRITTEN.index(name)],
        *log,
        *lock,
    }
    assert run.finished == (name == "report.html")
    return run


def test_a_file_of_a_run_that_would_be_too_large_ends_the_training_with_7(
    python: Callable[..., str], place: Workspace, tmp_path: Path
) -> None:
    for split in ("train", "test"):
        place.examples(
            place.catalog["digits"], split
        )  # so that these arrays are written, and nothing but the run is left
    limits = {"inputs.json": 100, "metrics.jsonl": 2000, "weights.safetensors": 100_000}
    cases = [(limit, _training(12, tmp_path / name)) for name, limit in limits.items()]
    told = json.loads(python(LIMITED.format(cases=cases), PYTHONDONTWRITEBYTECODE="1"))
    reason = "the file would be larger than is allowed here"
    runs = [_refused_at(name, reason, tmp_path / name, said) for name, said in zip(limits, told, strict=True)]
    lines = (runs[1].path / "metrics.jsonl").read_text()
    assert lines.endswith("}\n")
    assert 1500 < len(lines) <= 2000
    assert 0 < len(runs[1].epochs()) == lines.count("\n") < 12
    assert len(runs[2].epochs()) == 12


@pytest.mark.slow
def test_a_disk_that_is_full_at_a_file_of_a_run_ends_the_training_with_7(
    python: Callable[..., str], command: Callable[..., Any], place: Workspace, tmp_path: Path, small_disk: Any
) -> None:
    assert command(*_training(1, tmp_path / "whole")).code == 0
    (whole,) = (tmp_path / "whole").iterdir()
    pages = [-(next(whole.glob(f"{name}*")).stat().st_size // -mmap.PAGESIZE) for name in WRITTEN]
    room = {name: sum(pages[: number + 1]) - 1 for number, name in enumerate(WRITTEN)}
    stops = ("environment.json", "metrics.jsonl", "weights.safetensors", "errors.npz", "report.html")
    disks = {name: small_disk(room[name]) for name in stops}
    cases = [(-1, _training(1, folder)) for folder in disks.values()]
    told = json.loads(python(LIMITED.format(cases=cases), PYTHONDONTWRITEBYTECODE="1"))
    for (name, folder), said in zip(disks.items(), told, strict=True):
        run = _refused_at(name, "no space left", folder, said)
        assert len(run.epochs()) == (WRITTEN.index(name) > WRITTEN.index("metrics.jsonl"))
        for kept in WRITTEN[: WRITTEN.index(name)]:
            assert next(run.path.glob(f"{kept}*")).stat().st_size > 0
