"""Every command in the README runs as it is written there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MIRROR = ROOT.parent / "shared" / "mirror"


def commands(name: str) -> list[str]:
    """The lines of the block that follows `<!-- name -->`, without their comments."""
    found = re.search(rf"<!-- {name} -->\s*```sh\n(.*?)```", README, re.DOTALL)
    assert found, f"README.md has no block named {name}"
    return [re.sub(r"\s+# .*", "", line) for line in found[1].splitlines()]


def run(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "dlcat", *command.split()[1:]]
    own = {key: value for key, value in os.environ.items() if not key.startswith(("DLCAT_", "OMP_"))}
    own |= {"DLCAT_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(words, cwd=folder, env=own, capture_output=True, text=True, timeout=600, check=False)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def mirror():
    if not MIRROR.is_dir():
        pytest.skip("the real data are not beside this checkout")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(MIRROR))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_every_command_block_is_run_by_a_test_or_by_ci():
    marked = set(re.findall(r"<!-- (\w+) -->", README))
    assert marked == {"install", "quickstart", "look", "fetch", "train", "develop", "test"}
    assert README.count("```sh\n") == len(marked)


@pytest.mark.parametrize("command", commands("look"))
def test_looking_around_needs_nothing(command, tmp_path):
    done = run(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_quickstart_ends_with_a_report(tmp_path):
    (command,) = commands("quickstart")
    done = run(command, tmp_path)
    assert done.returncode == 0, done.stderr
    (report,) = re.findall(r"\S+report\.html", done.stdout)
    assert Path(report).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


BRIEFLY = " --set train.examples=6000"
"""A tenth of MNIST: how good recipes become on all of it is measured, and stands in benchmarks/RESULTS.md."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fetching_and_training_work_on_real_data(tmp_path, mirror):
    for command in commands("fetch") + commands("train"):
        brief = BRIEFLY if command.startswith("dlcat train mnist") else ""
        done = run(command + brief, tmp_path, DLCAT_MIRROR=mirror)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout.strip(), command


def test_the_python_example_runs(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    environment = os.environ | {"DLCAT_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_recipe_in_the_readme_is_the_one_that_ships(tmp_path):
    from dlcat import recipe

    (example,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "cifar_bn.yaml"
    path.write_text(example, encoding="utf-8")
    shipped = recipe.load(ROOT / "recipes" / "cifar_bn.yaml").plain()
    shown = recipe.load(path).plain()
    assert shown["train"].pop("validate_every") == 1
    shipped["train"].pop("validate_every")
    assert shown == shipped


@pytest.mark.parametrize("kind", ["catalog", "recipe"])
def test_the_schemas_in_docs_are_current(kind, tmp_path):
    done = run(f"dlcat catalog schema {kind}", tmp_path)
    assert done.stdout == (ROOT / "docs" / f"{kind}.schema.json").read_text(encoding="utf-8")
