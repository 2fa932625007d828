"""What `auto` means, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dlcat.errors import UsageError
from dlcat.recipe import Layout, Precision
from dlcat.train import device as devices

GENERATIONS = {
    "flags\t\t: fpu sse2 avx2 avx512f avx512_bf16": True,
    "flags : fpu amx_bf16 amx_tile": True,
    "Features\t: fp asimd bf16 i8mm": True,
    "flags\t\t: fpu sse2 avx2 avx512f avx512_fp16": False,
    "flags : notbf16 bf16ish": False,
    "": False,
}


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def _cpuinfo(monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path, **_: content)


@pytest.mark.parametrize(("content", "has"), GENERATIONS.items())
def test_bf16_units_are_read_from_the_processors_flags(
    content: str, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cpuinfo(monkeypatch, f"processor\t: 0\nmodel name\t: Some CPU\n{content}\nbogomips : 1\n")
    assert devices.has_bf16_units() is has
    assert devices.choose("cpu", "auto", "auto", "batch").precision == ("bf16" if has else "fp32")


def test_without_flags_to_read_there_are_no_units(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert not devices.has_bf16_units()
    assert devices.name(torch.device("cpu"))


def test_a_processor_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _cpuinfo(monkeypatch, "model name\t: Some CPU @ 3 GHz: fast\nmodel name\t: Other\n")
    assert devices.name(torch.device("cpu")) == "Some CPU @ 3 GHz: fast"


@pytest.mark.parametrize(
    ("layout", "norm", "chosen"),
    [
        ("auto", "batch", "channels_last"),
        ("auto", "none", "channels_last"),
        ("auto", "group", "contiguous"),
        ("auto", "layer", "contiguous"),
        ("auto", "instance", "contiguous"),
        ("contiguous", "batch", "contiguous"),
        ("channels_last", "group", "channels_last"),
    ],
)
def test_the_layout_follows_the_norm_unless_it_is_set(layout: Layout, norm: str, chosen: str) -> None:
    found = devices.choose("cpu", "fp32", layout, norm)
    assert found.layout == chosen
    placed = found.place(torch.zeros(2, 3, 4, 4))
    assert placed.is_contiguous(memory_format=found.memory_format)
    assert found.place(torch.zeros(2, 3)).shape == (2, 3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_precision_that_is_set_is_used(precision: Precision) -> None:
    found = devices.choose("cpu", precision, "auto", "batch")
    assert (found.precision, found.reasons["precision"]) == (precision, "set by the recipe")
    with found.autocast():
        product = torch.ones(4, 4) @ torch.ones(4, 4)
    assert product.dtype == devices.DTYPES[precision]


def test_every_choice_has_its_reason() -> None:
    assert set(devices.choose("cpu", "auto", "auto", "group").reasons) == {"precision", "layout", "compile"}


def test_auto_is_the_processor_where_nothing_else_is() -> None:
    assert devices.choose("auto", "fp32", "auto", "batch").device == torch.device("cpu")


@pytest.mark.parametrize(
    "wanted", ["gpu", "", "cpu:1", "cpu:x", "cuda", "cuda:0", "cuda:-1", "mps", "meta", "xpu", "💾"]
)
def test_a_device_that_is_not_there_is_a_usage_error(wanted: str) -> None:
    with pytest.raises(UsageError) as caught:
        devices.choose(wanted, "fp32", "auto", "batch")
    assert caught.value.message.startswith(f"--device {wanted}: ")


def test_half_precision_needs_a_gpu() -> None:
    with pytest.raises(UsageError, match="fp16 needs a GPU"):
        devices.choose("cpu", "fp16", "auto", "batch")
