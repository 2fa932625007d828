"""Serve a folder, or another server's files, with faults: `python -m dlcat.testing FOLDER --fault drop_after:1000000`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from inspect import signature
from itertools import zip_longest
from threading import Event
from typing import TYPE_CHECKING

from dlcat.errors import INTERRUPTED_EXIT_CODE, UsageError, nearest
from dlcat.testing.faults import FAULTS, explain, ok
from dlcat.testing.records import Fault, Request
from dlcat.testing.server import FaultServer

if TYPE_CHECKING:
    from dlcat.testing.records import Step

NOT_BY_HAND = ("call_after", "body")
"""What takes a function or bytes, which a command line has not."""


def main(arguments: Sequence[str] | None = None, *, until: Event | None = None) -> int:
    """Serve until Ctrl-C (or `until` is set): the address on stdout, a line for each request on stderr."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if (chosen.folder is None) == (chosen.upstream is None):
        parser.error("a FOLDER to serve, or --upstream URL")
    try:
        server = FaultServer(
            chosen.folder,
            schedules(chosen.fault),
            host=chosen.host,
            port=chosen.port,
            tls=chosen.tls,
            upstream=chosen.upstream,
            on_end=_tell,
        )
        with server:
            print(server.base, flush=True)
            (until or Event()).wait()
    except (UsageError, ValueError, RuntimeError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT_CODE
    return 0


def schedules(texts: Sequence[str]) -> dict[str, list[Step]]:
    """What `--fault` means, given any number of times: [PATTERN=]FAULT[:NUMBER,...][+FAULT...].

    '*.gz=rate:8e6+latency:0.02' is both at once for all .gz files.

    Raises:
        UsageError: no such fault, or not the numbers it needs.
    """
    found: dict[str, list[Step]] = {}
    for text in texts:
        name, _, _ = text.partition(":")
        pattern, said = text.split("=", 1) if "=" in name else ("*", text)
        fault = ok
        for each in said.split("+"):
            fault = parse(each) if fault is ok else fault & parse(each)
        found.setdefault(pattern, []).append(fault)
    return found


def parse(text: str) -> Fault:
    """The fault behind 'drop_after:1000000' or 'weak_etag'.

    Raises:
        UsageError: no such fault, or not the numbers it needs.
    """
    name, _, values = text.partition(":")
    known = [each for each in FAULTS if each not in NOT_BY_HAND]
    if name not in known:
        raise UsageError(f"--fault: no fault is named {name!r}", hint=nearest(name, known))
    fault = FAULTS[name]
    if isinstance(fault, Fault):
        if values:
            raise UsageError(f"--fault {text}: {name} takes no number")
        return fault
    try:
        return fault(*_values(fault, [value for value in values.split(",") if value]))
    except (TypeError, ValueError) as error:
        raise UsageError(f"--fault {text}: {error}") from error


def _values(fault: Callable[..., Fault], texts: list[str]) -> list[int | float | str]:
    """The texts as the fault's parameters want them; too many or too few are the fault's own business."""
    kinds = [parameter.annotation for parameter in signature(fault).parameters.values()]
    return [_READ.get(kind, str)(text) for kind, text in zip_longest(kinds[: len(texts)], texts)]


def _number_or_text(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


_READ: dict[str | None, Callable[[str], int | float | str]] = {
    "int": int,
    "float": float,
    "int | timedelta | str | None": _number_or_text,
}
"""By a parameter's annotation."""


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {name:18}{explain(name)}" for name in FAULTS if name not in NOT_BY_HAND]
    parser = argparse.ArgumentParser(
        prog="python -m dlcat.testing",
        description="Serve files with faults, on loopback, until Ctrl-C.",
        epilog="faults:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="whose files are served")
    parser.add_argument("--upstream", metavar="URL", help="serve the files below this URL instead")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="[PATTERN=]FAULT[:NUMBER,...][+FAULT...]",
        help="what goes wrong; given again: what goes wrong at the next request, the last one stays",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--tls", action="store_true", help="https with a self-signed certificate")
    return parser


def _tell(request: Request) -> None:
    asked = f" {request.range}" if request.range else ""
    told = f"{request.method} /{request.path}{asked}: {request.status}, {request.sent_bytes} bytes, {request.fault}"
    print(told, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
