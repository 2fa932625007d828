"""What a run says of the machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch

from dlcat.train import device as devices
from dlcat.train import environment

CPU = devices.Device(torch.device("cpu"), "fp32", "contiguous", {})


def test_the_machine_is_described_as_json() -> None:
    described = environment.describe(CPU, {"b": "2", "a": "1"})
    assert json.loads(json.dumps(described)) == described
    assert described["data"] == [{"file": "a", "sha256": "1"}, {"file": "b", "sha256": "2"}]
    assert described["threads"] == torch.get_num_threads()
    assert all(described[name] for name in environment.VERSIONS)
    assert described["gpu"] is None


def test_what_numbers_depend_on_is_compared() -> None:
    described = environment.describe(CPU, {"a": "1"})
    assert environment.differences(described, {**described, "started": "later", "waiting": "passive"}) == []
    other = {**described, "torch": "9.9", "threads": 64, "data": []}
    told = [
        f"torch was {torch.__version__}, is 9.9",
        f"threads was {torch.get_num_threads()}, is 64",
        "the data are others",
    ]
    assert environment.differences(described, other) == told


def test_the_lock_file_is_cited_where_there_is_one() -> None:
    cited = {"file": "dlcat.lock", "sha256": "0" * 64, "holds": True}
    assert environment.describe(CPU, {}, cited)["lock"] == cited
    assert environment.describe(CPU, {})["lock"] is None


def test_the_state_of_the_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        done = subprocess.run(["git", *identity, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.describe(CPU, {})["git"] is None
    git("init")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "first")
    assert environment.describe(CPU, {})["git"] == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "file").write_text("two")
    assert environment.describe(CPU, {})["git"]["dirty"] is True


def test_without_git_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert environment.describe(CPU, {})["git"] is None
