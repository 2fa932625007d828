"""The command line: `main` runs the app and turns every failure into one message and a documented exit code."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from typing import Any, NoReturn, TextIO

import typer

from dlcat.cli.app import app
from dlcat.errors import INTERRUPTED_EXIT_CODE, DiskError, DlcatError

_CommandLineError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)
"""What every fault of a command line is: click's ClickException, of which newer versions of typer carry a copy."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> NoReturn:
    """The entry point. Never shows a traceback, unless DLCAT_TRACEBACK is set."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Chinese shows ?, and goes on
    code = run(sys.argv[1:])
    gc.freeze()  # Python would look through every object of torch once more before it ends
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        code = app(arguments, prog_name="dlcat", standalone_mode=False)
        sys.stdout.flush()  # here, where a closed pipe can still be met
    except DlcatError as error:
        _say(error.message, error.hint)
        return error.exit_code
    except _CommandLineError as error:
        return _say_usage(error)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:  # `dlcat list | head`
        _silence(sys.stdout)
        return 0
    except OSError as error:
        return _disk_full(error) if error.errno in _FULL else _own_fault(error)
    except SystemExit as stop:  # typer's own end over a closed pipe; otherwise shell completion's
        if isinstance(stop.__context__, BrokenPipeError):
            _silence(sys.stdout)
            return 0
        raise
    except Exception as error:
        return _own_fault(error)
    if code == INTERRUPTED_EXIT_CODE:  # typer caught the Ctrl-C itself
        return _interrupted()
    return code if isinstance(code, int) else 0


def _say(message: str, hint: str) -> None:
    try:
        print(f"error: {message}", file=sys.stderr)
        if hint:
            print(f"hint: {hint}", file=sys.stderr)
    except OSError:  # there is no room for this either; the exit code still tells
        _silence(sys.stderr)


def _interrupted() -> int:
    _say("interrupted", "run the same command again; it goes on where it was")
    return INTERRUPTED_EXIT_CODE


def _say_usage(error: Any) -> int:
    context = getattr(error, "ctx", None)
    if message := error.format_message():  # none where the help was shown instead
        _say(message, f"{context.command_path} --help" if context else "dlcat --help")
    code: int = error.exit_code
    return code


def _disk_full(error: OSError) -> int:
    """Met where `disk_errors` does not stand: `dlcat list > FILE` on a disk that is full."""
    _silence(sys.stdout)
    _say(f"{error.filename or 'standard output'}: {error.strerror}", "free some space, or write to another disk")
    return DiskError.exit_code


def _silence(stream: TextIO) -> None:
    """Point the stream at nothing, or Python complains once more as it ends that it cannot be written to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _own_fault(error: Exception) -> int:
    from dlcat import locations

    if locations.traceback_wanted():
        raise error
    _say(
        f"dlcat has a fault: {type(error).__name__}: {error}",
        "please report it, with what DLCAT_TRACEBACK=1 in the environment makes this command show",
    )
    return DlcatError.exit_code
