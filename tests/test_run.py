"""A run's folder: made once, found by name, readable after a kill."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from dlcat import run
from dlcat.errors import DiskError, InvalidError, UsageError

NOW = datetime(2026, 1, 2, 3, 4, 5)


def _made(runs: Path, recipe: str = "x", nanoseconds: int = 0) -> run.Run:
    made = run.create(runs, recipe, 0, NOW)
    made.write_text("recipe.yaml", "dataset: digits\n")
    os.utime(made.path, ns=(nanoseconds, nanoseconds))
    return made


def test_a_run_is_named_after_recipe_seed_and_time(tmp_path: Path) -> None:
    made = run.create(tmp_path / "runs", "mnist_lenet", 3, NOW)
    assert made.path == tmp_path / "runs" / "mnist_lenet-s3-20260102-030405"
    assert made.path.is_dir()


def test_runs_of_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    names = [run.create(tmp_path, "x", 0, NOW).name for _ in range(3)]
    assert names == ["x-s0-20260102-030405", "x-s0-20260102-030405-2", "x-s0-20260102-030405-3"]


def test_runs_are_listed_oldest_first_and_other_folders_are_not(tmp_path: Path) -> None:
    later, earlier = _made(tmp_path, "a", 2), _made(tmp_path, "b", 1)
    (tmp_path / "notes").mkdir()
    assert list(run.listed(tmp_path)) == [earlier, later]
    assert list(run.listed(tmp_path / "nowhere")) == []


def test_a_run_is_found_by_name_by_path_and_as_the_last(tmp_path: Path) -> None:
    first, last = _made(tmp_path, "a", 1), _made(tmp_path, "b", 2)
    assert run.find(tmp_path, first.name) == first
    assert run.find(tmp_path / "nowhere", str(first.path)) == first
    assert run.find(tmp_path, "last") == last


def test_an_unknown_run_is_met_with_the_closest(tmp_path: Path) -> None:
    made = _made(tmp_path)
    with pytest.raises(UsageError) as caught:
        run.find(tmp_path, made.name[:-1])
    assert caught.value.hint == f"did you mean {made.name!r}?"
    with pytest.raises(UsageError, match=r"no run in .* yet"):
        run.find(tmp_path / "nowhere", "last")


def test_a_run_is_finished_when_its_result_is_there(tmp_path: Path) -> None:
    made = _made(tmp_path)
    assert not made.finished
    with pytest.raises(InvalidError, match="did not come to its end"):
        made.result()
    made.write_json("result.json", {"名": 1})
    assert made.finished
    assert made.result() == {"名": 1}


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff", b""])
def test_a_damaged_result_is_named(tmp_path: Path, content: bytes) -> None:
    made = _made(tmp_path)
    (made.path / "result.json").write_bytes(content)
    with pytest.raises(InvalidError, match=r"result\.json: "):
        made.result()


def test_epochs_are_kept_as_they_end_and_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    made = _made(tmp_path)
    assert made.epochs() == []
    made.log({"epoch": 1})
    made.log({"epoch": 2})
    with open(made.path / "metrics.jsonl", "a") as stream:
        stream.write('{"epoch": 3, "loss"')
    assert made.epochs() == [{"epoch": 1}, {"epoch": 2}]


@pytest.mark.parametrize("occupied", ["runs", "runs/x-s0-20260102-030405/result.json"])
def test_what_cannot_be_written_is_a_disk_error(tmp_path: Path, occupied: str) -> None:
    blocked = tmp_path / occupied
    blocked.parent.mkdir(parents=True, exist_ok=True)
    if occupied == "runs":
        blocked.write_text("a file where the runs should be")
        with pytest.raises(DiskError, match="Not a directory"):
            run.create(tmp_path / "runs", "x", 0, NOW)
    else:
        blocked.mkdir()
        with pytest.raises(DiskError, match=r"result\.json: Is a directory"):
            run.Run(blocked.parent).write_json("result.json", {})


def test_a_file_is_written_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    made = _made(tmp_path)
    made.write_json("result.json", {"a": 1})
    made.write_json("result.json", {"a": 2})
    assert sorted(path.name for path in made.path.iterdir()) == ["recipe.yaml", "result.json"]
    assert made.result() == {"a": 2}


LIMITED = """
import resource
from pathlib import Path
from dlcat import run
from dlcat.errors import DiskError

def refused(work):
    try:
        work()
    except DiskError as error:
        print(error.exit_code, error.message)

made = run.Run(Path("run"))
made.path.mkdir()
made.log({"epoch": 1})
made.write_text("report.html", "old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for length in (1000, 9000, 1000000):  # Python writes 8192 bytes at once
    refused(lambda: made.log({"epoch": 2, "long": "x" * length}))
    refused(lambda: made.write_text("report.html", "x" * (length + 1)))
    refused(lambda: made.write_json("result.json", {"long": "x" * length}))
    with run.writing(Path("run/small")) as path:
        path.write_bytes(b"x" * 1000)
made.log({"epoch": 2})
"""


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_file_that_would_be_too_large_is_a_disk_error_and_leaves_nothing_half(
    tmp_path: Path, python: Callable[..., str]
) -> None:
    reason = "the file would be larger than is allowed here"
    told = [f"7 run/{name}: {reason}" for name in ("metrics.jsonl", "report.html", "result.json")]
    assert python(LIMITED, PYTHONDONTWRITEBYTECODE="1").splitlines() == told * 3
    folder = tmp_path / "run"
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.jsonl", "report.html", "small"]
    assert [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] == [
        {"epoch": 1},
        {"epoch": 2},
    ]
    assert (folder / "report.html").read_text() == "old"


def test_a_full_disk_leaves_what_was_whole(tmp_path: Path, small_disk: Callable[[int], Path]) -> None:
    made = run.Run(small_disk(2))
    made.log({"epoch": 1})
    made.write_text("report.html", "old")
    for work in (
        lambda: made.log({"long": "x" * 100_000}),
        lambda: made.write_text("report.html", "x" * 100_000),
        lambda: made.write_json("result.json", {}),
    ):
        with pytest.raises(DiskError, match=r"(metrics\.jsonl|report\.html|result\.json): no space left"):
            work()
    assert {path.name: path.read_text() for path in made.path.iterdir()} == {
        "metrics.jsonl": '{"epoch": 1}\n',
        "report.html": "old",
    }


def test_what_a_link_points_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "report.html")
    with run.writing(tmp_path / "link") as path:
        path.write_text("whole")
    assert (tmp_path / "link").is_symlink()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["report.html"]
    assert (tmp_path / "link").read_text() == "whole"


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="a pipe has no path here")
def test_a_pipe_is_written_to_as_it_is() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stream:
        with os.fdopen(writing), run.writing(Path(f"/dev/fd/{writing}")) as path:
            path.write_text("through")
        assert stream.read() == "through"
