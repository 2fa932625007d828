"""Every shipped recipe is fetched, trained and reported by the program itself, on a tiny dataset in upstream's layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

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


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which it is served."""
    folder = tmp_path_factory.mktemp("mirror")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_a_recipe_runs_from_a_mirror_to_its_report(
    name: str, mirror: tuple[Path, str], tmp_path: Path, command: Callable[..., Any]
) -> None:
    recipe = load(NAMES[name])
    (tmp_path / "upstream").mkdir()
    entry = upstream.entry(recipe.dataset.name, mirror[0], tmp_path / "upstream")
    (tmp_path / "catalog.yaml").write_text(yaml.safe_dump({recipe.dataset.name: entry}, allow_unicode=True))
    overrides = [*SHORT, *SMALLER.get(recipe.inputs.name if recipe.inputs else "", ())]
    words = ["train", NAMES[name], "--catalog", tmp_path / "catalog.yaml", "--cache", tmp_path / "cache"]
    words += ["--mirror", mirror[1], "--out", tmp_path / "runs", "--device", "cpu", "--json"]
    answer = command(*words, *(word for override in overrides for word in ("--set", override)))
    assert answer.code == 0, answer.err
    result = json.loads(answer.out)
    assert result["epochs"] == 1
    shown = result["metrics"]["test"] or result["metrics"]["validation"]
    assert result["rank"]["measure"] in shown
    assert Path(result["run"], "report.html").is_file()
