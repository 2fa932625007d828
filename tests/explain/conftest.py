"""Every member of a family explained once, for all tests that look at it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from dlcat.explain import explain, family
from dlcat.registry import Choice

Explained = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def explained() -> Explained:
    """explained("norm"): the facts of every norm by name, in the order of its page."""

    @cache
    def every(noun: str) -> dict[str, Any]:
        return {name: explain(noun, Choice(name=name)) for name in sorted(family(noun))}

    return every
