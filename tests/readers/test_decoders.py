"""Decoding ahead in processes: the same pictures for any number of them, and none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from dlcat.errors import DlcatError, VerificationError
from dlcat.readers import EncodedExamples
from dlcat.readers.decoders import CHUNK, Crew, decoded
from dlcat.readers.pixels import Crops, decode_at

CROPS = Crops(12, 3, 0.2, 0.875)
SIZES = (1, CHUNK, CHUNK + 5, 2)


def _batches(examples: EncodedExamples) -> list[list[tuple[object, tuple[int, int] | None]]]:
    """Batches of several sizes, some at random and some by the centre."""
    batches, start = [], 0
    for size in SIZES:
        places = examples.storage.places(range(start, start + size))
        batches.append([(place, (9, start) if start % 2 else None) for place in places])
        start += size
    return batches


@pytest.mark.parametrize("processes", [0, 1, 3])
def test_pictures_come_in_order_and_do_not_depend_on_the_number_of_processes(
    encoded: Callable[[str], EncodedExamples], processes: int
) -> None:
    batches = _batches(encoded("train"))
    found = list(decoded(batches, CROPS, processes=processes))
    assert [len(batch) for batch in found] == list(SIZES)
    for pixels, batch in zip(found, batches, strict=True):
        assert np.array_equal(pixels, np.stack([decode_at(place, CROPS, chance) for place, chance in batch]))


@pytest.mark.parametrize("processes", [0, 2])
def test_a_picture_that_cannot_be_read_is_named_where_the_batches_are_taken(
    encoded: Callable[[str], EncodedExamples], tmp_path: Path, processes: int
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    batches = _batches(encoded("train"))
    place, _ = batches[2][3]
    batches[2][3] = (type(place)(str(tmp_path / "broken.jpg")), None)
    taken = decoded(batches, CROPS, processes=processes)
    assert [len(next(taken)), len(next(taken))] == list(SIZES[:2])
    with pytest.raises(VerificationError, match=r"broken\.jpg: expected a picture") as raised:
        next(taken)
    assert "dlcat verify" in raised.value.hint


@pytest.mark.parametrize("processes", [0, 2])
def test_who_takes_no_more_batches_leaves_no_process_behind(
    encoded: Callable[[str], EncodedExamples], processes: int
) -> None:
    before = _children()
    taken = decoded(_batches(encoded("train")) * 50, CROPS, processes=processes)
    next(taken)
    assert len(_children() - before) == processes
    taken.close()
    assert _children() == before


def test_a_process_that_is_killed_is_said(encoded: Callable[[str], EncodedExamples]) -> None:
    before = _children()
    taken = decoded(_batches(encoded("train")) * 50, CROPS, processes=1)
    next(taken)
    (worker,) = _children() - before
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(DlcatError, match="a process that decodes pictures ended with code -9"):
        list(taken)


def test_an_ended_crew_decodes_nothing(encoded: Callable[[str], EncodedExamples]) -> None:
    ended = Event()
    ended.set()
    with Crew(1, CROPS) as crew:
        assert list(crew.decoded(_batches(encoded("train")), ended)) == []


def test_when_the_one_who_asked_is_killed_the_processes_end(
    environment: dict[str, str], encoded: Callable[[str], EncodedExamples]
) -> None:
    (place,) = encoded("test").storage.places([0])
    code = (
        "import time\nfrom dlcat.readers.decoders import decoded\nfrom dlcat.readers.pixels import Crops, Place\n"
        f"batches = [[(Place({place.path!r}), None)] * 8] * 10**6\n"
        "taken = decoded(batches, Crops(8, 3, 1.0, 1.0), processes=2)\nnext(taken)\nprint('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as asker:
        assert asker.stdout is not None
        assert asker.stdout.readline() == b"ready\n"
        workers = _children(asker.pid)
        asker.kill()
    assert len(workers) == 2
    deadline = time.monotonic() + 20
    while any(_is_running(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(_is_running(worker) for worker in workers)


def _children(parent: int | None = None) -> set[int]:
    """The processes that a process started and that are still running."""
    parent = parent or os.getpid()
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, owner = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(owner) == parent and state != "Z":
            found.add(int(path.parent.name))
    return found


def _is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
