"""`dlcat explain`: text, JSON, files, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlcat.layers.convs import conv
from dlcat.optim.schedules import schedule

Command = Callable[..., Any]


def test_a_convolution_is_explained_with_its_dense_equivalent(command: Command) -> None:
    answer = command("explain", "conv", "depthwise_separable", "--in", "3x32x32")
    assert answer.code == 0, answer.err
    assert "3 x 32 x 32 to 96 x 32 x 32" in answer.out
    assert "It equals the full convolution of 3 x 3 with 2,592 weights" in answer.out
    assert "12.2 %" in answer.out  # 1 / 96 + 1 / 9


def test_sizes_and_options_are_taken(command: Command) -> None:
    member = "{name: dilated, dilation: 3}"
    answer = command("explain", "conv", member, "--in", "4x20", "--out", 6, "--kernel", 5, "--stride", 2, "--json")
    (facts,) = json.loads(answer.out)["explained"]
    assert facts["output_shape"] == [6, 10]
    assert facts["part"]["options"] == {"dilation": 3}
    assert len(facts["reads"]["window"][0]) == 13
    assert facts["is_equal"]


def test_json_is_one_document_for_every_family(command: Command) -> None:
    for words in (("norm", "layer"), ("activation", "gelu"), ("schedule", "cosine"), ("optimizer", "newton_cg")):
        answer = command("explain", *words, "--json")
        (facts,) = json.loads(answer.out)["explained"]
        assert (facts["part"]["family"], facts["part"]["name"]) == words
        assert all("heights" not in scene for scene in facts.get("scenes", ()))


def test_without_a_member_all_are_explained(command: Command) -> None:
    answer = command("explain", "schedule", "--json")
    assert [facts["part"]["name"] for facts in json.loads(answer.out)["explained"]] == sorted(schedule)


def test_a_member_that_refuses_leaves_the_others(command: Command) -> None:
    words = ("explain", "conv", "--in", "3x9")
    answer = command(*words, "--json")
    assert answer.code == 0, answer.err
    document = json.loads(answer.out)
    refused = {refusal["name"]: refusal["message"] for refusal in document["refused"]}
    assert refused["group"].startswith("conv 'group': 2 groups do not divide 3 channels")
    explained = [facts["part"]["name"] for facts in document["explained"]]
    assert "standard" in explained
    assert sorted([*explained, *refused]) == sorted(conv)
    answer = command(*words)
    assert answer.code == 0
    assert answer.out.startswith(f"conv {explained[0]}")
    assert "warning: group is left out: conv 'group': 2 groups do not divide 3 channels" in answer.err


def test_a_member_that_needs_an_option_leaves_the_others(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def stranger(progress: float, *, power: float) -> float:
        """A stranger's."""
        return progress**power

    known = sorted(schedule)
    monkeypatch.setitem(schedule._members, "stranger", stranger)
    answer = command("explain", "schedule", "--json")
    assert answer.code == 0, answer.err
    document = json.loads(answer.out)
    (refusal,) = document["refused"]
    assert (refusal["name"], "needs the option 'power'" in refusal["message"]) == ("stranger", True)
    assert [facts["part"]["name"] for facts in document["explained"]] == known


def test_a_page_tells_how_it_was_made(command: Command, tmp_path: Path) -> None:
    page = tmp_path / "x.md"
    command("explain", "conv", "{name: dilated, dilation: 3}", "--in", "4x9", "--stride", 2, "--markdown", page)
    made = "dlcat explain conv '{name: dilated, dilation: 3}' --in 4x9 --stride 2 --markdown x.md"
    assert f"Made by `{made}`" in page.read_text(encoding="utf-8")
    assert "every" not in page.read_text(encoding="utf-8").partition("##")[0]
    command("explain", "conv", "--in", "3x9", "--markdown", page)  # some refuse 3 channels
    assert "every" not in page.read_text(encoding="utf-8").partition("##")[0]
    command("explain", "schedule", "--markdown", page)
    assert "What every schedule does" in page.read_text(encoding="utf-8")


def test_files_are_written_and_named(command: Command, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.png", "a.html", "a.md")]
    options = [
        word for option, path in zip(("--png", "--html", "--markdown"), paths, strict=True) for word in (option, path)
    ]
    answer = command("explain", "norm", "group", *options)
    assert answer.out.splitlines() == [str(path) for path in paths]
    picture, page, markdown = (path.read_bytes() for path in paths)
    assert picture.startswith(b"\x89PNG")
    assert page.count(b"<svg") == 1
    for reference in (b"src=", b"http-equiv", b"<link", b"<script"):
        assert reference not in page  # nothing that would have to be loaded
    assert b"## group" in markdown


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("convs", "standard"), 2, "did you mean 'conv'?"),
        (("conv", "standart"), 3, "did you mean 'standard'?"),
        (("conv", "{name: dilated, dilation: 0}"), 3, "option 'dilation': expected"),
        (("conv", "{dilation: 2}"), 2, "expected a name"),
        (("conv", "[dilated]"), 2, "expected a name"),
        (("conv", "standard", "--in", "3by32"), 2, "expected CxHxW"),
        (("conv", "standard", "--kernel", "4"), 2, "a kernel of 4 has no centre"),
        (("conv", "--kernel", "4"), 2, "a kernel of 4 has no centre"),
        (("conv", "standard", "--in", "2x9", "--stride", "128"), 2, "expected two outputs side by side"),
        (("norm", "batch", "--kernel", "3"), 2, "--kernel: norm has no such setting"),
        (("norm", "group", "--in", "16x4x4"), 2, "32 groups do not divide 16 channels"),
        (("optimizer", "{name: sgd, lr: 0.1, nesterov: true}"), 2, "optimizer 'sgd': nesterov looks ahead"),
        (("schedule", "--png", "x.png"), 2, "expected one member"),
        (("activation", "relu", "--html", "/nowhere/at/all.html"), 7, "/nowhere/at/all.html"),
    ],
)
def test_what_cannot_be_is_refused_in_words(words: tuple[str, ...], code: int, message: str, command: Command) -> None:
    answer = command("explain", *words)
    assert answer.code == code
    assert message in answer.err
    assert answer.out == ""


def test_text_needs_no_matplotlib(python: Callable[..., str]) -> None:
    said = python(
        "import contextlib, io, sys\nfrom dlcat.cli import run\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n    run(['explain', 'activation', 'relu'])\n"
        "print('matplotlib' in sys.modules)"
    )
    assert said.strip() == "False"
