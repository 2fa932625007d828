"""The app that every group of commands joins, the panels of --help, and the options that several commands share.

The modules of commands do without `from __future__ import annotations`: it would turn the annotations of all commands
into text, which typer reads again four times whatever the command, a tenth of the time that `dlcat list` takes.
"""

import importlib
from pathlib import Path
from typing import Annotated

import typer

CATALOG, DATA, PARTS, TRAINING = "Catalog", "Data", "Parts", "Training"

app = typer.Typer(
    name="dlcat",
    help="A catalog of classic datasets, a downloader that can be trusted, and a lab bench for convolutional networks.",
    epilog="Exit codes: 0 done, 2 usage, 3 catalog or recipe invalid, 4 no source reached, 5 verification failed, "
    "6 access needs a person, 7 not enough disk, 8 training diverged, 9 a process of a training was lost, "
    "130 interrupted; 1 is a fault of dlcat.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]
Cache = Annotated[Path | None, typer.Option("--cache", help="Cache folder, instead of the workspace's or the user's.")]
Catalogs = Annotated[
    list[Path] | None, typer.Option("--catalog", help="A catalog file to add; its entries win. May be repeated.")
]
Mirrors = Annotated[
    list[str] | None, typer.Option("--mirror", help="Base URL tried first: URL/<dataset>/<file>. May be repeated.")
]
Parts = Annotated[
    list[str] | None,
    typer.Option("--part", help="A part of the dataset, or 'all'. May be repeated. `show` lists them."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for runs; ./runs by default.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set optimizer.lr=0.05.")
]
Language = Annotated[str | None, typer.Option("--lang", help="en or zh; the locale's by default.")]


@app.callback(invoke_without_command=True)
def dlcat(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Run before every command."""
    if version:
        from dlcat import __version__

        typer.echo(f"dlcat {__version__}")


for _group in (
    "catalog",
    "data",
    "look",
    "care",
    "doctor",
    "parts",
    "cost",
    "bench",
    "explain",
    "training",
    "export",
    "rates",
    "study",
):
    importlib.import_module(f"dlcat.cli.{_group}")
