"""Real processes: started by --nproc and by torchrun, stopped, killed, and on two hosts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest

from dlcat import machine
from dlcat.errors import LostError
from dlcat.run import Run
from dlcat.train import launch
from dlcat.train.launch import Ended, Killed

SMALL = ("train.epochs=4", "train.batch_size=128", "model.widths=[8, 16]", "baseline=none")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
SCRIPTS = {
    "all is well": "pass",
    "one fails": "import sys; sys.stderr.write('no room'); sys.exit(7 if rank else 9)",
    "one fails and the other waits for it": "sys.exit(3) if rank else time.sleep(600)",
    "one is killed once": "os.kill(os.getpid(), 9) if rank and not restart else None",
    "one is killed always": "os.kill(os.getpid(), 11) if rank else time.sleep(600)",
}
OPENING = "import os, sys, time; rank, restart = (int(os.environ[n]) for n in ('RANK', 'TORCHELASTIC_RESTART_COUNT'));"


def _launched(script: str, stop: Event | None = None) -> list[Killed | Ended]:
    return list(launch.launch([sys.executable, "-S", "-c", OPENING + script], 2, stop or Event()))


def test_they_end_as_the_one_that_ended_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.5)
    assert _launched(SCRIPTS["all is well"]) == [Ended(0, "")]
    assert _launched(SCRIPTS["one fails"]) == [Ended(7, "no room")]  # not as the one that lost another
    assert _launched(SCRIPTS["one fails and the other waits for it"]) == [Ended(3, "")]


def test_killed_they_start_again_some_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.1)
    assert _launched(SCRIPTS["one is killed once"]) == [Killed(1, "SIGKILL", 1), Ended(0, "")]
    with pytest.raises(LostError, match="process 1 of 2 was killed by SIGSEGV, and so it was 3 times before"):
        _launched(SCRIPTS["one is killed always"])


def test_asked_to_stop_all_are_and_none_starts_again() -> None:
    stop = Event()
    Timer(0.5, stop.set).start()
    assert _launched("time.sleep(600)", stop) == [Ended(130, "")]


def test_they_share_the_cores_unless_somebody_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "sys.stderr.write(os.environ['OMP_NUM_THREADS']); sys.exit(rank)"
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert _launched(script) == [Ended(1, str(max(1, machine.cores() // 2)))]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert _launched(script) == [Ended(1, "5")]


def _words(folder: Path, *more: str) -> list[str]:
    sets = [word for override in SMALL for word in ("--set", override)]
    return [
        "-m",
        "dlcat",
        "train",
        "digits_quickstart",
        "--device",
        "cpu",
        "--out",
        str(folder),
        *sets,
        "--json",
        *more,
    ]


def _start(words: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _trained(words: list[str], environment: dict[str, str]) -> Run:
    process = _start(words, environment)
    said, complaints = process.communicate(timeout=200)
    assert process.returncode == 0, complaints
    return Run(Path(json.loads(said)["run"]))


def _ranks(parent: int) -> dict[int, int]:
    """Process ids of those that train below a process, by rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
        ranks = [int(each[5:]) for each in variables if each.startswith(b"RANK=")]
        if ranks and above == parent:
            found[ranks[0]] = int(folder.name)
    return found


