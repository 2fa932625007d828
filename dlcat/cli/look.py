"""Looking at data: sample, stats."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcat.cli import out
from dlcat.cli.app import DATA, Cache, Catalogs, Json, Mirrors, app

if TYPE_CHECKING:
    from dlcat.catalog import Dataset

Name = Annotated[str, typer.Argument(help="The dataset.")]
Options = Annotated[
    list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="An option of its reader: target=speaker.")
]


@app.command(rich_help_panel=DATA)
def sample(
    name: Name,
    split: Annotated[str | None, typer.Option(help="Of which split; the first by default.")] = None,
    number: Annotated[int, typer.Option("-n", "--number", min=1, max=1000, help="How many.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Which ones.")] = 0,
    option: Options = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write them as a page, with sounds to hear.")] = None,
    mirror: Mirrors = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Show some examples of a dataset, fetched first where it is missing."""
    from dlcat import __version__
    from dlcat.run import writing
    from dlcat.view import samples

    place = out.workspace(catalog, cache)
    dataset = _with_options(place.catalog[name], option)
    wanted = split or next(iter(dataset.splits))
    out.draw(place.install(place.catalog[name], mirrors=tuple(mirror or ())))
    shown = place.sample(dataset, wanted, number, seed)
    if html:
        with writing(html) as file:
            content = samples.page(name, wanted, shown, title=dataset.title, version=__version__)
            file.write_text(content, encoding="utf-8")
        out.text(str(html))
    elif json:
        out.document({"dataset": name, "split": wanted, "examples": [samples.plain(each) for each in shown]})
    else:
        out.text(samples.examples(name, wanted, shown, out.console()))


@app.command(rich_help_panel=DATA)
def stats(
    name: Name,
    split: Annotated[list[str] | None, typer.Option(help="Only these splits. May be repeated.")] = None,
    option: Options = None,
    mirror: Mirrors = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Count what is in a dataset, against what the catalog says: classes, sizes, repetitions, what cannot be read."""
    from dataclasses import asdict

    from dlcat.readers.census import Absent, Counted, Overlap
    from dlcat.view import census

    place = out.workspace(catalog, cache)
    dataset = _with_options(place.catalog[name], option)
    out.draw(place.install(place.catalog[name], mirrors=tuple(mirror or ())))
    found: list[Any] = []
    for each in place.census(dataset, tuple(split or ())):
        found.append(each)
        if isinstance(each, Counted):
            print(f"{name}: {each.split} looked through", file=sys.stderr)
    if json:
        kinds: dict[str, Any] = {"splits": Counted, "overlaps": Overlap, "absent": Absent}
        told = {key: [asdict(each) for each in found if isinstance(each, kind)] for key, kind in kinds.items()}
        out.document({"dataset": name, **told})
    else:
        out.text(census.census(dataset.title, found, out.console()))


def _with_options(dataset: "Dataset", options: list[str] | None) -> "Dataset":
    """The entry, its reader with options as they are given on a command line.

    Raises:
        UsageError: one is not KEY=VALUE.
        InvalidError: its reader has no such option.
    """
    from dataclasses import replace

    import yaml

    from dlcat.errors import UsageError
    from dlcat.readers import reader
    from dlcat.registry import Choice

    if not options or dataset.reader is None:
        return dataset
    given: dict[str, Any] = {}
    for text in options:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--option {text}: expected KEY=VALUE")
        given[key] = yaml.safe_load(value)
    chosen = Choice(name=dataset.reader.name, options=dataset.reader.options | given)
    reader.bind(chosen)
    return replace(dataset, reader=chosen)
