"""docs/parts.md names every optimizer and every schedule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlcat.optim.optimizers import optimizer
from dlcat.optim.schedules import schedule

if TYPE_CHECKING:
    from dlcat.registry import Family

PAGE = Path(__file__).parents[2] / "docs" / "parts.md"


@pytest.mark.parametrize("family", [optimizer, schedule], ids=lambda family: family.noun)
def test_every_member_has_its_row_and_every_row_its_member(family: Family) -> None:
    section = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (page,) = [text for text in section if text.startswith(f"{family.noun}\n")]
    rows = re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)
    assert sorted(rows) == sorted(name for name in family if family[name].__module__.startswith("dlcat."))
