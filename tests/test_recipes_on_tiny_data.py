"""Every shipped recipe is fetched, trained and reported by the program itself, on a tiny dataset in upstream's layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlcat import locations
from dlcat.recipe import load
from tests import upstream

NAMES = {path.stem: path for path in sorted(locations.shipped("recipes").rglob("*.yaml"))}
TINY = [name for name, path in NAMES.items() if load(path).dataset.name in upstream.names()]
SHORT = (
    "train.epochs=1",
    "train.batch_size=4",
    "train.micro_batch_size=null",
    "train.examples=null",
    "train.labelled=null",
    "target=null",
)
SMALLER = {
    "pictures": ("inputs.size=32", "inputs.workers=0"),
    "words": ("inputs.size=100", "inputs.length=40"),
    "subwords": ("inputs.size=300", "inputs.length=40"),
}
"""What makes inputs of a kind small; networks of characters and bytes need the length that they were written for."""
OTHERS = {"blog_author": ("dataset={name: blog-authorship, target: author, authors: 3}",)}
"""What a tiny dataset has too few of."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_a_recipe_runs_from_a_mirror_to_its_report(
    name: str, tiny: Callable[[str], list[str]], tmp_path: Path, command: Callable[..., Any]
) -> None:
    recipe = load(NAMES[name])
    kind = recipe.inputs.name if recipe.inputs else ""
    overrides = [*SHORT, *SMALLER.get(kind, ()), *OTHERS.get(name, ())]
    words = ["train", NAMES[name], *tiny(recipe.dataset.name), "--out", tmp_path / "runs", "--device", "cpu", "--json"]
    answer = command(*words, *(word for override in overrides for word in ("--set", override)))
    assert answer.code == 0, answer.err
    result = json.loads(answer.out)
    assert result["epochs"] == 1
    shown = result["metrics"]["test"] or result["metrics"]["validation"]
    assert result["rank"]["measure"] in shown
    assert Path(result["run"], "report.html").is_file()
