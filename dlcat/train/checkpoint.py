"""Checkpoints: all that a training needs to go on as if it had never stopped, whole on the disk or not there.

checkpoints/00000120.safetensors  tensors, and in its header, as JSON, what is around them
checkpoints/00000120.json         its step and its sha256; written after it, so that its presence means done

Nothing is pickled. The last two are kept: where the newer one is damaged, the older one serves.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dlcat.disk import disk_errors
from dlcat.errors import StoppedError
from dlcat.run import CHECKPOINT_SECONDS, writing
from dlcat.train.distributed import ALONE, World

if TYPE_CHECKING:
    from pathlib import Path

KEPT = 2


@dataclass(slots=True)
class Checkpoints:
    """Those of one run."""

    folder: Path
    every_seconds: float = CHECKPOINT_SECONDS
    stop: Event = field(default_factory=Event)
    """Set by who wants the training to end after the step that is under way."""
    world: World = ALONE
    """Whose first process writes; all of them stop where one is asked to."""
    damaged: list[str] = field(default_factory=list)
    """What `newest` had to leave out, and why."""
    _last_seconds: float = field(default_factory=monotonic)
    _is_last: bool = False
    """As all processes heard it: one that is asked to stop only now does one more step with the others."""

    def due(self) -> bool:
        """Whether the last one is long ago, or this is the last step; all processes ask together, and hear the same."""
        is_late = monotonic() - self._last_seconds >= self.every_seconds
        is_wanted, self._is_last = self.world.any(is_late, self.stop.is_set())
        return is_wanted or self._is_last

    @property
    def steps(self) -> list[int]:
        """Those of which there is one, latest first."""
        return [int(path.stem) for path in self._described()]

    def keep(self, step: int, state: dict[str, Any]) -> None:
        """Write a state down, where this process is the first, and remove those before the last two.

        Args:
            step: of the whole run; later states have higher ones.
            state: see `pack`.

        Raises:
            DiskError: it cannot be written; those that were there still are.
            StoppedError: it is written, and `due` heard that `stop` is set.
        """
        if self.world.is_first:
            self._write(step, pack(state))
        self._last_seconds = monotonic()
        if self._is_last:
            self.world.wait()  # where one process ends, whatever has started them ends the others
            raise StoppedError(f"stopped after step {step}", hint="the same command with --resume goes on from there")

    def _write(self, step: int, content: bytes) -> None:
        with disk_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
        with writing(self.folder / f"{step:08d}.safetensors") as path:
            path.write_bytes(content)
        about = {"step": step, "sha256": hashlib.sha256(content).hexdigest()}
        with writing(self.folder / f"{step:08d}.json") as path:
            path.write_text(json.dumps(about) + "\n", encoding="utf-8")
        for old in self._described()[KEPT:]:
            _remove(old)

    def newest(self) -> dict[str, Any] | None:
        """The last state that is whole; None where there is none."""
        for path in self._described():
            try:
                return _read(path)
            except (OSError, ValueError, KeyError) as error:
                self.damaged.append(f"{path.with_suffix('.safetensors')}: {error}")
        return None

    def clear(self) -> None:
        """Remove all: the run is finished."""
        for path in self._described():
            _remove(path)
        with suppress(OSError):
            for path in self.folder.iterdir():  # what a kill left half written
                path.unlink()
            self.folder.rmdir()

    def _described(self) -> list[Path]:
        """The descriptions, newest first."""
        return sorted(self.folder.glob("[0-9]*.json"), reverse=True) if self.folder.is_dir() else []


def pack(state: dict[str, Any]) -> bytes:
    """A safetensors file of tensors in dicts, lists and tuples, with None, numbers and words among them.

    Raises:
        TypeError: there is anything else.
    """
    tensors: dict[str, torch.Tensor] = {}
    around = json.dumps(_taken_apart(state, tensors))
    return save(tensors, metadata={"state": around})


def unpack(path: Path) -> dict[str, Any]:
    """What `pack` was given, tensors on the CPU and as they lay in memory.

    Raises:
        ValueError, KeyError: the file is not of that kind.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            around = json.loads((file.metadata() or {})["state"])
            found: dict[str, Any] = _put_together(around, file)
    except SafetensorError as error:
        raise ValueError(f"not a checkpoint: {error}") from error
    return found


def _taken_apart(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The value as JSON knows it; its tensors go into the dict, and their names stand in their place."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name, "stride": list(value.stride() if _is_dense(value) else tensors[name].stride())}
    if isinstance(value, dict):
        return {"dict": [[key, _taken_apart(each, tensors)] for key, each in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_taken_apart(each, tensors) for each in value]}
    if isinstance(value, list):
        return [_taken_apart(each, tensors) for each in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__}")


def _is_dense(tensor: torch.Tensor) -> bool:
    """Whether its numbers fill a stretch of memory, in whatever order."""
    reach = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return reach == tensor.numel()


def _put_together(value: Any, file: Any) -> Any:
    match value:
        case {"tensor": name, "stride": stride}:
            flat = file.get_tensor(name)
            # Channels may lie innermost: the sums of a network must run over them in the same order again.
            return torch.empty_strided(flat.shape, stride, dtype=flat.dtype).copy_(flat)
        case {"dict": pairs}:
            return {key: _put_together(each, file) for key, each in pairs}
        case {"tuple": items}:
            return tuple(_put_together(each, file) for each in items)
        case list():
            return [_put_together(each, file) for each in value]
    return value


def _read(description: Path) -> dict[str, Any]:
    about = json.loads(description.read_text(encoding="utf-8"))
    path = description.with_suffix(".safetensors")
    with open(path, "rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != about["sha256"]:
        raise ValueError(f"damaged: expected sha256 {about['sha256'][:12]}…, found {found[:12]}…")
    return unpack(path)


def _remove(description: Path) -> None:
    """The description first: without it the rest is nothing."""
    for path in (description, description.with_suffix(".safetensors")):
        path.unlink(missing_ok=True)
