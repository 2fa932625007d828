"""Bench commands: what convolutions, norms and optimizers cost on this machine."""

from collections.abc import Collection
from math import isfinite
from typing import Annotated, Any

import typer

from dlcat.cli import out
from dlcat.cli.app import PARTS, Device, Json, app

bench_group = typer.Typer(help="Measure parts on this machine: conv, norm, optimizer.", no_args_is_help=True)
app.add_typer(bench_group, name="bench", rich_help_panel=PARTS)

Shape = Annotated[str, typer.Option("--shape", help="Of the input: 128x64x32x32 (N, C, H, W), or NxCxT.")]
Precisions = Annotated[str, typer.Option("--precision", help="fp32, bf16, fp16; several with commas between.")]
Layouts = Annotated[str, typer.Option("--layout", help="contiguous, channels_last; several with commas between.")]
Members = Annotated[str | None, typer.Option("--members", help="Which, with commas between; all by default.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="MEMBER.OPTION=VALUE", help="Set an option: --set group.groups=8. May be repeated."),
]
Repeats = Annotated[int, typer.Option("--repeats", min=1, help="Turns of each that are counted.")]


@bench_group.command("conv")
def bench_conv(
    shape: Shape = "16x64x32x32",
    channels: Annotated[
        int | None, typer.Option("--channels", min=1, help="Of the output; the input's by default.")
    ] = None,
    kernel: Annotated[int, typer.Option("--kernel", min=1, help="Width of the window.")] = 3,
    stride: Annotated[int, typer.Option("--stride", min=1, help="Positions from window to window.")] = 1,
    members: Members = None,
    algorithms: Annotated[
        str | None, typer.Option("--algorithms", help="What computes them; all but auto by default.")
    ] = None,
    precision: Precisions = "fp32",
    layout: Layouts = "contiguous",
    set_: Settings = None,
    repeats: Repeats = 10,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure types of convolution and the algorithms that compute them, forward and backward."""
    from dlcat.bench import layers
    from dlcat.layers.algorithms import algorithm
    from dlcat.layers.convs import conv

    stage = _stage(shape, precision, layout, device)
    every = ",".join(name for name in algorithm if name != "auto")
    choices, ways = _chosen(set_, (conv, "--members", members), (algorithm, "--algorithms", algorithms or every))
    form = {"channels_out": channels or stage.shape[1], "kernel": kernel, "stride": stride}
    candidates = layers.convolutions(stage, choices, ways, **form)
    _measure(candidates, {"family": "conv", "shape": stage.shape, **form}, repeats, stage.device, json)


@bench_group.command("norm")
def bench_norm(
    shape: Shape = "128x64x32x32",
    members: Members = None,
    precision: Precisions = "fp32",
    layout: Layouts = "contiguous",
    set_: Settings = None,
    repeats: Repeats = 10,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure normalizations, forward and backward."""
    from dlcat.bench import layers
    from dlcat.layers.norms import norm

    stage = _stage(shape, precision, layout, device)
    (choices,) = _chosen(set_, (norm, "--members", members))
    about = {"family": "norm", "shape": stage.shape}
    _measure(layers.normalizations(stage, choices), about, repeats, stage.device, json)


@bench_group.command("optimizer")
def bench_optimizer(
    weights: Annotated[
        int, typer.Option("--weights", min=1, help="Of the network whose weights it moves, about.")
    ] = 1_000_000,
    members: Members = None,
    precision: Precisions = "fp32",
    set_: Settings = None,
    repeats: Repeats = 10,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure the steps of optimizers, and what they remember."""
    from dlcat.bench.optimizers import optimizers
    from dlcat.optim.optimizers import optimizer

    (choices,) = _chosen(set_, (optimizer, "--members", members))
    place = _device(device)
    candidates = optimizers(choices, weights, precisions=_precisions(precision), device=place)
    _measure(candidates, {"family": "optimizer", "weights": weights}, repeats, place, json)


def _measure(candidates: Any, about: dict[str, Any], repeats: int, device: Any, json: bool) -> None:
    """Measure, with progress on stderr, and print the table or the document."""
    from dataclasses import asdict

    import torch

    from dlcat.bench.records import Turn
    from dlcat.bench.turns import in_turns
    from dlcat.train.device import name
    from dlcat.view.bench import BenchProgress, bench

    rows = []
    with BenchProgress() as progress:
        for record in in_turns(candidates, repeats, device):
            if isinstance(record, Turn):
                progress.show(asdict(record))
            else:
                rows.append(record.plain())
    machine = {"device": name(device), "threads": torch.get_num_threads(), "torch": torch.__version__}
    facts = {**about, **machine, "repeats": repeats}
    if json:
        out.document({**facts, "rows": [_in_json(row) for row in rows]})
    else:
        out.text(bench(facts, rows, out.console()))


def _in_json(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no word for nan: null."""
    return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in row.items()}


def _stage(shape: str, precision: str, layout: str, device: str) -> Any:
    from dlcat.bench.layers import LAYOUTS, Stage

    return Stage(_shape(shape), _precisions(precision), _listed(layout, LAYOUTS, "--layout"), _device(device))


def _device(wanted: str) -> Any:
    from dlcat.train import device

    return device.choose(wanted, "fp32", "contiguous", "none").device


def _shape(text: str) -> tuple[int, ...]:
    from dlcat.errors import UsageError

    sizes = text.lower().replace("×", "x").split("x")
    if len(sizes) not in (3, 4) or not all(size.isdecimal() and int(size) for size in sizes):
        raise UsageError(
            f"--shape {text}: expected three or four whole numbers from 1 on with x between",
            hint="for example --shape 128x64x32x32 for images, --shape 16x64x8000 for sound or text",
        )
    return tuple(int(size) for size in sizes)


def _precisions(text: str) -> list[str]:
    from dlcat.bench.layers import DTYPES

    return _listed(text, DTYPES, "--precision")


def _chosen(settings: list[str] | None, *wanted: tuple[Any, str, str | None]) -> list[list[Any]]:
    """Of each family the members that an option names, or all of them, with what --set says about each."""
    from dlcat.errors import UsageError, nearest
    from dlcat.registry import Choice

    options = _options(settings)
    found = [
        [Choice(name=name, options=options.get(name, {})) for name in _listed(names, family, option)]
        for family, option, names in wanted
    ]
    names = [choice.name for choices in found for choice in choices]
    for name in options:
        if name not in names:
            raise UsageError(f"--set {name}: that is not measured here", hint=nearest(name, names))
    for (family, _, _), choices in zip(wanted, found, strict=True):
        for option, fault in (each for choice in choices for each in family.check(choice)[1]):
            if option != "name":  # that would be an option that is needed, and a bench gives it itself
                raise UsageError(f"--set: {fault}", hint=f"dlcat options {family.noun}")
    return found


def _options(settings: list[str] | None) -> dict[str, dict[str, Any]]:
    """member.option=value, as often as given, to {member: {option: value}}."""
    from dlcat import document
    from dlcat.errors import UsageError

    found: dict[str, dict[str, Any]] = {}
    for text in settings or ():
        key, equals, value = text.partition("=")
        member, dot, option = key.partition(".")
        if not (equals and dot and member and option):
            raise UsageError(f"--set {text}: expected MEMBER.OPTION=VALUE", hint="for example --set group.groups=8")
        found.setdefault(member, {})[option] = document.parse(f"value: {value}", f"--set {key}").data["value"]
    return found


def _listed(text: str | None, known: Collection[str], option: str) -> list[str]:
    """The words of an option, each of which is known; all that are, in their order, where it is not given."""
    from dlcat.errors import UsageError, nearest

    if text is None:
        return sorted(known)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in known:
            raise UsageError(f"{option} {text}: there is no {name!r}", hint=nearest(name, known))
    return list(dict.fromkeys(names))
