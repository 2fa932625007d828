"""`dlcat bench`: what parts cost on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Command = Callable[..., Any]

TINY: dict[str, tuple[str, ...]] = {
    "conv": ("conv", "--shape", "1x8x4x4", "--members", "standard,group", "--algorithms", "native"),
    "norm": ("norm", "--shape", "2x8x4x4", "--members", "batch,rms", "--layout", "contiguous,channels_last"),
    "optimizer": ("optimizer", "--weights", "5000", "--members", "sgd,adam"),
}


@pytest.mark.parametrize("family", TINY)
def test_a_bench_is_one_document(family: str, command: Command) -> None:
    answer = command("bench", *TINY[family], "--repeats", 2, "--json")
    assert answer.code == 0, answer.err
    document = json.loads(answer.out)
    assert document["family"] == family
    assert document["repeats"] == 2
    assert document["threads"] >= 1
    assert all(row["milliseconds"] > 0 and not row["reason"] for row in document["rows"])


def test_rows_are_the_members_in_the_order_asked_for_in_every_layout(command: Command) -> None:
    rows = json.loads(command("bench", *TINY["norm"], "--repeats", 1, "--json").out)["rows"]
    assert [(row["member"], row["layout"]) for row in rows] == [
        (name, layout) for name in ("batch", "rms") for layout in ("contiguous", "channels_last")
    ]


@pytest.mark.parametrize("family", TINY)
def test_a_bench_is_a_table_of_80_columns(family: str, command: Command) -> None:
    answer = command("bench", *TINY[family], "--repeats", 1)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].startswith(f"{family}: ")
    assert all(len(line) <= 80 for line in lines)
    assert answer.err == ""


def test_an_option_of_a_member_can_be_set(command: Command) -> None:
    tiny = ("bench", "norm", "--shape", "2x8x4x4", "--members", "group", "--repeats", 1, "--json")
    (refused,) = json.loads(command(*tiny).out)["rows"]
    assert "32 groups do not divide 8 channels" in refused["reason"]
    (measured,) = json.loads(command(*tiny, "--set", "group.groups=4").out)["rows"]
    assert measured["reason"] == ""


def test_an_error_that_is_no_number_is_null_in_the_document_and_nan_in_the_table(command: Command) -> None:
    zero = ("--set", "local_response.k=1.0e-100", "--set", "local_response.alpha=0")  # to divide by, but in float64
    tiny = ("bench", "norm", "--shape", "2x8x4x4", "--members", "local_response", *zero, "--repeats", 1)
    (row,) = json.loads(command(*tiny, "--json").out, parse_constant=pytest.fail)["rows"]
    assert (row["reason"], row["relative_error"]) == ("", None)
    (line,) = (line for line in command(*tiny).out.splitlines() if line.startswith("local_response"))
    assert line.split()[-1] == "nan"


FAULTS: dict[str, tuple[tuple[str, ...], str]] = {
    "shape": (("norm", "--shape", "12x12"), "expected three or four whole numbers"),
    "size 0": (("norm", "--shape", "1x0x4x4"), "expected three or four whole numbers"),
    "member": (("norm", "--members", "bach"), "there is no 'bach'"),
    "no member": (("norm", "--members", ","), "there is no ','"),
    "precision": (("norm", "--precision", "fp8"), "there is no 'fp8'"),
    "layout": (("norm", "--layout", "nhwc"), "there is no 'nhwc'"),
    "algorithm": (("conv", "--algorithms", "winigrad"), "did you mean 'winograd'?"),
    "setting": (("norm", "--set", "groups=4"), "expected MEMBER.OPTION=VALUE"),
    "setting of nobody": (("norm", "--members", "batch", "--set", "group.groups=4"), "that is not measured here"),
    "unknown setting": (("norm", "--set", "group.group=4"), "no option 'group' of norm 'group'"),
    "wrong setting": (("norm", "--set", "group.groups=four"), "expected a valid integer"),
    "device": (("norm", "--device", "abacus"), "no such device"),
}


@pytest.mark.parametrize(("arguments", "said"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_asked_for_is_refused(arguments: tuple[str, ...], said: str, command: Command) -> None:
    answer = command("bench", *arguments, "--repeats", "1")
    assert answer.code == 2
    assert said in answer.err
