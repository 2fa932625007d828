"""A model card: metadata that the Hub can read, and everything a reader must know before trusting a network."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dlcat import recipe as recipes
from dlcat.catalog.dataset import License
from dlcat.errors import InvalidError
from dlcat.run import Run
from dlcat.view import card
from dlcat.workspace import Workspace


@pytest.fixture(scope="module")
def text(trained: Run, place: Workspace) -> str:
    return card.render(trained, place.catalog["digits"])


def _front(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.removeprefix("---\n").split("\n---\n")[0])
    return found


def test_the_metadata_tell_licence_task_and_metrics(text: str, trained: Run) -> None:
    assert text.startswith("---\n")
    front = _front(text)
    assert front["license"] == "cc-by-4.0"
    assert front["pipeline_tag"] == "image-classification"
    (model,) = front["model-index"]
    (result,) = model["results"]
    assert result["dataset"] == {"type": "digits", "name": trained.result()["dataset"]["title"], "split": "test"}
    told = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert told["accuracy"] == trained.result()["metrics"]["test"]["accuracy"]
    assert front["metrics"] == list(told)


def test_it_tells_question_results_data_recipe_machine_and_limits(text: str, trained: Run, place: Workspace) -> None:
    result, environment, digits = trained.result(), trained.environment(), place.catalog["digits"]
    for part in (
        result["question"],
        result["command"],
        digits.citation.strip(),
        digits.license.url,
        environment["data"][0]["sha256"],
        f"torch {environment['torch']}",
        environment["cpu"],
        "float32 `(N, 1, 8, 8)` from 0 to 16",
        "Wilson's 95 % interval, 359 examples",
        f"{100 * result['baseline']['accuracy']:.2f} % by {result['baseline']['name']}",
    ):
        assert part in text
    for row in result["metrics"]["test"]["per_class"]:
        assert re.search(rf"^\| {row['class']} \| [\d.]+ % \| [\d.]+ % \| [\d.]+ % \| {row['support']} \|$", text, re.M)
    headings = re.findall(r"^## (.*)", text, re.M)
    assert headings == ["Results", "Data", "Recipe", "Cost and machine", "Use", "Repeat", "Limits", "Cite the data"]


def test_the_recipe_on_it_is_the_runs(text: str, trained: Run) -> None:
    (written,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert recipes.read(written, "card") == recipes.read(trained.recipe_path.read_text(), "card")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(block, "card", "exec")


def test_every_licence_of_the_catalog_has_a_word_of_the_hub(place: Workspace, trained: Run) -> None:
    result = trained.result()
    for dataset in place.catalog:
        front = yaml.safe_load(card._front(result, dataset))
        if dataset.license.id is None:
            assert front["license"] == "unknown"
        elif dataset.license.id.startswith("LicenseRef-"):
            assert (front["license"], front["license_name"]) == ("other", dataset.license.id)
        else:
            assert front["license"] == dataset.license.id.lower()


def test_words_of_the_data_stay_words(trained: Run, place: Workspace, tmp_path: Path) -> None:
    run = Run(tmp_path)
    for path in trained.path.iterdir():
        if path.suffix in (".json", ".yaml"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    result = trained.result()
    result["metrics"]["test"]["per_class"][0]["class"] = "a | b\n# <script>"
    (tmp_path / "result.json").write_text(json.dumps(result))
    licence = License(id=None, note="two\nlines")
    hostile = replace(place.catalog["digits"], title="---\nevil: yes", license=licence, known_issues=["<b>bold"])
    text = card.render(run, hostile)
    assert _front(text)["model-index"][0]["results"][0]["dataset"]["name"] == "--- evil: yes"
    assert "| a \\| b # \\<script\\> |" in text
    assert "\nevil" not in text.split("\n# ", 1)[1]
    assert "- Known of the data: \\<b\\>bold" in text
    assert "none stated  two lines" in text


def test_a_run_that_is_not_finished_has_no_card(trained: Run, place: Workspace, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(trained.recipe_path.read_bytes())
    with pytest.raises(InvalidError, match="did not come to its end"):
        card.render(Run(tmp_path), place.catalog["digits"])


def test_a_result_of_another_kind_is_named(trained: Run, place: Workspace, tmp_path: Path) -> None:
    for name in ("recipe.yaml", "environment.json", "inputs.json"):
        (tmp_path / name).write_bytes((trained.path / name).read_bytes())
    (tmp_path / "result.json").write_text('{"metrics": {"test": {}, "validation": null}}')
    with pytest.raises(InvalidError, match="not as this version of dlcat writes it: 'recipe'"):
        card.render(Run(tmp_path), place.catalog["digits"])
