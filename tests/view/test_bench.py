"""A bench as text."""

from __future__ import annotations

import io
from typing import Any

from dlcat.view.bench import BenchProgress, bench

NOTHING = dict.fromkeys(
    (
        "layout",
        "algorithm",
        "milliseconds",
        "least_milliseconds",
        "most_milliseconds",
        "gigaflops_per_second",
        "extra_bytes",
        "relative_error",
        "state_bytes_per_weight",
        "gradients_per_step",
    )
)
MACHINE = {"device": "a processor", "threads": 2, "torch": "2.13.0", "repeats": 10}
NORM = {"family": "norm", "shape": (128, 64, 32, 32), **MACHINE}
CONV = {"family": "conv", "shape": (16, 512, 32, 32), "channels_out": 512, "kernel": 3, "stride": 1, **MACHINE}


def _row(**known: Any) -> dict[str, Any]:
    return NOTHING | {"member": "weight_standardization", "precision": "fp32", "reason": "", "backend": ""} | known


FULL = _row(
    member="depthwise_separable",
    layout="channels_last",
    algorithm="winograd",
    milliseconds=1012.3,
    least_milliseconds=1001.2,
    most_milliseconds=1099.9,
    gigaflops_per_second=123.4,
    extra_bytes=123_456_789,
    relative_error=1.234e-7,
)


def test_every_line_fits_into_80_columns() -> None:
    assert all(len(line) <= 80 for line in bench(CONV, [FULL]).splitlines())


def test_what_is_known_is_shown() -> None:
    text = bench(CONV, [FULL])
    assert "conv: forward and backward, 16×512×32×32 to 512 channels, kernel 3, stride 1" in text
    assert "a processor, 2 threads, torch 2.13.0" in text
    assert "fp32, channels_last" in text
    (line,) = (line for line in text.splitlines() if line.startswith("depthwise_separable"))
    assert line.split() == ["depthwise_separable", "winograd", "1,012", "1,001–1,100", "123", "123", "MB", "1e-07"]


def test_what_torch_took_is_named_once() -> None:
    rows = [FULL | {"algorithm": "native", "backend": name} for name in ("Slow2d, Mkldnn", "Mkldnn", "")]
    lines = [line for line in bench(CONV, rows).splitlines() if "native is" in line]
    assert lines == ["native is torch's Mkldnn, Slow2d"]


def test_there_is_a_column_only_for_what_is_known() -> None:
    text = bench(NORM, [_row(milliseconds=1.0, least_milliseconds=0.5, most_milliseconds=20.0)])
    (heading,) = (line for line in text.splitlines() if line.startswith("part"))
    assert heading.split() == ["part", "ms", "least–most"]
    assert "1.00  0.500–20.0" in text


def test_precisions_and_layouts_stand_apart() -> None:
    rows = [_row(precision=precision, layout="contiguous", milliseconds=1.0, least_milliseconds=1.0, most_milliseconds=1.0)
            for precision in ("fp32", "bf16")]  # fmt: skip
    lines = bench(NORM, rows).splitlines()
    assert lines.index("fp32, contiguous") < lines.index("bf16, contiguous")


def test_what_could_not_be_measured_is_named_with_the_reason() -> None:
    text = bench(
        CONV, [_row(member="group", algorithm="fft", layout="contiguous", reason="32 groups do not divide 12")]
    )
    assert "not measured" in text
    assert "group  fft: 32 groups do not divide 12" in text


def test_a_reason_is_said_once_for_all_the_ways_it_holds_for() -> None:
    rows = [_row(member="group", algorithm=name, precision=precision, layout="contiguous", reason="it does not fit")
            for name in ("fft", "direct") for precision in ("fp32", "bf16")]  # fmt: skip
    *_, last = bench(CONV, rows).splitlines()
    ways = "fft fp32, contiguous; fft bf16, contiguous; direct fp32, contiguous; direct bf16, contiguous"
    assert last == f"group  {ways}: it does not fit"


def test_a_norm_that_fits_in_no_way_has_its_reason_alone() -> None:
    *_, last = bench(NORM, [_row(member="group", layout="contiguous", reason="it does not fit")]).splitlines()
    assert last == "group  it does not fit"


def test_an_optimizers_table_has_state_and_gradients() -> None:
    row = _row(
        member="lbfgs",
        milliseconds=5.0,
        least_milliseconds=4.0,
        most_milliseconds=6.0,
        state_bytes_per_weight=80.0,
        gradients_per_step=12.5,
    )
    text = bench({"family": "optimizer", "weights": 1_000_000, **MACHINE}, [row])
    assert "optimizer: a step over about 1,000,000 weights" in text
    assert "80.0" in text
    assert "12.5" in text


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_and_nothing_in_a_pipe() -> None:
    pipe, terminal = io.StringIO(), _Terminal()
    for stream in (pipe, terminal):
        with BenchProgress(stream) as progress:
            for number in (1, 2):
                progress.show({"case": {"member": "group"}, "number": number, "total": 2})
    assert pipe.getvalue() == ""
    assert "group" in terminal.getvalue()
