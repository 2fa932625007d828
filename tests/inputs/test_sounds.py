"""Forms of sounds: the shape that is told is the one that is computed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dlcat.catalog.dataset import Sample
from dlcat.inputs import Sounds, inputs
from dlcat.registry import Choice

KINDS = [name for name in inputs if inputs.traits(name).takes == "sounds"]


def form(name: str, sample: Sample, **options: Any) -> Sounds:
    made: Sounds = inputs.bind(Choice(name=name, options=options))(sample)
    return made


@pytest.mark.parametrize("seconds", [0.2, 0.333, 1.0])
@pytest.mark.parametrize("rate", [8000, 11025, 22050])
@pytest.mark.parametrize("name", KINDS)
def test_the_shape_is_known_before_anything_is_heard(name: str, rate: int, seconds: float) -> None:
    options: dict[str, Any] = {} if name == "waveform" else {"bands": 20}
    made = form(name, Sample(dtype="int16", rate_hertz=rate), seconds=seconds, **options)
    heard = torch.zeros(2, 1, made.samples)
    if made.features is not None:
        heard = made.features()(heard)
    assert tuple(heard.shape[1:]) == made.shape
    assert made.rate_hertz == rate


@pytest.mark.parametrize("name", KINDS)
def test_where_upstreams_rate_varies_the_recipe_must_name_one(name: str) -> None:
    with pytest.raises(ValueError, match="the rate of its sounds varies"):
        form(name, Sample(dtype="int16"), seconds=1.0)
    assert form(name, Sample(dtype="int16"), seconds=1.0, rate_hertz=16000).samples == 16000
