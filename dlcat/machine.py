"""What this machine is called, and what is asked of its memory."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

_ARENA_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT_BYTES = 1 << 30


def processor() -> str:
    """The processor as people know it: `AMD EPYC`."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Those that this process may use; where the system (macOS, Windows) does not tell, all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_memory() -> None:
    """Let this process keep the memory that it frees, for a training asks for the same again at the next step.

    The C library gives blocks above 128 KiB, and all that is free at the end, back to the system, which must fill every page
    with zeros before it hands it out again: up to 38,000 times a step of ResNet-20, a tenth of the step's time
    (docs/log.md). Whoever set one of the C library's variables has decided; other systems are left as they are.
    """
    if any(variable in os.environ for variable in _ARENA_VARIABLES):
        return
    import ctypes

    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_TRIM_THRESHOLD, 2 * _KEPT_BYTES - 1)
