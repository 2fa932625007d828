"""What the tests of trainings share."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest


class _StopAfter(Event):
    """Set after so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def is_set(self) -> bool:
        self.left -= 1
        return self.left <= 0


@pytest.fixture
def stop_at() -> Callable[[int], Event]:
    """stop_at(7): what ends a training at its seventh step."""
    return _StopAfter
