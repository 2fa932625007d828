"""Architectures have the published numbers of weights: theirs, or another implementation's, to the last one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from dlcat.layers.parts import choose
from dlcat.models import model


def _weights(name: str, *, imagenet: bool, norm: str = "batch", **options: Any) -> int:
    shape: tuple[int, ...]
    shape, outputs = ((3, 224, 224), 1000) if imagenet else ((3, 32, 32), 10)
    if model.traits(name).takes == "tokens":
        shape = (70, 1014)
    parts = choose(norm=norm, dimensions=len(shape) - 1)
    with torch.device("meta"):
        network = model[name](shape, outputs, parts, **options)
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "options", "weights"),
    [
        # torchvision's documentation, `num_params` of each model. Its VGGs with batch norm keep the biases before it,
        # which the norm takes off again; ours leave them out: 2752, 2944, 4224 and 5504 of them.
        ("alexnet", {"norm": "none"}, 61_100_840),
        ("alexnet", {"norm": "local_response"}, 61_100_840),  # the paper's norm, which has no weights
        ("vgg", {"depth": 11, "norm": "none"}, 132_863_336),
        ("vgg", {"depth": 13, "norm": "none"}, 133_047_848),
        ("vgg", {"depth": 16, "norm": "none"}, 138_357_544),
        ("vgg", {"depth": 19, "norm": "none"}, 143_667_240),
        ("vgg", {"depth": 11}, 132_868_840 - 2752),
        ("vgg", {"depth": 13}, 133_053_736 - 2944),
        ("vgg", {"depth": 16}, 138_365_992 - 4224),
        ("vgg", {"depth": 19}, 143_678_248 - 5504),
        ("resnet", {"depth": 50, "inner_width": 2}, 68_883_240),
        ("resnet", {"depth": 101, "inner_width": 2}, 126_886_696),
        ("resnext", {"depth": 50}, 25_028_904),
        ("resnext", {"depth": 101, "group_width": 8}, 88_791_336),
        ("resnext", {"depth": 101, "groups": 64}, 83_455_272),
        ("mobilenet", {"version": 2}, 3_504_872),
        ("densenet", {"depth": 121}, 7_978_856),
        ("densenet", {"depth": 161}, 28_681_000),
        ("densenet", {"depth": 169}, 14_149_480),
        ("densenet", {"depth": 201}, 20_013_928),
        # timm's results tables: seresnet50, seresnet101, seresnext50_32x4d, resnetv2_50.
        ("resnet", {"depth": 50, "squeeze": 16}, 28_088_024),
        ("resnet", {"depth": 101, "squeeze": 16}, 49_326_872),
        ("resnext", {"depth": 50, "squeeze": 16}, 27_559_896),
        ("preact_resnet", {"depth": 50}, 25_549_352),
        # Summed by hand over the rows of arXiv:1704.04861, table 1, which gives 4.2 million.
        ("mobilenet", {"version": 1}, 4_231_976),
        # The layers of the Caffe model zoo's nin_imagenet, whose file of 29 MB holds 4 bytes for each.
        ("network_in_network", {"norm": "none"}, 7_595_176),
    ],
    ids=str,
)
def test_the_imagenet_form_has_the_published_number_of_weights(
    name: str, options: dict[str, Any], weights: int
) -> None:
    assert _weights(name, imagenet=True, **options) == weights


@pytest.mark.parametrize(
    ("name", "options", "weights"),
    [
        # Summed by hand over the layers; the papers' tables give 1.7, 1.7, 36.5, 1.0, 0.8 and 34.4 million
        # (arXiv:1603.05027, 1605.07146, 1608.06993, 1611.05431), Caffe's CIFAR network in network 0.97.
        ("preact_resnet", {"depth": 110}, 1_730_522),
        ("preact_resnet", {"depth": 164}, 1_703_258),
        ("preact_resnet", {"depth": 28, "width": 10}, 36_479_194),
        ("densenet", {"depth": 40, "bottleneck": False, "compression": 1.0}, 1_019_722),
        ("densenet", {"depth": 100}, 769_162),
        ("resnext", {"depth": 29, "groups": 8, "group_width": 64}, 34_426_698),
        ("network_in_network", {"norm": "none"}, 966_986),
    ],
    ids=str,
)
def test_the_cifar_form_has_the_number_of_weights_of_its_paper(
    name: str, options: dict[str, Any], weights: int
) -> None:
    assert _weights(name, imagenet=False, **options) == weights


@pytest.mark.parametrize(
    ("name", "imagenet", "options", "millions"),
    [
        # arXiv:1605.07146, table 4.
        ("preact_resnet", False, {"depth": 40, "width": 1}, 0.6),
        ("preact_resnet", False, {"depth": 40, "width": 2}, 2.2),
        ("preact_resnet", False, {"depth": 40, "width": 4}, 8.9),
        ("preact_resnet", False, {"depth": 40, "width": 8}, 35.7),
        ("preact_resnet", False, {"depth": 28, "width": 10}, 36.5),
        ("preact_resnet", False, {"depth": 28, "width": 12}, 52.5),
        ("preact_resnet", False, {"depth": 22, "width": 8}, 17.2),
        ("preact_resnet", False, {"depth": 22, "width": 10}, 26.8),
        ("preact_resnet", False, {"depth": 16, "width": 8}, 11.0),
        ("preact_resnet", False, {"depth": 16, "width": 10}, 17.1),
        # arXiv:1608.06993, table 2.
        ("densenet", False, {"depth": 100, "bottleneck": False, "compression": 1.0}, 7.0),
        ("densenet", False, {"depth": 100, "bottleneck": False, "compression": 1.0, "growth": 24}, 27.2),
        ("densenet", False, {"depth": 250, "growth": 24}, 15.3),
        ("densenet", False, {"depth": 190, "growth": 40}, 25.6),
        # arXiv:1611.05431, table 7.
        ("resnext", False, {"groups": 16, "group_width": 64}, 68.1),
        # arXiv:1704.04861, table 6: widths of 0.75, 0.5 and 0.25.
        ("mobilenet", True, {"version": 1, "width": 0.75}, 2.6),
        ("mobilenet", True, {"version": 1, "width": 0.5}, 1.3),
        ("mobilenet", True, {"version": 1, "width": 0.25}, 0.5),
        # arXiv:1709.01507, table 3: SE-MobileNet.
        ("mobilenet", True, {"version": 1, "squeeze": 16}, 4.7),
    ],
    ids=str,
)
def test_variants_have_as_many_million_weights_as_their_papers_say(
    name: str, imagenet: bool, options: dict[str, Any], millions: float
) -> None:
    assert _weights(name, imagenet=imagenet, **options) / 1e6 == pytest.approx(millions, abs=0.1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("preact_resnet", {"depth": 110}),
        ("preact_resnet", {"depth": 164}),
        ("preact_resnet", {"depth": 50}),
        ("resnext", {"depth": 29}),
        ("resnext", {"depth": 101}),
        ("vgg", {"depth": 11, "head": "dense"}),
        ("vgg", {"depth": 19, "head": "dense"}),
        ("densenet", {"depth": 40}),
        ("densenet", {"depth": 40, "bottleneck": False}),
        ("densenet", {"depth": 121}),
        ("densenet", {"depth": 201}),
    ],
    ids=str,
)
def test_the_depth_counts_the_layers_with_weights(name: str, options: dict[str, Any]) -> None:
    parts = choose(norm="none")
    with torch.device("meta"):
        network = model[name]((3, 32, 32), 10, parts, **options)
    layers = [
        key
        for key, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear) and "shortcut" not in key
    ]
    assert len(layers) == options["depth"]


@pytest.mark.parametrize(
    ("name", "depth", "reason"),
    [
        ("vgg", 12, "no VGG is 12 deep: expected one of 11, 13, 16, 19"),
        ("preact_resnet", 17, r"is 17 deep: expected 6n \+ 2 \(20, 110\), 6n \+ 4 \(16, 28, 40\), or one of 18, 34"),
        ("preact_resnet", 47, "is 47 deep"),
        ("resnext", 18, r"no ResNeXt is 18 deep: expected 9n \+ 2 \(29\), or one of 50, 101, 152"),
        ("densenet", 41, r"with bottlenecks is 41 deep: expected 6n \+ 4 \(40, 100, 190, 250\), or one of 121"),
        ("densenet", 7, "with bottlenecks is 7 deep"),
    ],
)
def test_a_depth_that_does_not_exist_is_refused(name: str, depth: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        _weights(name, imagenet=False, depth=depth)


def test_without_bottlenecks_dense_networks_have_other_depths() -> None:
    plain = {"bottleneck": False, "compression": 1.0}
    assert _weights("densenet", imagenet=False, depth=7, growth=4, **plain) > 0
    with pytest.raises(ValueError, match=r"without bottlenecks is 39 deep: expected 3n \+ 4 \(40, 100\), or one of"):
        _weights("densenet", imagenet=False, depth=39, **plain)


def _documented() -> list[tuple[str, dict[str, Any], int]]:
    """Name, options and weights, of every number in the table of models in docs/parts.md."""
    lines = (Path(__file__).parents[2] / "docs" / "parts.md").read_text(encoding="utf-8").splitlines()
    section = lines[lines.index("## model") : lines.index("## task")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section if line.startswith("| `")]
    return [
        (name.strip("`"), yaml.safe_load(f"{{{options}}}"), int(weights.replace(",", "")))
        for name, _, cell, _ in rows
        for options, weights in re.findall(r"(?:`([^`]+)` )?([\d,]+)", cell)  # 272,474 (`shortcut: pad` 269,722)
    ]


@pytest.mark.parametrize(("name", "options", "weights"), _documented(), ids=str)
def test_the_documentation_has_the_weights_that_are_built(name: str, options: dict[str, Any], weights: int) -> None:
    assert _weights(name, imagenet=False, **options) == weights


def test_the_documentation_has_every_model() -> None:
    ours = {name for name in model if model[name].__module__.startswith("dlcat.")}
    assert {name for name, options, _ in _documented() if not options} == ours
