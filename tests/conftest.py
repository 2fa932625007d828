"""What many tests share: the shipped files, a command line that can be called, and one short training on digits."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from dlcat import locations
from dlcat.workspace import Workspace

if TYPE_CHECKING:
    from dlcat.run import Run

PROJECT = locations.PACKAGE.parent
TRAINED_EPOCHS = 8
PRELOADED = [
    "dlcat.train.session",
    "dlcat.workspace",
    "dlcat.cli",
    "dlcat.cost",
    "dlcat.schema",
    "sklearn.datasets",
    "yaml",
]
NOBODY = 65534
"""The user who owns nothing."""

# Several processes of tests share the cores: each takes one, else their threads wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples every time, so that a run can be repeated; `--hypothesis-profile explore` looks for others.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile("repeatable")

# Where the tests run in the background of a script, Ctrl-C is ignored, and every process they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """command("list", "--json"): runs in this process, as `dlcat` would."""
    from dlcat.cli import run

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return call


@pytest.fixture(scope="session")
def environment(shared_cache: Path) -> dict[str, str]:
    """What a fresh interpreter needs to find dlcat, and this session's cache."""
    names = ("PATH", "HOME", "OMP_NUM_THREADS", "SYSTEMROOT")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    paths = [str(PROJECT), *(path for path in (os.environ.get("PYTHONPATH", ""),) if path)]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "DLCAT_CACHE": str(shared_cache)}


@pytest.fixture(scope="session")
def forks() -> Any:
    """Processes that have torch loaded when they begin, and whatever else takes its time: forks.Process(target=...)."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@pytest.fixture
def python(environment: dict[str, str], tmp_path: Path) -> Callable[..., str]:
    """python(code, NAME=value): what a fresh interpreter prints; it must end well and say nothing on stderr."""

    def call(code: str, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=tmp_path,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return call


@pytest.fixture(scope="session")
def place(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The shipped catalog and recipes with this session's cache, digits installed."""
    found = Workspace(
        locations.Locations(
            catalogs=(locations.shipped("catalog.yaml"),),
            recipes=(locations.shipped("recipes"),),
            cache=shared_cache,
            runs=tmp_path_factory.mktemp("runs"),
        )
    )
    for _ in found.install(found.catalog["digits"]):
        pass
    return found


@pytest.fixture(scope="session")
def trained(place: Workspace) -> Run:
    """A finished run on digits, good enough to tell them apart, with its report."""
    from dlcat.train.session import Finished
    from dlcat.view import report

    recipe = place.recipe("digits_quickstart", (f"train.epochs={TRAINED_EPOCHS}", "train.precision=fp32"))
    _, cost = place.trainable(recipe)
    events = list(place.train(recipe, cost, device="cpu", command="dlcat train digits_quickstart"))
    assert isinstance(events[-1], Finished)
    run = events[-1].run
    run.write_text(run.report_path.name, report.render(run))
    return run


PICTURES = {"train": 40, "test": 10}
PICTURE_CLASSES = ("cat", "dog", "emu")
GALLERY = """
toy:
  title: Toy pictures
  domain: image
  tasks: [image-classification]
  summary: {en: Toys., zh: 玩具。}
  homepage: https://toys.example/
  license: {id: CC0-1.0}
  access: open
  citation: "@misc{toys, year = {2020}}"
  size: {download: null, unpacked: null}
  splits: {train: 40, test: 10}
  classes: [cat, dog, emu]
  sample: {shape: [3, height, width], dtype: uint8}
  reader: image_folder
  artifacts:
    - {file: toys.tar, urls: ["https://toys.example/toys.tar"], provenance: made here, unpack: tar}
"""


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """<split>/<class>/<number>.jpg: smooth colours, of several sizes."""
    import numpy as np
    from PIL import Image

    folder = tmp_path_factory.mktemp("tree")
    for split, count in PICTURES.items():
        for number in range(count):
            corners = np.random.default_rng(number + 1000 * (split == "test")).integers(0, 256, (3, 4, 3), np.uint8)
            path = folder / split / PICTURE_CLASSES[number % 3] / f"{number:03d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(corners).resize((30 + number, 25 + number % 7), Image.Resampling.BICUBIC).save(path)
    return folder


@pytest.fixture
def gallery(tree: Path, tmp_path: Path) -> Workspace:
    """A workspace whose dataset `toy` is that tree, installed."""
    import tarfile

    from dlcat.fetch.by_hand import import_files

    (tmp_path / "catalog.yaml").write_text(GALLERY, encoding="utf-8")
    with tarfile.open(tmp_path / "toys.tar", "w") as archive:
        for split in PICTURES:
            archive.add(tree / split, split)
    found = Workspace(
        locations.Locations(
            catalogs=(tmp_path / "catalog.yaml",),
            recipes=(locations.shipped("recipes"),),
            cache=tmp_path / "cache",
            runs=tmp_path / "runs",
        )
    )
    for _ in import_files(found.catalog["toy"], found.store, [tmp_path / "toys.tar"]):
        pass
    return found


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """small_disk(pages): a folder on a file system of its own with room for so many pages of files."""
    mounted: list[Path] = []

    def mount(pages: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={pages * mmap.PAGESIZE}", "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(words, capture_output=True, check=False).returncode:
            pytest.skip("no file system may be mounted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are for one alone."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def unprivileged() -> Callable[[], AbstractContextManager[None]]:
    """with unprivileged(): this process as a user who may not write everywhere. What it needs must be imported before."""

    @contextmanager
    def become() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        try:
            os.seteuid(NOBODY)
        except OSError:
            pytest.skip("root may write everywhere, and cannot become anybody else here")
        try:
            yield
        finally:
            os.seteuid(0)

    return become


@pytest.fixture
def recipe_file(tmp_path: Path) -> Callable[..., Path]:
    """recipe_file("name.yaml", text): the text in a file of the test's folder."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def entry() -> Callable[..., dict[str, Any]]:
    """entry(key=value, ...): a sound catalog entry as plain data, with some keys replaced; None removes one."""

    def make(**changes: Any) -> dict[str, Any]:
        sound: dict[str, Any] = {
            "title": "Toy set",
            "domain": "image",
            "tasks": ["image-classification"],
            "summary": {"en": "Toys.", "zh": "玩具。"},
            "homepage": "https://toys.example/",
            "license": {"id": "CC0-1.0"},
            "access": "open",
            "citation": "@misc{toys, year = {2020}}",
            "size": {"download": 3, "unpacked": 3},
            "splits": {"train": 1},
            "sample": {"shape": [1, 2, 2], "dtype": "uint8"},
            "artifacts": [
                {"file": "toys.bin", "urls": ["https://toys.example/toys.bin"], "size": 3, "provenance": "made here"}
            ],
        }
        return {key: value for key, value in (sound | changes).items() if value is not None}

    return make


class _Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def tiny_mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which it is served."""
    folder = tmp_path_factory.mktemp("mirror")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def tiny(tiny_mirror: tuple[Path, str], tmp_path: Path) -> Callable[[str], list[str]]:
    """tiny("imdb"): the options with which a command finds that dataset's tiny version, on a mirror and not yet fetched."""
    import yaml

    from tests import upstream

    def make(name: str) -> list[str]:
        (tmp_path / "upstream").mkdir()
        entry = upstream.entry(name, tiny_mirror[0], tmp_path / "upstream")
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump({name: entry}, allow_unicode=True, sort_keys=False), encoding="utf-8")
        return ["--catalog", str(path), "--cache", str(tmp_path / "cache"), "--mirror", tiny_mirror[1]]

    return make
