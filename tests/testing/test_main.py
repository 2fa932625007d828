"""The command serves a folder with faults until it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from threading import Event, Thread
from urllib.request import urlopen

import pytest

from dlcat.errors import UsageError
from dlcat.testing import Fault, FaultServer, __main__, faults
from dlcat.testing.__main__ import NOT_BY_HAND, main, parse, schedules

ARGUMENTS = {
    "drop_after": "10",
    "reset_after": "10",
    "stall_after": "10",
    "rate": "8e6",
    "latency": "0.02",
    "length_off_by": "-3",
    "flip_byte": "-1",
    "short_range": "10",
    "shifted_range": "-4",
    "wrong_total": "1",
    "status": "503,2",
    "redirect": "http://127.0.0.1:9/b.bin,307",
}


@pytest.mark.parametrize("name", [name for name in faults.FAULTS if name not in NOT_BY_HAND])
def test_every_fault_can_be_named_on_the_command_line(name):
    values = ARGUMENTS.get(name, "")
    found = parse(f"{name}:{values}" if values else name)
    assert isinstance(found, Fault)
    assert found.name.partition("(")[0] == name


def test_faults_add_up_with_plus_and_follow_one_another_when_given_again():
    found = schedules(["*.gz=rate:8e6+latency:0.02", "drop_after:3", "ok"])
    assert {pattern: [step.name for step in steps] for pattern, steps in found.items()} == {
        "*.gz": ["rate(8000000.0) & latency(0.02)"],
        "*": ["drop_after(3)", "ok"],
    }


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("drop_afer:3", "did you mean 'drop_after'"),
        ("drop_after", "missing 1 required"),
        ("weak_etag:3", "takes no number"),
        ("call_after:3", "no fault is named"),
        ("rate:fast", "rate:fast"),
        ("drop_after:much", "drop_after:much"),
        ("flip_byte:0.5", "flip_byte:0.5"),
    ],
)
def test_a_mistyped_fault_is_said(said, told):
    with pytest.raises(UsageError, match=told):
        parse(said)


def test_a_folder_is_served_and_every_request_told(tmp_path, capsys):
    (tmp_path / "a.bin").write_bytes(b"abc")
    stop = Event()
    reading, writing = os.pipe()
    ended = Thread(target=main, args=([str(tmp_path), "--fault", "flip_byte:0"],), kwargs={"until": stop})
    with os.fdopen(reading) as said, os.fdopen(writing, "w") as stdout, redirect_stdout(stdout):
        ended.start()
        try:
            with urlopen(f"{said.readline().strip()}/a.bin", timeout=20) as answer:
                assert answer.read() == b"\x9ebc"
        finally:
            stop.set()
            ended.join()
    assert capsys.readouterr().err == "GET /a.bin: 200, 3 bytes, flip_byte(0)\n"


def test_the_command_ends_with_ctrl_c(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc")
    package = os.path.dirname(os.path.dirname(os.path.dirname(__main__.__file__)))
    command = [sys.executable, "-W", "error", "-m", "dlcat.testing", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": package}
    ) as process:
        base = process.stdout.readline().strip()
        with urlopen(f"{base}/a.bin", timeout=20) as answer:
            assert answer.read() == b"abc"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == "GET /a.bin: 200, 3 bytes, ok\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "a FOLDER to serve, or --upstream URL"),
        (["here", "--upstream", "http://there"], "a FOLDER to serve, or --upstream URL"),
        (["missing"], "expected a folder to serve"),
        (["--upstream", "ftp://there"], "expected an http"),
        ([".", "--fault", "drop"], "no fault is named"),
    ],
)
def test_a_wrong_command_line_ends_with_2(arguments, told, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(tmp_path, capsys):
    with FaultServer({}) as server, pytest.raises(SystemExit):
        main([str(tmp_path), "--port", server.base.rpartition(":")[2]])
    assert "in use" in capsys.readouterr().err


def test_help_lists_the_faults(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    for name in faults.FAULTS:
        assert (f"{name} {faults.explain(name)}" in said) is (name not in NOT_BY_HAND)
