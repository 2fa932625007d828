"""One process that decodes pictures for `decoders`: lines of JSON in, pixels out, until the input ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any

import numpy as np

from dlcat.errors import VerificationError
from dlcat.readers.pixels import Crops, Place, decode_at


def main() -> None:
    """Answer every line until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; whoever started us ends us
    crops = Crops(**json.loads(sys.argv[1]))
    lines: SimpleQueue[bytes] = SimpleQueue()
    # Read at once, so that who writes never waits for us while we wait to be read.
    Thread(target=_listen, args=(sys.stdin.buffer, lines), daemon=True).start()
    try:
        while line := lines.get():
            _answer(line, crops, sys.stdout.buffer)
    except BrokenPipeError:  # nobody wants it any more
        os._exit(0)  # what is left to be written cannot be


def _listen(stream: IO[bytes], lines: SimpleQueue[bytes]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(b"")


def _answer(line: bytes, crops: Crops, stream: IO[bytes]) -> None:
    """The pixels of what a line asks for, or what is wrong with it."""
    wanted: list[list[Any]] = json.loads(line)
    try:
        pictures = [
            decode_at(Place(path, offset, length, name), crops, None if chance is None else (chance[0], chance[1]))
            for path, offset, length, name, chance in wanted
        ]
    except VerificationError as error:
        stream.write(json.dumps({"error": {"message": error.message, "hint": error.hint}}).encode() + b"\n")
    else:
        stream.write(b'{"error": null}\n')
        stream.write(np.stack(pictures).data)
    stream.flush()


if __name__ == "__main__":
    main()
