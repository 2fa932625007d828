"""Catalog commands: list, show, and catalog schema and check."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcat.cli import out
from dlcat.cli.app import CATALOG, Cache, Catalogs, Json, Language, app

if TYPE_CHECKING:
    from dlcat.catalog import Dataset
    from dlcat.fetch.terms import Agreement

group = typer.Typer(help="The catalog file itself: its schema, and a check of it.", no_args_is_help=True)
app.add_typer(group, name="catalog", rich_help_panel=CATALOG)


@app.command("list", rich_help_panel=CATALOG)
def list_(
    domain: Annotated[str | None, typer.Option(help="image, nlp or audio.")] = None,
    task: Annotated[str | None, typer.Option(help="Only with a task that contains this: classification.")] = None,
    access: Annotated[str | None, typer.Option(help="open, by-hand or gone.")] = None,
    license_: Annotated[
        str | None, typer.Option("--license", help="Only with a licence that contains this: CC-BY.")
    ] = None,
    max_size: Annotated[str | None, typer.Option(help="Largest download: 500MB, 2GB.")] = None,
    fetched: Annotated[bool, typer.Option("--fetched", help="Only what is in the cache.")] = False,
    search: Annotated[str | None, typer.Option(help="Words in name, title, summary, tasks or classes.")] = None,
    lang: Language = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """List the datasets of the catalog."""
    from dlcat.catalog.search import Facets, matching
    from dlcat.view import tables

    place = out.workspace(catalog, cache)
    facets = Facets(domain=domain, task=task, access=access, license=license_, max_size=max_size, search=search)
    rows = [(entry, place.store.is_installed(entry)) for entry in matching(place.catalog, facets)]
    rows = [row for row in rows if row[1] or not fetched]
    if json:
        out.document({"datasets": [_listed(entry, installed) for entry, installed in rows]})
    else:
        out.text(tables.datasets(rows, out.language(lang), out.console()))


@app.command(rich_help_panel=CATALOG)
def show(
    name: Annotated[str, typer.Argument(help="The dataset.")],
    cite: Annotated[bool, typer.Option("--cite", help="Print the citation (BibTeX) only.")] = False,
    lang: Language = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Show everything the catalog knows of a dataset."""
    from dlcat.fetch.plan import asked
    from dlcat.view import tables

    place = out.workspace(catalog, cache)
    dataset = place.catalog[name]
    if cite:
        out.document({"name": name, "citation": dataset.citation}) if json else out.text(dataset.citation)
    elif json:
        out.document(_shown(dataset, place.store.states(dataset), asked(dataset)))
    else:
        states = place.store.states(dataset)
        out.text(tables.dataset(dataset, states, out.language(lang), out.console(), asked(dataset)))


@group.command()
def schema(
    of: Annotated[str, typer.Argument(metavar="[catalog|recipe]", help="Which file's schema.")] = "catalog",
) -> None:
    """Print the JSON Schema of a catalog or recipe file, for editors that complete and check it."""
    from dlcat.errors import UsageError, nearest

    if of == "catalog":
        from dlcat.catalog import validate

        out.document(validate.json_schema())
    elif of == "recipe":
        from dlcat import recipe

        out.document(recipe.json_schema())
    else:
        raise UsageError(f"no schema named {of!r}", hint=nearest(of, ("catalog", "recipe")))


@group.command()
def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Catalog files; the workspace's by default.")] = None,
    catalog: Catalogs = None,
) -> None:
    """Check catalog files and report every fault with its line."""
    from dlcat import document
    from dlcat.catalog import validate

    for path in files or out.workspace(catalog, None).locations.catalogs:
        found = validate.datasets(document.load(path))
        artifacts = sum(len(dataset.artifacts) for dataset in found.values())
        out.text(f"{path}: {len(found)} datasets, {artifacts} artifacts, no fault")


def _listed(dataset: "Dataset", installed: bool) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "title": dataset.title,
        "domain": dataset.domain,
        "tasks": dataset.tasks,
        "access": dataset.access,
        "license": dataset.license.id,
        "download_bytes": dataset.size.download,
        "unpacked_bytes": dataset.size.unpacked,
        "splits": dataset.splits,
        "summary": {"en": dataset.summary.en, "zh": dataset.summary.zh},
        "homepage": dataset.homepage,
        "fetched": installed,
    }


def _shown(dataset: "Dataset", states: Any, terms: "Agreement | None") -> dict[str, Any]:
    from dataclasses import asdict

    accepted = asdict(terms.accepted) if terms is not None and terms.accepted is not None else None
    content = {"name": dataset.name, **asdict(dataset), "accepted": accepted}
    for artifact in content["artifacts"]:
        artifact["state"] = states[artifact["file"]]
    return content
