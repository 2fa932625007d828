"""How fast and how large a fetch is: whole processes, beside curl, aria2c and pooch, on one server on loopback.

python benchmarks/fetch.py [--runs 5] [--rows abcd] [--bytes 400e6] [--archive FILE.tar.gz] [--python-pooch PYTHON]

a  one file, no limit: download and verify
b  one file, 8 MB/s a connection and 20 ms before each answer
c  a .tar.gz of 170 MB with many files: download, verify, unpack
d  memory at its highest, above an interpreter that has imported dlcat.cli

Every run begins with an empty folder, but the catalog's index, which any command leaves in the cache, is there. curl and tar
must be installed; aria2c is left out where it is not. pooch is put into an environment of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import machine
import numpy as np
import yaml

PROJECT = Path(__file__).resolve().parent.parent
ARIA2C = ("aria2c", "--no-conf", "-q", "-x8", "-s8", "-k1M")
CAPPED = "rate:8000000+latency:0.02"
POOCH = "import sys, pooch; pooch.retrieve(sys.argv[1], sys.argv[2], path=sys.argv[3], fname='file')"
LAUNCHER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(status, usage.ru_maxrss)
"""
"""Starts a command from a small process: Linux counts what the parent had in use before the command began as the command's."""
FILES = 10_000
"""In the archive that is made for row c."""
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "SYSTEMROOT", "TMPDIR")


@dataclass(frozen=True)
class File:
    """What is fetched: served as bench/<name>."""

    path: Path
    sha256: str
    unpacked_bytes: int
    unpack: str = "none"

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size


@dataclass(frozen=True)
class Tool:
    """Somebody who fetches: the command for a folder that is empty, and the column's name."""

    name: str
    command: Callable[[Path], Sequence[str]]
    most_runs: int | None = None
    prepare: Callable[[Path], Sequence[str]] | None = None
    """What is run in the folder before the clock starts."""


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="dlcat-bench-", dir=options.folder) as name:
        work = Path(name)
        served = work / "served" / "bench"
        served.mkdir(parents=True)
        pooch = options.python_pooch or (_pooch(work) if "a" in options.rows else None)
        print(f"{machine.describe()}; {_versions(pooch)}; {options.runs} runs, in turns\n", flush=True)
        for row in options.rows:
            ROWS[row](options, work, served, pooch)


def fetched(options: argparse.Namespace, work: Path, served: Path, pooch: str | None) -> None:
    file = _random_file(served, int(options.bytes))
    with serving(served.parent) as base:
        url = f"{base}/bench/{file.path.name}"
        tools = [
            _dlcat(file, base, work),
            _shell(
                "curl, sha256sum", f'curl -sSf -o file "{url}" && echo "{file.sha256}  file" | sha256sum -c --status'
            ),
            *_aria2c(url, file),
            Tool("pooch", lambda folder: (str(pooch), "-c", POOCH, url, f"sha256:{file.sha256}", str(folder))),
        ]
        compare(f"a. {_mega(file.size_bytes)}, no limit", tools, options.runs, work, file)


def capped(options: argparse.Namespace, work: Path, served: Path, pooch: str | None) -> None:
    file = _random_file(served, int(options.bytes))
    with serving(served.parent, CAPPED) as base:
        url = f"{base}/bench/{file.path.name}"
        tools = [
            _dlcat(file, base, work, "--connections", "8"),
            *_aria2c(url, file),
            # One connection takes 50 s for 400 MB, whatever the machine.
            _shell(
                "curl, sha256sum", f'curl -sSf -o file "{url}" && echo "{file.sha256}  file" | sha256sum -c --status', 1
            ),
        ]
        compare(f"b. {_mega(file.size_bytes)}, 8 MB/s a connection, 20 ms", tools, options.runs, work, file)


def unpacked(options: argparse.Namespace, work: Path, served: Path, pooch: str | None) -> None:
    file = _archive(served, options.archive, int(options.archive_bytes))
    with serving(served.parent) as base:
        url = f"{base}/bench/{file.path.name}"
        steps = f'curl -sSf -o file "{url}" && echo "{file.sha256}  file" | sha256sum -c --status && tar xzf file'
        tools = [_dlcat(file, base, work), _shell("curl, sha256sum, tar xzf", steps)]
        title = f"c. {_mega(file.size_bytes)} of tar.gz, {_mega(file.unpacked_bytes)} unpacked"
        compare(title, tools, options.runs, work, file)