def _await_checkpoint(folder: Path, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not list(folder.glob("*/checkpoints/*.json")):
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()


def _assert_equal(one: Run, two: Run) -> None:
    assert one.weights_path.read_bytes() == two.weights_path.read_bytes()
    assert one.result()["metrics"] == two.result()["metrics"]
    assert [line["train"] for line in one.epochs()] == [line["train"] for line in two.epochs()]


@pytest.fixture(scope="module")
def whole(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What two processes come to that nobody disturbs."""
    return _trained([sys.executable, *_words(tmp_path_factory.mktemp("whole"), "--nproc", "2")], environment)


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found through /proc")
WAYS: dict[str, Callable[[Path], list[str]]] = {
    "--nproc": lambda folder: [sys.executable, *_words(folder, "--checkpoint", "0", "--nproc", "2")],
    "torchrun": lambda folder: [
        *TORCHRUN,
        *("--standalone", "--nproc-per-node", "2", "--max-restarts", "1", "--monitor-interval", "0.1"),
        *_words(folder, "--checkpoint", "0"),
    ],
}


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize(("way", "rank"), [("--nproc", 0), ("--nproc", 1), ("torchrun", 1)])
def test_killed_while_they_train_all_start_again_and_come_to_the_same_end(
    environment: dict[str, str], tmp_path: Path, whole: Run, way: str, rank: int
) -> None:
    process = _start(WAYS[way](tmp_path), environment)
    _await_checkpoint(tmp_path, process)
    os.kill(_ranks(process.pid)[rank], signal.SIGKILL)
    said, complaints = process.communicate(timeout=200)
    assert process.returncode == 0, complaints
    (path,) = tmp_path.iterdir()
    _assert_equal(Run(path), whole)
    assert len(Run(path).environment()["resumed"]) == 1
    assert Run(Path(json.loads(said)["run"])) == Run(path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_signal_stops_all_after_a_step_and_resume_goes_on(
    environment: dict[str, str], tmp_path: Path, whole: Run, number: signal.Signals
) -> None:
    process = _start(WAYS["--nproc"](tmp_path), environment)
    _await_checkpoint(tmp_path, process)
    process.send_signal(number)
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == 130, complaints
    assert complaints.count("error: stopped after step") == 1
    _assert_equal(_trained([*WAYS["--nproc"](tmp_path), "--resume"], environment), whole)


@pytest.mark.slow
def test_what_is_wrong_with_a_recipe_is_said_once_and_with_its_code(
    environment: dict[str, str], tmp_path: Path
) -> None:
    words = [sys.executable, *_words(tmp_path, "--nproc", "2", "--set", "train.batch_size=1")]
    process = _start(words, environment)
    said, complaints = process.communicate(timeout=60)
    assert (process.returncode, said) == (3, "")
    assert complaints.count("error: ") == 1
    assert "train.batch_size" in complaints


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """Two network namespaces, wired to each other: 10.77.0.1 and 10.77.0.2."""
    names = (f"dlcat{os.getpid()}a", f"dlcat{os.getpid()}b")
    wire = (f"v{os.getpid()}a", f"v{os.getpid()}b")
    orders = [f"ip netns add {name}" for name in names]
    orders.append(f"ip link add {wire[0]} netns {names[0]} type veth peer name {wire[1]} netns {names[1]}")
    for number, (name, end) in enumerate(zip(names, wire, strict=True), 1):
        orders.append(f"ip -n {name} addr add 10.77.0.{number}/24 dev {end}")
        orders += [f"ip -n {name} link set {each} up" for each in (end, "lo")]
    try:
        for order in orders:
            if shutil.which("ip") is None or subprocess.run(order.split(), capture_output=True, check=False).returncode:
                pytest.skip("no network namespaces may be made here")
        yield names
    finally:
        for name in names if shutil.which("ip") else ():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@pytest.mark.slow
def test_two_hosts_without_a_common_disk_for_runs_train_as_one_does(
    environment: dict[str, str], tmp_path: Path, whole: Run, hosts: tuple[str, str]
) -> None:
    def start(number: int) -> subprocess.Popen[str]:
        where = ["ip", "netns", "exec", hosts[number]]
        how = ["--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(number), "--master-addr", "10.77.0.1"]
        words = [*where, *TORCHRUN, *how, "--master-port", "29517", *_words(tmp_path / str(number))]
        interface = f"v{os.getpid()}{'ab'[number]}"
        return _start(words, environment | {"GLOO_SOCKET_IFNAME": interface})

    processes = [start(number) for number in (0, 1)]
    answers: list[Any] = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    (path,) = (tmp_path / "0").iterdir()
    _assert_equal(Run(path), whole)
    assert not (tmp_path / "1").exists()
