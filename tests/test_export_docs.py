"""The examples of docs/export.md run as they stand there, on files that were exported as it says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dlcat.run import Run
from dlcat.workspace import Workspace

PAGE = Path(__file__).resolve().parent.parent / "docs" / "export.md"


@pytest.fixture(scope="module")
def folder(trained: Run, place: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("exported")
    for format_name, file in (("safetensors", "model.safetensors"), ("torch-export", "model.pt2")):
        place.export(trained, format_name, found / file)
    return found


def _blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def _ran(block: str, known: dict[str, Any]) -> dict[str, Any]:
    exec(compile(block, str(PAGE), "exec"), known)
    return known


def test_safetensors_and_torch_export_give_the_same_probabilities(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    pixels, ours, graph, _ = _blocks()
    known = _ran(pixels, {})
    expected = _ran(ours, known)["probabilities"].detach()
    torch.testing.assert_close(expected.sum(1), torch.ones(5))
    inner = known["inner"]((known["pixels"] - known["network"].mean) / known["network"].std)
    torch.testing.assert_close(inner.softmax(1).detach(), expected)
    torch.testing.assert_close(_ran(graph, known)["probabilities"].detach(), expected)
    assert known["classes"] == list("0123456789")


def test_onnxruntime_gives_them_too(
    folder: Path, trained: Run, place: Workspace, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)
    place.export(trained, "onnx", folder / "model.onnx")
    monkeypatch.chdir(folder)
    pixels, ours, _, runtime = _blocks()
    known = _ran(runtime, _ran(ours, _ran(pixels, {})))
    torch.testing.assert_close(torch.from_numpy(known["outputs"]).softmax(1), known["probabilities"].detach())
    assert known["classes"] == list("0123456789")
