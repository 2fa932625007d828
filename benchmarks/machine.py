"""The machine and the software that a figure was measured with, as one line of a table's caption."""

from __future__ import annotations

import os
import platform
from datetime import date

import torch

from dlcat import __version__
from dlcat.train import device


def describe() -> str:
    capability = torch.backends.cpu.get_cpu_capability()
    units = "bf16 units" if device.has_bf16_units() else "no bf16 units"
    return (
        f"{date.today()}, {os.cpu_count()} cores of {device.name(torch.device('cpu'))} ({capability}, {units}), "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"dlcat {__version__}"
    )