def remembered(options: argparse.Namespace, work: Path, served: Path, pooch: str | None) -> None:
    bare = [_peak_bytes((sys.executable, "-c", "import dlcat.cli"), work / "bare") for _ in range(options.runs)]
    print("| d. memory | peak, MB | above the interpreter, MB |\n|---|---|---|")
    print(f"| `import dlcat.cli` | {_spread(bare, 1e-6, 1)} | |", flush=True)
    for make, size in ((_random_file, int(options.bytes)), (_sparse_file, int(options.sparse_bytes))):
        file = make(served, size)
        with serving(served.parent) as base:
            command = _dlcat(file, base, work).command
            peaks = [_peak_bytes(command(work / "run"), work / "run") for _ in range(options.runs)]
        above = [peak - median(bare) for peak in peaks]
        print(f"| {_mega(file.size_bytes)} | {_spread(peaks, 1e-6, 1)} | {_spread(above, 1e-6, 1)} |", flush=True)
        file.path.unlink()
    print()


ROWS = {"a": fetched, "b": capped, "c": unpacked, "d": remembered}


def compare(title: str, tools: list[Tool], runs: int, work: Path, file: File) -> None:
    """Every tool in turns, each round begun by another one; what came is checked once for each."""
    seconds: dict[str, list[float]] = {tool.name: [] for tool in tools}
    for number in range(-1, runs):  # the first round fills the caches, and is not counted
        first = number % len(tools)
        for tool in (*tools[first:], *tools[:first]):
            taken = len(seconds[tool.name])
            if (number < 0 and tool.most_runs is not None) or (tool.most_runs is not None and taken >= tool.most_runs):
                continue
            spent = _seconds(tool, work / "run", file)
            if number >= 0:
                seconds[tool.name].append(spent)
    ours = median(seconds["dlcat"])
    print(f"| {title} | s | runs | dlcat takes |\n|---|---|---|---|")
    for name, times in seconds.items():
        share = "" if name == "dlcat" else f"{ours / median(times):.2f} × of it"
        print(f"| {name} | {_spread(times, 1, 2)} | {len(times)} | {share} |", flush=True)
    print()


