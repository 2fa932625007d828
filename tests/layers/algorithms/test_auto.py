"""`auto` times every candidate once per shape, goes by what it found, and remembers it in the cache folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlcat.layers.algorithms import algorithm, auto


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache folder, and no choice in memory before or after."""
    monkeypatch.setenv("DLCAT_CACHE", str(tmp_path))
    auto.forget()
    yield
    auto.forget()


def _module(kernel: int = 3) -> Any:
    torch.manual_seed(0)
    return algorithm["auto"](nn.Conv2d(4, 6, kernel, padding=kernel // 2))


def _maps(examples: int = 2, size: int = 6) -> Tensor:
    return torch.randn(examples, 4, size, size, generator=torch.Generator().manual_seed(1))


def _kept(folder: Path) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((folder / auto.FILE).read_text(encoding="utf-8"))
    return kept


def test_every_candidate_is_timed_and_the_fastest_is_kept(tmp_path: Path) -> None:
    module, inputs = _module(), _maps()
    torch.testing.assert_close(module(inputs), nn.Conv2d.forward(module, inputs), atol=1e-4, rtol=1e-4)
    ((key, timing),) = auto.choices().items()
    assert set(timing.milliseconds) == set(algorithm) - {"auto"}
    assert timing.milliseconds[timing.algorithm] == min(timing.milliseconds.values())
    assert _kept(tmp_path) == {key: {"algorithm": timing.algorithm, "milliseconds": timing.milliseconds}}
    assert f"torch {torch.__version__}" in key
    assert f"{torch.get_num_threads()} threads" in key


def test_what_cannot_compute_the_layer_is_no_candidate() -> None:
    _module(kernel=5)(_maps())
    (timing,) = auto.choices().values()
    assert set(timing.milliseconds) == set(algorithm) - {"auto", "winograd"}


@pytest.mark.parametrize("name", [name for name in algorithm if name != "auto"])
def test_what_was_kept_is_gone_by_and_not_timed_again(name: str, tmp_path: Path) -> None:
    module, inputs = _module(), _maps()
    module(inputs)
    (key,) = auto.choices()
    (tmp_path / auto.FILE).write_text(json.dumps({key: {"algorithm": name, "milliseconds": {name: 0.5}}}))
    auto.forget()
    again = _module()
    assert torch.equal(again(inputs), algorithm[name](_plain(again))(inputs))
    assert auto.choices()[key] == auto.Timing(name, {name: 0.5})


def _plain(module: Any) -> nn.Conv2d:
    made = nn.Conv2d(4, 6, 3, padding=1)
    made.weight, made.bias = module.weight, module.bias
    return made


def test_shapes_types_and_orders_are_timed_apart_and_the_last_batch_is_not() -> None:
    module = _module()
    module(_maps(8))
    module(_maps(5))  # up to the next power of two it is the same
    assert len(auto.choices()) == 1
    module(_maps(8, size=5))
    module(_maps(8).contiguous(memory_format=torch.channels_last))
    module.bfloat16()(_maps(8).bfloat16())
    assert len(auto.choices()) == 4


@pytest.mark.parametrize(
    "content", ["", "[1]", "{", '{"KEY": 3}', '{"KEY": {"algorithm": "gone", "milliseconds": {}}}', '{"KEY": {}}']
)
def test_a_file_that_says_nothing_of_use_is_written_anew(content: str, tmp_path: Path) -> None:
    module, inputs = _module(), _maps()
    module(inputs)
    (key,) = auto.choices()
    (tmp_path / auto.FILE).write_text(content.replace("KEY", json.dumps(key)[1:-1]))
    auto.forget()
    module(inputs)
    assert _kept(tmp_path)[key]["algorithm"] == auto.choices()[key].algorithm


def test_where_nothing_can_be_written_the_choice_holds_for_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DLCAT_CACHE", str(tmp_path / "file" / "below"))
    module, inputs = _module(), _maps()
    assert torch.equal(module(inputs), module(inputs))
    assert len(auto.choices()) == 1


def test_timing_leaves_gradients_weights_and_chance_alone() -> None:
    module, inputs = _module(), _maps()
    before, state = module.weight.detach().clone(), torch.get_rng_state()
    module(inputs)
    assert module.weight.grad is None
    assert torch.equal(module.weight, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_predictions_in_inference_mode_can_be_the_first() -> None:
    module = _module()
    with torch.inference_mode():
        outputs = module(_maps() + 0)
    assert outputs.shape == (2, 6, 6, 6)
    assert len(auto.choices()) == 1
