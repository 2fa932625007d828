"""The command that looks for a learning rate."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dlcat import __version__, waiting
from dlcat.cli import out
from dlcat.cli.app import TRAINING, Cache, Catalogs, Device, Json, Mirrors, Overrides, app


@app.command("lr", rich_help_panel=TRAINING)
def rates(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe by path or name.")],
    steps: Annotated[int, typer.Option(min=20, help="How many rates are tried, each for one step.")] = 200,
    lowest: Annotated[float, typer.Option("--from", help="The lowest rate.")] = 1e-6,
    highest: Annotated[float, typer.Option("--to", help="The highest rate.")] = 10.0,
    set_: Overrides = None,
    device: Device = "auto",
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with the figure there.")] = None,
    mirror: Mirrors = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Look for a learning rate: train a little while it grows, and see where the loss falls and where it bursts."""
    waiting.choose()
    from dataclasses import asdict

    from dlcat.errors import UsageError
    from dlcat.run import writing
    from dlcat.train.rates import found
    from dlcat.view import rates as view
    from dlcat.view.progress import counted

    if not 0 < lowest < highest:
        raise UsageError(f"--from {lowest:g} --to {highest:g}: expected two rates above 0, the lower one first")
    place = out.workspace(catalog, cache)
    checked = place.recipe(recipe, tuple(set_ or ()))
    place.trainable(checked)
    out.draw(place.provide(checked, mirrors=tuple(mirror or ())))
    tried = place.range_test(checked, device=device, steps=steps, lowest=lowest, highest=highest)
    probes = list(counted(tried, steps, "step", sys.stderr))
    told = {
        "recipe": checked.name,
        "optimizer": checked.optimizer.name,
        "rate": checked.optimizer.options.get("lr"),
        "steps": steps,
        "from": lowest,
        "to": highest,
        **asdict(found(probes, steps)),
        "probes": [asdict(probe) for probe in probes],
    }
    if html:
        with writing(html) as file:
            file.write_text(view.page(told, version=__version__), encoding="utf-8")
    if json:
        out.document(told)
    else:
        out.text(view.text(told, out.console()))