@contextmanager
def serving(folder: Path, fault: str = "ok") -> Iterator[str]:
    """The fault server in a process of its own; gives its address."""
    words = [sys.executable, "-m", "dlcat.testing", str(folder), "--fault", fault]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=_environment())
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _seconds(tool: Tool, folder: Path, file: File) -> float:
    """One run into an empty folder; its bytes are looked at after the clock has stopped."""
    folder.mkdir()
    if tool.prepare is not None:
        subprocess.run(tool.prepare(folder), env=_environment(), stdout=subprocess.DEVNULL, check=True)
    os.sync()  # what the last run wrote is not this one's business
    command = list(tool.command(folder))
    started = perf_counter()
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    spent = perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{tool.name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    _require_right(tool, folder, file)
    shutil.rmtree(folder)
    return spent


def _require_right(tool: Tool, folder: Path, file: File) -> None:
    found = [path for path in folder.rglob("*") if path.is_file()]
    if not any(path.stat().st_size == file.size_bytes and _sha256(path) == file.sha256 for path in found):
        raise SystemExit(f"{tool.name} did not bring the file")
    if file.unpack != "none" and sum(path.stat().st_size for path in found) < file.unpacked_bytes:
        raise SystemExit(f"{tool.name} did not unpack everything")


def _peak_bytes(command: Sequence[str], folder: Path) -> int:
    """The most memory a process had in use at once, as the kernel saw it."""
    folder.mkdir()
    words = [sys.executable, "-S", "-c", LAUNCHER, *command]
    done = subprocess.run(words, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    status, peak = done.stdout.split()
    if int(status):
        raise SystemExit(f"{command} ended with {os.waitstatus_to_exitcode(int(status))}:\n{done.stderr}")
    shutil.rmtree(folder)
    return int(peak) * (1 if sys.platform == "darwin" else 1024)


def _dlcat(file: File, base: str, work: Path, *more: str) -> Tool:
    catalog = work / "catalog.yaml"
    catalog.write_text(yaml.safe_dump({"bench": _entry(file)}), encoding="utf-8")

    def words(verb: str, folder: Path) -> tuple[str, ...]:
        places = ("--catalog", str(catalog), "--mirror", base, "--cache", str(folder / "cache"))
        return (sys.executable, "-m", "dlcat", verb, "bench", *places)

    return Tool("dlcat", lambda folder: (*words("fetch", folder), *more), prepare=lambda folder: words("plan", folder))


def _aria2c(url: str, file: File) -> list[Tool]:
    if shutil.which("aria2c") is None:
        return []
    check = f"--checksum=sha-256={file.sha256}"
    return [
        Tool("aria2c -x8 -s8 -k1M --checksum", lambda folder: (*ARIA2C, check, "-d", str(folder), "-o", "file", url))
    ]


def _shell(name: str, line: str, most_runs: int | None = None) -> Tool:
    return Tool(name, lambda _: ("sh", "-c", line), most_runs)


def _entry(file: File) -> dict[str, object]:
    artifact = {
        "file": file.path.name,
        "urls": ["http://127.0.0.1:9/not-used"],
        "size": file.size_bytes,
        "checksums": {"sha256": file.sha256},
        "provenance": "made by benchmarks/fetch.py",
        "unpack": file.unpack,
    }
    return {
        "title": "Benchmark",
        "domain": "image",
        "tasks": ["image-classification"],
        "summary": {"en": "Random bytes.", "zh": "随机字节。"},
        "homepage": "http://127.0.0.1:9/",
        "license": {"id": "CC0-1.0"},
        "access": "open",
        "citation": "@misc{bench}",
        "size": {"download": file.size_bytes, "unpacked": file.unpacked_bytes},
        "splits": {"train": 1},
        "sample": {"shape": [1], "dtype": "uint8"},
        "artifacts": [artifact],
    }


def _random_file(served: Path, size_bytes: int) -> File:
    path = served / "random.bin"
    if not path.exists():
        random = np.random.default_rng(0)
        with open(path, "wb") as stream:
            for start in range(0, size_bytes, 2**24):
                stream.write(random.bytes(min(2**24, size_bytes - start)))
    return File(path, _sha256(path), size_bytes)


def _sparse_file(served: Path, size_bytes: int) -> File:
    path = served / "sparse.bin"
    path.touch()
    os.truncate(path, size_bytes)
    return File(path, _sha256(path), size_bytes)


def _archive(served: Path, given: Path | None, size_bytes: int) -> File:
    path = served / "archive.tar.gz"
    if given is None:
        _write_archive(path, size_bytes)
    else:
        path.symlink_to(given.resolve())
        if not path.resolve().is_relative_to(served):  # the server does not follow links out of its folder
            path.unlink()
            shutil.copyfile(given, path)
    with tarfile.open(path) as archive:
        unpacked_bytes = sum(member.size for member in archive)
    return File(path, _sha256(path), unpacked_bytes, "tar")


def _write_archive(path: Path, size_bytes: int) -> None:
    """Many small files of numbers below 64: gzip takes about a quarter off, as it does of pictures without loss."""
    random = np.random.default_rng(0)
    files = max(1, min(FILES, size_bytes // 1000))
    each_bytes = size_bytes * 4 // 3 // files
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for number in range(files):
            member = tarfile.TarInfo(f"bench/{number // 100:03}/{number:05}.bin")
            member.size = each_bytes
            archive.addfile(member, io.BytesIO(random.integers(0, 64, each_bytes, dtype=np.uint8).tobytes()))


def _pooch(work: Path) -> str:
    """A Python with pooch, in an environment that is made for it."""
    folder = work / "pooch"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    for words in ((sys.executable, "-m", "venv", str(folder)), (str(python), "-m", "pip", "install", "-q", "pooch")):
        subprocess.run(words, check=True, stdout=sys.stderr)
    return str(python)


def _versions(pooch: str | None) -> str:
    told = [_first_words(["curl", "--version"])]
    if shutil.which("aria2c"):
        told.append(_first_words(["aria2c", "--version"]).replace(" version", ""))
    if pooch:
        told.append(f"pooch {_said([pooch, '-c', 'import pooch; print(pooch.__version__)']).lstrip('v')}")
    return ", ".join(told)


def _first_words(command: Sequence[str]) -> str:
    line = _said(command).splitlines()[0].split()
    return " ".join(line[: 3 if line[1] == "version" else 2])


def _said(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _environment() -> dict[str, str]:
    """Without proxies, and without what changes how dlcat behaves."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {**kept, "PYTHONPATH": str(PROJECT), "no_proxy": "127.0.0.1"}


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _spread(values: Sequence[float], scale: float, decimals: int) -> str:
    low, middle, high = (scale * pick(values) for pick in (min, median, max))
    return f"{middle:.{decimals}f} ({low:.{decimals}f}–{high:.{decimals}f})"


def _mega(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of each tool; where one takes long, fewer of that one")
    parser.add_argument("--rows", default="abcd", choices=_Rows(), metavar="abcd", help="which rows")
    parser.add_argument("--bytes", type=float, default=400e6, help="of the file in rows a, b and d")
    parser.add_argument("--sparse-bytes", type=float, default=4e9, help="of the large file in row d")
    parser.add_argument("--archive-bytes", type=float, default=170e6, help="of the archive that is made for row c")
    parser.add_argument("--archive", type=Path, help="a .tar.gz for row c, instead of one that is made")
    parser.add_argument("--python-pooch", help="a Python that has pooch; without it one is made")
    parser.add_argument("--folder", type=Path, help="where to work; the system's temporary folder by default")
    return parser.parse_args()


class _Rows:
    """Any selection of the rows."""

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and bool(text) and set(text) <= set(ROWS)

    def __iter__(self) -> Iterator[str]:
        return iter(["any of abcd"])


if __name__ == "__main__":
    main()
