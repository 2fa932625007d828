"""The most memory that this process, and its part of the device, had at any time."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")


def peaks(device: torch.device) -> dict[str, int]:
    """`process`: bytes of main memory since the process began; `device`: bytes that torch took of a GPU.

    What cannot be told is left out.
    """
    found = {}
    if device.type == "cuda":
        found["device"] = torch.cuda.max_memory_allocated(device)
    if process := _process_bytes():
        found["process"] = process
    return found


def _process_bytes() -> int | None:
    """By Linux, which tells kibibytes; what a child took over from its parent by fork is not among them after exec."""
    with suppress(OSError, ValueError, IndexError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
