"""Ctrl-C, closed pipes and terminals, met by real processes."""

from __future__ import annotations

import json
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
    process = start("train", "digits_quickstart", "--set", "train.epochs=100000", "--device", "cpu")
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("epoch"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), seen
    assert "error: interrupted" in err
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
