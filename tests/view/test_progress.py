"""Progress is a bar on a terminal, a line now and then elsewhere, and one line for every epoch."""

from __future__ import annotations

import math
from io import StringIO
from pathlib import Path
from typing import Any, get_args

import pytest

from dlcat.fetch.records import (
    Failed,
    Installed,
    Missing,
    Moved,
    Pausing,
    Record,
    Salvaged,
    Skipped,
    Started,
    Tried,
    Unpacked,
    Verified,
    Waiting,
)
from dlcat.view.progress import FetchProgress, TrainProgress, epoch_line, sentence

FILE = "train.gz"
RECORDS = [
    Pausing(FILE, "http://one", 3.0),
    Salvaged(FILE, 1000, 2000),
    Waiting("mnist", Path("cache/.locks/mnist.lock")),
    Started("mnist", FILE, 1000, "http://one"),
    Moved(FILE, 400, 1000),
    Tried(FILE, "http://one", "closed after 400 bytes"),
    Started("mnist", FILE, 1000, "http://two"),
    *(Moved(FILE, done, 1000) for done in range(0, 1001, 20)),
    Moved(FILE, 1000, 1000, "hash"),
    Verified(FILE, "sha256:" + "ab" * 32),
    Unpacked(FILE, 1, 5000),
    Skipped("test.gz", "already ok"),
    Failed("labels.gz", "sha256 aa", "sha256 bb"),
    Missing("extra.gz", None),
    Installed("mnist", 2, Path("cache/data/mnist")),
]


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: StringIO) -> str:
    with FetchProgress(stream) as progress:
        for record in RECORDS:
            progress.show(record)
    return stream.getvalue()


def test_a_log_gets_a_line_every_ten_percent() -> None:
    downloading = [line for line in shown(StringIO()).splitlines() if "downloading" in line]
    shares = [line.split("downloading ")[1].split(",")[0] for line in downloading]
    assert shares == ["40 %", *(f"{share} %" for share in range(10, 100, 10))]


def test_a_log_tells_the_whole_story_in_order() -> None:
    text = shown(StringIO())
    told = [
        "another process",
        "1.0 kB from http://one",
        "http://one did not give it: closed after 400 bytes",
        "from http://two",
        "verified, sha256 abababababab",
        "unpacked, 1 file, 5.0 kB",
        "test.gz: already ok",
        "expected sha256 aa, found sha256 bb",
        "extra.gz: missing, ?",
        "mnist: ready, 2 artifacts in",
    ]
    places = [text.index(part) for part in told]
    assert places == sorted(places)
    assert "\r" not in text


def test_a_terminal_gets_a_bar_for_each_step() -> None:
    text = shown(Terminal())
    assert "\r" in text
    assert "downloading train.gz:" in text
    assert "checking train.gz:" in text
    assert "%" in text
    assert "mnist: ready" in text.splitlines()[-1]


def test_files_that_move_at_once_have_a_bar_each() -> None:
    stream = Terminal()
    with FetchProgress(stream) as progress:
        for record in (Moved("a", 10, 100), Moved("b", 20, 100), Moved("a", 50, 100), Verified("b", "sha256:00")):
            progress.show(record)
    assert "downloading a:" in stream.getvalue()
    assert "downloading b:" in stream.getvalue()


def test_a_download_of_unknown_length_is_shown() -> None:
    assert sentence(Moved(FILE, 2000, None)) == "train.gz: downloading, 2.0 kB"
    stream = Terminal()
    with FetchProgress(stream) as progress:
        progress.show(Moved(FILE, 2000, None))
    assert "2.00kB" in stream.getvalue()


@pytest.mark.parametrize("kind", get_args(Record), ids=lambda kind: kind.__name__)
def test_every_record_has_a_sentence(kind: type) -> None:
    said = [sentence(record) for record in RECORDS if isinstance(record, kind)]
    assert said
    assert all(text and "\n" not in text for text in said)


def test_a_first_seen_checksum_and_a_new_wrapper_are_told_apart() -> None:
    assert "no checksum is published" in sentence(Verified(FILE, "sha256:00", seen_first=True))
    assert "new archive" in sentence(Verified(FILE, "sha256:00", rewrapped=True))


def test_a_sentence_cannot_move_the_cursor() -> None:
    assert "\x1b" not in sentence(Tried(FILE, "http://one", "\x1b[2Jreason\r\n"))


def test_an_epoch_is_one_line() -> None:
    epoch: dict[str, Any] = {
        "epoch": 3,
        "epochs": 10,
        "seconds": 3.2,
        "examples_per_second": 4300.2,
        "learning_rate": 0.1,
        "train": {"loss": 0.1234, "accuracy": 0.971},
        "validation": {"loss": 0.2, "accuracy": 0.968},
    }
    expected = "epoch  3/10  loss 0.123  accuracy 97.1 %  validation 96.8 %  4,300 images/s  3.2 s"
    assert epoch_line(epoch, "images") == expected
    assert "validation" not in epoch_line(epoch | {"validation": None})
    assert "validation 0.200" in epoch_line(epoch | {"validation": {"loss": 0.2}})
    assert "loss nan" in epoch_line(epoch | {"train": {"loss": math.nan}})


def test_training_logs_a_line_for_every_epoch(fabricate: Any) -> None:
    stream = StringIO()
    with TrainProgress(stream, unit="images") as progress:
        for number in (1, 2, 3):
            progress.show(fabricate.epoch(number, 3))
    assert [line[:9] for line in stream.getvalue().splitlines()] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]


def test_training_on_a_terminal_keeps_the_lines_and_shows_a_bar(fabricate: Any) -> None:
    stream = Terminal()
    with TrainProgress(stream) as progress:
        for number in (2, 3):  # resumed after the first
            progress.show(fabricate.epoch(number, 3))
    text = stream.getvalue()
    assert text.count("epoch 2/3") == text.count("epoch 3/3") == 1
    assert "1/3" in text
    assert "\r" in text
