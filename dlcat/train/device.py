"""Where and in which numbers a network runs: device, precision, memory layout, each with the reason for the choice."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from dlcat import machine
from dlcat.errors import InvalidError, UsageError
from dlcat.layers.norms import norm

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlcat.recipe import Layout, Precision

SET = "set by the recipe"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Device:
    """Where a network runs, and how; the reasons go into the report."""

    device: torch.device
    precision: str
    layout: str
    reasons: dict[str, str]
    compiled: bool = False
    """Whether it is trained through torch's compiler; it is evaluated without, whose batches are of many sizes."""

    @property
    def found(self) -> dict[str, str | bool]:
        """What stands in a recipe for it, where that says `auto`."""
        return {"precision": self.precision, "layout": self.layout, "compile": self.compiled}

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format

    def autocast(self) -> AbstractContextManager[object]:
        """The context a forward pass runs in."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, DTYPES[self.precision])

    def place_model(self, model: torch.nn.Module) -> torch.nn.Module:
        """The network on the device, its convolution weights in the chosen layout."""
        # The stubs of Module.to know no memory_format.
        return model.to(self.device).to(memory_format=self.memory_format)  # type: ignore[call-overload, no-any-return]

    def compile(self, model: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        """What computes the network in training: itself, or what the compiler makes of it at its first batch of a shape.

        Raises, at that batch:
            InvalidError: the compiler refuses, or there is none.
        """
        if not self.compiled:
            return model
        made: Callable[[torch.Tensor], torch.Tensor] = torch.compile(
            model,
            dynamic=False,
            options={"fallback_random": True},  # dropout draws as it does uncompiled
        )
        refusals = torch._dynamo.exc.TorchDynamoException

        def compute(inputs: torch.Tensor) -> torch.Tensor:
            try:
                return made(inputs)
            except refusals as error:
                reason = str(error).strip().partition("\n")[0]
                raise InvalidError(
                    f"train.compile: torch's compiler cannot compile this network here: {reason}",
                    hint="train.compile: false does without it",
                ) from error

        return compute

    def place(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, C, H, W) on the device in the chosen layout; other tensors only move."""
        if images.dim() == 4:
            return images.to(self.device, memory_format=self.memory_format)
        return images.to(self.device)


def choose(
    device: str,
    precision: Precision,
    layout: Layout,
    norm_name: str,
    *,
    searches: bool = False,
    compiled: bool | Literal["auto"] = False,
) -> Device:
    """What `auto` means on this machine by rule, before anything is measured (see `calibration`).

    Args:
        device: auto, cpu, cuda, cuda:1, mps.
        precision: as in the recipe.
        layout: as in the recipe.
        norm_name: the norm, which decides the faster layout.
        searches: whether losses or outputs are compared along a line, which takes more digits than bf16 has.
        compiled: as in the recipe; the rule does without.

    Raises:
        UsageError: the device is not there, or cannot compute in that precision.
    """
    found = _device(device)
    chosen, why = _precision(found, precision, searches)
    order, why_order = _layout(layout, norm_name)
    why_compiled = "not measured" if compiled == "auto" else SET
    reasons = {"precision": why, "layout": why_order, "compile": why_compiled}
    return Device(found, chosen, order, reasons, compiled is True)


def alternatives(chosen: Device, precision: Precision, layout: Layout, dimensions: int) -> list[Device]:
    """What else `auto` may come to mean when it is measured, beside the rule's choice.

    Args:
        chosen: by rule.
        precision: as in the recipe.
        layout: as in the recipe.
        dimensions: of one input; only images (C, H, W) have an order of memory to choose.
    """
    precisions = {chosen.precision} | ({"fp32"} if precision == "auto" else set())
    layouts = {chosen.layout} | ({"contiguous", "channels_last"} if layout == "auto" and dimensions == 3 else set())
    return [
        replace(chosen, precision=numbers, layout=order)
        for numbers in sorted(precisions)
        for order in sorted(layouts)
        if (numbers, order) != (chosen.precision, chosen.layout)
    ]


def has_bf16_units() -> bool:
    """Whether the processor multiplies bf16 matrices itself: AMX, AVX512-BF16 or Arm's BF16.

    Where not, bf16 is emulated, and twelve times slower than fp32 (ResNet-20 on a processor with AVX2 only).
    """
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return False
    return bool(flags & {"amx_bf16", "avx512_bf16", "bf16"})


def name(device: torch.device) -> str:
    """The device as people know it: `AMD EPYC`, `NVIDIA H200`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return machine.processor()


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise UsageError(f"--device {wanted}: no such device", hint="auto, cpu, cuda, cuda:1 or mps") from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False) or (device.index or 0) >= max(1, torch.cuda.device_count()):
        raise UsageError(
            f"--device {wanted}: torch {torch.__version__} sees no such device here", hint="use cpu or auto"
        )
    return device


def _precision(device: torch.device, wanted: Precision, searches: bool) -> tuple[str, str]:
    if wanted == "fp16" and device.type == "cpu":
        raise UsageError("train.precision: fp16 needs a GPU", hint="use bf16, fp32 or auto")
    if wanted != "auto":
        return wanted, SET
    if searches:
        return "fp32", "losses or outputs are compared along a line"
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16", "the GPU has bf16 units"
        return "fp32", "the GPU has no bf16 units"
    if device.type == "cpu" and has_bf16_units():
        return "bf16", "the processor has bf16 matrix units"
    return "fp32", "no bf16 units here: bf16 would be emulated"


def _layout(wanted: Layout, norm_name: str) -> tuple[str, str]:
    if wanted != "auto":
        return wanted, SET
    if norm.traits(norm_name).averages_positions:
        return "contiguous", f"{norm_name} norm is faster on contiguous images"
    return "channels_last", "convolutions and batch norm are faster with channels last"
