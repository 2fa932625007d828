"""Inputs that are too large to hold: left on the disk as they were prepared, and read row by row when a batch asks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

RESIDENT_SHARE = 0.25
"""Of the device's memory that one split may take; what is larger stays on the disk."""
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class Mapped:
    """Rows of a memory-mapped array, indexed as a tensor on the device would be."""

    rows: np.ndarray[Any, Any]
    """(N', ...) as it lies on the disk."""
    positions: np.ndarray[Any, Any] | None
    """(N,) of the rows that belong to the split, ascending; None: all of them."""
    home: torch.device
    """Where what is read is sent."""

    def __len__(self) -> int:
        return len(self.rows) if self.positions is None else len(self.positions)

    @property
    def device(self) -> torch.device:
        """Where an index must be: rows are looked up by the processor."""
        return torch.device("cpu")

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.rows.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        return torch.from_numpy(np.array(self.rows[:0])).dtype

    def __getitem__(self, chosen: torch.Tensor | slice, /) -> torch.Tensor:
        """Those examples, copied to the device."""
        index: Any = chosen.numpy() if isinstance(chosen, torch.Tensor) else np.arange(len(self))[chosen]
        rows = index if self.positions is None else self.positions[index]
        return torch.from_numpy(np.array(self.rows[rows])).to(self.home)


def budget_bytes(device: torch.device, share: float = RESIDENT_SHARE) -> int | None:
    """How much of a split's inputs the device may hold; None where its memory is not known."""
    if device.type == "cuda":
        return int(share * torch.cuda.mem_get_info(device)[1])
    memory = _memory_bytes()
    return None if memory is None else int(share * memory)


def _memory_bytes() -> int | None:
    """Of the machine, or of the container that this process may fill."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None
    try:
        limit = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        return whole
    return min(whole, int(limit)) if limit.isdecimal() else whole
