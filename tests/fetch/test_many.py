"""Processes that are killed, and processes that do the same thing at the same time."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from dlcat import catalog
from dlcat.catalog.dataset import Artifact
from dlcat.testing import FaultServer, faults

SCRIPT = """
import pickle, sys
{setup}
from dlcat.errors import DlcatError
from dlcat.fetch.fetch import fetch
dataset, store = pickle.load(open(sys.argv[1], "rb"))
try:
    for record in fetch(dataset, store):
        pass
except DlcatError as error:
    sys.exit(f"{{error.exit_code}} {{error.message}}")
"""
WITHOUT_LOCKS = """
import filelock
filelock.BaseFileLock.acquire = lambda lock, *_, **__: lock
filelock.BaseFileLock.release = lambda lock, *_, **__: None
"""
KILLS = 50
PROCESSES = 8
CONTENT = Random(5).randbytes(64_000_000)

pytestmark = pytest.mark.slow


@pytest.fixture
def server():
    with FaultServer({"a.bin": CONTENT}) as running:
        yield running


@pytest.fixture
def dataset(server, make_dataset):
    digest = hashlib.sha256(CONTENT).hexdigest()
    return make_dataset(
        Artifact(
            file="a.bin",
            urls=[server.url("a.bin")],
            size=len(CONTENT),
            checksums={"sha256": digest},
            provenance="made here",
        )
    )


@pytest.fixture
def start(tmp_path, dataset, store):
    """Another process that fetches."""
    running = []

    def start(setup=""):
        (tmp_path / "what").write_bytes(pickle.dumps((dataset, store)))
        environment = os.environ | {"PYTHONPATH": str(Path(catalog.__file__).parents[2])}
        command = [sys.executable, "-c", SCRIPT.format(setup=setup), str(tmp_path / "what")]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_fifty_kills_lose_nothing_and_the_file_is_right(server, dataset, store, start):
    random, victims = Random(6), []

    def kill():
        with suppress(ProcessLookupError):
            os.kill(victims[-1].pid, signal.SIGKILL)

    server.schedule("a.bin", lambda _: faults.rate(6e6) & faults.call_after(random.randrange(1_000_000), kill))
    for _ in range(KILLS):
        victims.append(start("from dlcat.fetch.download import crew; crew.CLAIM_BYTES = 2**16"))
        assert victims[-1].wait(60) == -signal.SIGKILL
        assert not store.artifact_path(dataset, dataset.artifacts[0]).exists()
    server.schedule("a.bin", faults.ok)
    before_bytes = server.bytes_served
    last = start()
    assert last.wait(60) == 0, last.stderr.read()
    assert store.artifact_path(dataset, dataset.artifacts[0]).read_bytes() == CONTENT
    assert store.is_installed(dataset)
    assert server.bytes_served - before_bytes < 0.8 * len(CONTENT), "what the killed ones brought was gone on with"
    assert store.partials(dataset, dataset.artifacts[0]) == []


def test_of_many_processes_one_downloads(server, dataset, store, start):
    server.schedule("a.bin", faults.rate(4e7))
    processes = [start() for _ in range(PROCESSES)]
    for process in processes:
        assert process.wait(120) == 0, process.stderr.read()
    assert store.is_installed(dataset)
    assert store.artifact_path(dataset, dataset.artifacts[0]).read_bytes() == CONTENT
    assert server.bytes_served <= 1.1 * len(CONTENT)


def test_many_processes_are_right_without_any_lock(server, dataset, store, start):
    server.schedule("a.bin", faults.rate(4e7))
    processes = [start(WITHOUT_LOCKS) for _ in range(PROCESSES)]
    for process in processes:
        assert process.wait(120) == 0, process.stderr.read()
    assert server.bytes_served > 2 * len(CONTENT), "the locks were in the way of the test"
    assert store.artifact_path(dataset, dataset.artifacts[0]).read_bytes() == CONTENT
    assert (store.data_path(dataset) / "a.bin").read_bytes() == CONTENT
    assert start(WITHOUT_LOCKS).wait(120) == 0
    assert store.is_installed(dataset)
    assert store.partials(dataset, dataset.artifacts[0]) == []
