"""Commands that take care of what is fetched: accept, lock, cache gc."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcat.cli import out
from dlcat.cli.app import DATA, Cache, Catalogs, Json, app
from dlcat.cli.data import cache_group

if TYPE_CHECKING:
    from datetime import timedelta

    from dlcat.fetch.care.collect import Garbage
    from dlcat.workspace import Workspace

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")]

_WORDS = {
    "partial": "download that broke off",
    "staging": "unpacking that broke off",
    "leftover": "file that was never finished",
    "prepared": "arrays made from other files",
    "unknown": "not in the catalog",
}
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


@app.command(rich_help_panel=DATA)
def accept(
    name: Annotated[str, typer.Argument(help="The dataset.")],
    who: Annotated[str | None, typer.Option("--as", help="Who accepts; by default this user.")] = None,
    yes: Yes = False,
    json: Json = False,
    catalog: Catalogs = None,
) -> None:
    """Show the terms of a dataset, and note that you accept them."""
    from dataclasses import asdict

    from dlcat import locations
    from dlcat.errors import AccessError
    from dlcat.fetch import terms

    dataset = out.workspace(catalog, None).catalog[name]
    consents = locations.consents_file()
    found = terms.accepted(dataset, consents)
    if dataset.terms is not None and found is None:
        print(_printable(f"{dataset.title}\n{terms.plain(dataset.terms)}"), file=sys.stderr)
        if not yes and not _asked("Do you accept these terms?"):
            raise AccessError(
                f"{name}: its terms are not accepted", hint=f"a script may accept: dlcat accept {name} --yes"
            )
        found = terms.accept(dataset, consents, who=locations.user_name() if who is None else who)
    if json:
        out.document({"name": name, "accepted": None if found is None else asdict(found)})
    elif found is None:
        out.text(f"{name}: upstream asks for no agreement")
    else:
        out.text(_printable(f"{name}: accepted by {found.who} on {found.when[:10]}"))


@app.command(rich_help_panel=DATA)
def lock(
    names: Annotated[list[str] | None, typer.Argument(help="The datasets; all in the cache by default.")] = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Write dlcat.lock: the bytes that `fetch --frozen` accepts, and nothing else."""
    from dlcat import __version__
    from dlcat.errors import UsageError
    from dlcat.fetch import lockfile

    place = out.workspace(catalog, cache)
    datasets = [place.catalog[name] for name in names or ()] or lockfile.lockable(place.catalog, place.store)
    if not datasets:
        raise UsageError("there is nothing to lock: no dataset is in the cache", hint="dlcat fetch NAME")
    path = place.locations.lockfile
    former = lockfile.read(path)
    made = lockfile.lock(datasets, place.store, former, version=__version__)
    if made != former:
        lockfile.write(path, made)
    counts = {dataset.name: len(made.datasets[dataset.name].artifacts) for dataset in datasets}
    if json:
        listed = [{"name": name, "files": files} for name, files in counts.items()]
        out.document({"path": str(path), "changed": made != former, "datasets": listed})
    else:
        said = "" if made != former else ", nothing has changed"
        out.text(f"{path}: {sum(counts.values())} files of {', '.join(counts)}{said}")


@cache_group.command("gc")
def cache_gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be removed.")] = False,
    yes: Yes = False,
    unknown: Annotated[
        bool,
        typer.Option("--unknown", help="Datasets that are not in the catalog, too; another workspace may use them."),
    ] = False,
    older_than: Annotated[str | None, typer.Option(help="Only what has not changed for so long: 12h, 30d, 2w.")] = None,
    larger_than: Annotated[str | None, typer.Option(help="Only what is larger: 500MB, 1GB.")] = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Remove what nobody will use again: broken downloads, unfinished files, arrays made from other bytes."""
    from dlcat import units
    from dlcat.catalog.search import parse_size
    from dlcat.errors import UsageError
    from dlcat.fetch.care.collect import chosen, collect, garbage

    place = out.workspace(catalog, cache)
    found = chosen(
        garbage(place.store, place.catalog.names, _current(place), unknown=unknown),
        older_than=None if older_than is None else _age(older_than),
        larger_than_bytes=None if larger_than is None else parse_size(larger_than),
    )
    total = units.size(sum(each.size_bytes for each in found))
    if not json:
        out.text(_table(found) if found else "nothing to remove")
    if found and not dry_run and not yes and not _is_terminal():
        raise UsageError(f"{total} would be removed, and nobody can be asked", hint="say --yes, or --dry-run")
    removed: list[Garbage] = []
    if found and not dry_run and (yes or _asked(f"Remove {total}?")):
        removed = list(collect(found, place.store))
    if json:
        out.document({"found": [_listed(each) for each in found], "removed": [_listed(each) for each in removed]})
    elif removed:
        out.text(f"{units.size(sum(each.size_bytes for each in removed))} freed")


def _current(place: "Workspace") -> Any:
    """Which prepared arrays are of use: those made from the bytes that are there now; None where that cannot be told."""

    def names(name: str) -> set[str] | None:
        from dlcat.readers import prepare
        from dlcat.readers.examples import reader

        dataset = place.catalog[name]
        is_told = "corrupt" not in place.store.states(dataset).values()  # such a file may prove right again
        if not is_told or dataset.reader is None or dataset.reader.name not in reader:
            return None
        made_from = prepare.key(dataset, place.digests(dataset))
        return {f"{split}-{made_from}" for split in dataset.splits}

    return names


def _age(text: str) -> "timedelta":
    import re
    from datetime import timedelta

    from dlcat.errors import UsageError

    found = re.fullmatch(r"(\d{1,6})\s*([hdw])", text, re.ASCII)
    if found is None:
        raise UsageError(f"--older-than {text}: expected a number of hours, days or weeks", hint="12h, 30d, 2w")
    return timedelta(hours=int(found[1]) * _HOURS[found[2]])


def _table(found: "list[Garbage]") -> str:
    from dlcat import units
    from dlcat.view.page import Column, plain_table

    columns = [Column("dataset"), Column("what"), Column("size", right=True), Column("changed"), Column("where")]
    return plain_table(
        columns,
        [
            [
                each.dataset,
                _WORDS[each.kind],
                units.size(each.size_bytes),
                f"{each.changed:%Y-%m-%d}",
                " ".join(map(str, each.paths)),
            ]
            for each in found
        ],
    )


def _listed(each: "Garbage") -> dict[str, Any]:
    return {
        "dataset": each.dataset,
        "kind": each.kind,
        "paths": [str(path) for path in each.paths],
        "bytes": each.size_bytes,
        "changed": each.changed.isoformat(timespec="seconds"),
    }


def _asked(question: str) -> bool:
    """Whether the user says yes; no, where there is nobody to ask."""
    if not _is_terminal():
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _printable(text: str) -> str:
    """Lines without control characters: a catalog must not be able to move the cursor."""
    from dlcat.view.page import clean

    return "\n".join(clean(line) for line in text.splitlines())
