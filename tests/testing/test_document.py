"""What docs/testing.md shows runs as it stands there, with a small downloader that resumes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from dlcat.testing import Fault, FaultServer

DOCUMENT = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
CONTENT = os.urandom(4_000_000)


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found, f"docs/testing.md has no block named {name}"
    return found[1]


def download(url: str, path: Path) -> None:
    """Ask again for what is missing, five times at most."""
    path.touch()
    for _ in range(5):
        start = path.stat().st_size
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            with requests.get(url, headers=headers, stream=True, timeout=20) as answer, path.open("ab") as stream:
                answer.raise_for_status()
                for piece in answer.iter_content(1000):
                    stream.write(piece)
            return
        except requests.RequestException:
            continue


def test_every_python_block_is_run():
    assert DOCUMENT.count("```python") == len(re.findall(r"<!-- (first|own|mirror|proxy) -->", DOCUMENT)) == 4


def test_the_first_example(tmp_path):
    exec(block("first"), {"content": CONTENT, "download": download, "path": tmp_path / "a.bin"})
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_the_example_of_a_proxy(tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")  # so that it is put back
    exec(block("proxy"), {"content": CONTENT, "download": download, "path": tmp_path / "a.bin"})
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_fault_of_ones_own(ask: Callable[..., object]):
    names: dict[str, Fault] = {}
    exec(block("own"), names)
    with FaultServer({"a": b""}, names["cached"]) as server:
        assert ask(server.url("a")).headers["Age"] == "86400"


def test_a_test_of_ones_own_mirror(tmp_path):
    with FaultServer({"base/toy.tar.gz": CONTENT}) as mirror:
        names = {"MIRROR": mirror.url("base"), "SHA256": hashlib.sha256(CONTENT).hexdigest(), "download": download}
        exec(block("mirror"), names)
        names["test_a_file_of_our_mirror_arrives_over_a_bad_line"](tmp_path)
        names["SHA256"] = "another"
        (tmp_path / "toy.tar.gz").unlink()
        with pytest.raises(AssertionError):
            names["test_a_file_of_our_mirror_arrives_over_a_bad_line"](tmp_path)
