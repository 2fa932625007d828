"""What a reader must know of the machine and the software to doubt or repeat a run."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from dlcat import __version__, waiting
from dlcat.train import device as devices

if TYPE_CHECKING:
    from collections.abc import Mapping

DECISIVE = (
    "dlcat",
    "python",
    "torch",
    "numpy",
    "device",
    "precision",
    "layout",
    "compiled",
    "cpu",
    "cpu_capability",
    "threads",
    "processes",
    "gpu",
)
"""Where one of these differs, numbers may differ in their last digits."""
VERSIONS = ("numpy", "scipy", "scikit-learn", "pillow", "safetensors")


def describe(
    device: devices.Device, digests: Mapping[str, str], lock: Mapping[str, Any] | None = None, *, processes: int = 1
) -> dict[str, Any]:
    """Versions, processor, threads, git state and the hashes of the data.

    Args:
        device: what is trained on, and how.
        digests: artifact file to verified sha256.
        lock: what `dlcat.fetch.lockfile.citation` says of the lock file; None where there is none.
        processes: how many train together.
    """
    return {
        "dlcat": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: version(name) for name in VERSIONS},
        "platform": platform.platform(),
        "device": str(device.device),
        "precision": device.precision,
        "layout": device.layout,
        "compiled": device.compiled,
        "reasons": device.reasons,
        "cpu": devices.name(torch.device("cpu")),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "waiting": waiting.chosen(),
        "gpu": devices.name(device.device) if device.device.type == "cuda" else None,
        "git": _git(),
        "data": [{"file": file, "sha256": digest} for file, digest in sorted(digests.items())],
        "lock": None if lock is None else dict(lock),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is not as it was, of all that numbers depend on: 'torch was 2.13.0, is 2.14.0'."""
    found = [f"{key} was {before.get(key)}, is {now.get(key)}" for key in DECISIVE if before.get(key) != now.get(key)]
    return [*found, "the data are others"] if before.get("data") != now.get("data") else found


def _git() -> dict[str, Any] | None:
    """Commit and cleanliness of the folder dlcat is run in; None outside a repository or without git."""
    commit = _output("git", "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_output("git", "status", "--porcelain", "--untracked-files=no"))}


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
