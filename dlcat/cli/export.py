"""The command for what leaves a run: its network, its card, its curves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcat import waiting
from dlcat.cli import out
from dlcat.cli.app import TRAINING, Cache, Catalogs, Json, app
from dlcat.cli.training import RunName

if TYPE_CHECKING:
    from dlcat.run import Run
    from dlcat.workspace import Workspace

TEXTS = {"card": "README.md", "csv": "metrics.csv"}
"""Formats that are text, and their names in the run's folder."""
NETWORKS = ("safetensors", "onnx", "torch-export")


@app.command(rich_help_panel=TRAINING)
def export(
    run: RunName,
    format_: Annotated[
        str,
        typer.Option("--format", help="The network: safetensors, onnx, torch-export. A model card: card. Curves: csv."),
    ],
    best: Annotated[bool, typer.Option("--best", help="The weights of the best epoch, not of the last.")] = False,
    out_: Annotated[
        Path | None, typer.Option("--out", help="The file, or a folder for it; the run's folder by default.")
    ] = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Write what others can use of a run; a network's file is read back and held against the run's."""
    from dlcat import run as runs
    from dlcat.errors import UsageError, nearest

    known = (*NETWORKS, *TEXTS)
    if format_ not in known:
        raise UsageError(f"--format {format_}: no such format", hint=nearest(format_, known))
    if best and format_ in TEXTS:
        raise UsageError(f"--best: a {format_} has no weights", hint=f"it is for {', '.join(NETWORKS)}")
    place = out.workspace(catalog, cache)
    found = runs.find(place.locations.runs, run)
    if format_ in TEXTS:
        told, text = _text(place, found, format_, out_)
    else:
        told, text = _network(place, found, format_, out_, best)
    if json:
        out.document({"run": str(found.path), **told})
    else:
        out.text(text)


def _text(place: "Workspace", run: "Run", format_: str, target: Path | None) -> tuple[dict[str, Any], str]:
    from dlcat.run import writing
    from dlcat.view import card, results

    if format_ == "card":
        content = card.render(run, place.catalog[run.result()["dataset"]["name"]])
    else:
        content = results.curves(run)
    path = _path(run, target, TEXTS[format_])
    with writing(path) as file:
        file.write_text(content, encoding="utf-8", newline="")
    return {"file": str(path), "format": format_, "bytes": len(content.encode())}, str(path)


def _network(
    place: "Workspace", run: "Run", format_: str, target: Path | None, best: bool
) -> tuple[dict[str, Any], str]:
    waiting.choose()
    from dlcat.train.export import FORMATS
    from dlcat.view import results

    told = place.export(run, format_, _path(run, target, FORMATS[format_].file), best=best).plain()
    return told, results.exported(told, out.console())


def _path(run: "Run", target: Path | None, name: str) -> Path:
    if target is None:
        return run.path / name
    return target / name if target.is_dir() else target
