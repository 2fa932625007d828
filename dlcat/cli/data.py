"""Data commands: plan, fetch, verify, import, cache."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcat.cli import out
from dlcat.cli.app import DATA, Cache, Catalogs, Json, Mirrors, Parts, app

if TYPE_CHECKING:
    from dlcat.fetch import Store
    from dlcat.fetch.care.collect import Holding

Name = Annotated[str, typer.Argument(help="The dataset.")]
Only = Annotated[
    list[str] | None, typer.Option(help="Only files inside whose path matches: 'images/000/*'. May be repeated.")
]
Split = Annotated[str | None, typer.Option(help="Only the files of this split.")]
Sample = Annotated[int | None, typer.Option(min=1, help="So many files of every archive.")]

cache_group = typer.Typer(help="What the cache holds: list, remove, path.", no_args_is_help=True)
app.add_typer(cache_group, name="cache", rich_help_panel=DATA)


@app.command(rich_help_panel=DATA)
def plan(
    name: Name,
    mirror: Mirrors = None,
    part: Parts = None,
    only: Only = None,
    split: Split = None,
    sample: Sample = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Say what fetching a dataset would bring, from where, how much and on what terms, before a byte moves."""
    from dataclasses import asdict

    from dlcat.view import tables

    place = out.workspace(catalog, cache)
    dataset, store = place.catalog[name], place.store
    wanted: dict[str, Any] = {"mirror": tuple(mirror or place.locations.mirrors), "parts": tuple(part or ())}
    slicing: dict[str, Any] = {"only": tuple(only or ()), "split": split, "sample": sample}
    made: Any
    draw: Any
    if any(slicing.values()):
        from dlcat.fetch.slices.plan import plan_slice

        made, draw = plan_slice(dataset, store, **slicing, **wanted), tables.slice_plan
    else:
        from dlcat.fetch.plan import plan as make_plan

        made, draw = make_plan(dataset, store, **wanted), tables.plan
    if json:
        out.document(_plain(asdict(made)))
    else:
        out.text(draw(made, out.console()))


@app.command(rich_help_panel=DATA)
def fetch(
    names: Annotated[list[str], typer.Argument(help="The datasets.")],
    mirror: Mirrors = None,
    part: Parts = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is there already.")] = False,
    only: Only = None,
    split: Split = None,
    sample: Sample = None,
    frozen: Annotated[bool, typer.Option("--frozen", help="Only the bytes that dlcat.lock has.")] = False,
    connections: Annotated[int, typer.Option(min=1, max=16, help="Connections to one host at once.")] = 4,
    jobs: Annotated[int, typer.Option(min=1, max=16, help="Files at once.")] = 3,
    limit: Annotated[str | None, typer.Option(help="Bytes per second for everything together: 5MB/s, 500k.")] = None,
    retries: Annotated[int, typer.Option(min=0, help="How often to come back to a source that gave nothing new.")] = 4,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Download datasets, verify every byte and unpack them; what broke off is gone on with."""
    from dlcat.errors import UsageError
    from dlcat.fetch.wire.hosts import parse_rate

    if (force or frozen) and (only or split or sample):
        raise UsageError("--force and --frozen are about whole files; --only, --split and --sample ask for some inside")
    place = out.workspace(catalog, cache)
    datasets = [place.catalog[name] for name in names]
    network = place.network(
        connections=connections,
        jobs=jobs,
        limit_bytes_per_second=None if limit is None else parse_rate(limit),
        retries=retries,
    )
    wanted: dict[str, Any] = {"mirrors": tuple(mirror or ()), "parts": tuple(part or ()), "network": network}
    slicing: dict[str, Any] = {"only": tuple(only or ()), "split": split, "sample": sample}
    done: list[dict[str, Any]] = []
    for dataset in datasets:
        if any(slicing.values()):
            records = out.draw(place.fetch_slice(dataset, **slicing, **wanted))
        else:
            records = out.draw(place.fetch(dataset, force=force, frozen=frozen, **wanted))
        done.append({"name": dataset.name, "path": str(place.store.data_path(dataset)), "records": records})
    if json:
        out.document({"datasets": [entry | {"records": _records(entry["records"])} for entry in done]})
    else:
        for entry in done:
            out.text(f"{entry['name']}: {entry['path']}")


@app.command(rich_help_panel=DATA)
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="The datasets; everything in the cache by default.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is wrong: wrong blocks, wrong files.")] = False,
    mirror: Mirrors = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Read every byte in the cache again and hold it against the catalog."""
    from dlcat.errors import UsageError, VerificationError
    from dlcat.fetch.care.verify import verify as check
    from dlcat.fetch.records import Failed, Missing, Verified

    place = out.workspace(catalog, cache)
    datasets = [place.catalog[name] for name in names or [n for n in place.store.names() if n in place.catalog]]
    found = []
    for dataset in datasets:
        steps = place.repair(dataset, mirrors=tuple(mirror or ())) if repair else check(dataset, place.store)
        found += [(dataset.name, record) for record in out.draw(steps)]
    if json:
        out.document({"verified": [{"dataset": name, **_records([record])[0]} for name, record in found]})
    failed = [f"{name}/{record.artifact}" for name, record in found if isinstance(record, Failed)]
    if failed and not repair:
        again = " ".join(sorted({name.partition("/")[0] for name in failed}))
        raise VerificationError(f"not what they should be: {', '.join(failed)}", hint=f"dlcat verify --repair {again}")
    sound = sum(isinstance(record, Verified) for _, record in found)
    if names and not sound:
        missing = sorted({name for name, record in found if isinstance(record, Missing)})
        raise UsageError(f"nothing of {', '.join(missing or names)} is in the cache", hint=f"dlcat fetch {names[0]}")
    if not json:
        out.text(f"{sound} files verified")


@app.command(rich_help_panel=DATA)
def pack(
    name: Name,
    split: Annotated[list[str] | None, typer.Option(help="A split; all by default. May be repeated.")] = None,
    shard_size: Annotated[str, typer.Option(help="Bytes that no shard exceeds: 256MB, 1GB.")] = "256MB",
    out_: Annotated[
        Path | None, typer.Option("--out", help="The folder; packed/NAME in the cache by default.", file_okay=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides the order in which examples are packed.")] = 0,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Pack a dataset of pictures into shards (tar, as WebDataset reads them), to be read one after another."""
    from dataclasses import asdict

    from dlcat.catalog.search import parse_size
    from dlcat.errors import UsageError, nearest
    from dlcat.units import size

    place = out.workspace(catalog, cache)
    dataset = place.catalog[name]
    splits = tuple(split or dataset.splits)
    for each in splits:
        if each not in dataset.splits:
            raise UsageError(f"{name} has no split {each!r}", hint=nearest(each, dataset.splits))
    folder = out_ or place.locations.packed / name
    out.draw(place.install(dataset))
    packed = []
    for shard in place.pack(dataset, splits, folder, shard_bytes=parse_size(shard_size), seed=seed):
        packed.append(shard)
        note = " (already there)" if shard.was_there else ""
        out.progress(f"{shard.file}: {size(shard.bytes)}, {shard.done:,} of {shard.of:,} examples{note}")
    if json:
        out.document({"name": name, "path": str(folder), "shards": [asdict(shard) for shard in packed]})
    else:
        out.text(f"{name}: {folder}: {len(packed)} shards, {sum(shard.examples for shard in packed):,} examples")


@app.command("import", rich_help_panel=DATA)
def import_(
    name: Name,
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders to search.")],
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Take files that you got by hand into the cache, whatever their names, verified."""
    from dlcat.fetch.by_hand import import_files

    place = out.workspace(catalog, cache)
    dataset = place.catalog[name]
    records = out.draw(import_files(dataset, place.store, paths))
    path = str(place.store.data_path(dataset))
    if json:
        out.document({"name": name, "path": path, "records": _records(records)})
    else:
        out.text(f"{name}: {path}")


@cache_group.command("ls")
def cache_ls(
    names: Annotated[list[str] | None, typer.Argument(help="Only these datasets.")] = None,
    json: Json = False,
    cache: Cache = None,
) -> None:
    """List what the cache holds, by dataset: downloads, unpacked files, prepared arrays, shards, what is unfinished."""
    from dlcat.fetch.care.collect import holdings
    from dlcat.view import tables

    store = out.workspace(None, cache).store
    _require_held(store, names or ())
    held = [each for each in holdings(store) if not names or each.dataset in names]
    if json:
        out.document({"path": str(store.locations.cache), "datasets": [_held(each) for each in held]})
    else:
        out.text(tables.holdings(held, out.console()) if held else "nothing is in the cache")


@cache_group.command("rm")
def cache_rm(
    names: Annotated[list[str], typer.Argument(help="The datasets.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be freed; remove nothing.")] = False,
    cache: Cache = None,
) -> None:
    """Remove datasets from the cache: downloads, unpacked files, prepared arrays and shards."""
    from dlcat import units

    store = out.workspace(None, cache).store
    _require_held(store, names)
    for name in names:
        if dry_run:
            out.text(f"{name}: {units.size(store.used_bytes(name))} would be freed")
        else:
            out.text(f"{name}: {units.size(store.remove(name))} freed")


@cache_group.command("path")
def cache_path(cache: Cache = None) -> None:
    """Print the cache folder."""
    out.text(str(out.workspace(None, cache).locations.cache))


def _require_held(store: "Store", names: Iterable[str]) -> None:
    from dlcat.errors import UsageError, nearest

    for name in names:
        if name not in store.names():
            raise UsageError(f"{name} is not in the cache", hint=nearest(name, store.names()))


def _held(each: "Holding") -> dict[str, Any]:
    return {
        "name": each.dataset,
        "bytes": each.size_bytes,
        "artifacts_bytes": each.artifacts_bytes,
        "data_bytes": each.data_bytes,
        "prepared_bytes": each.prepared_bytes,
        "shards_bytes": each.shards_bytes,
        "unfinished_bytes": each.unfinished_bytes,
        "used": each.used.isoformat(timespec="seconds") if each.used else None,
    }


def _records(records: list[Any]) -> list[dict[str, Any]]:
    """Records as JSON: their fields, and `record` for their kind in lower case."""
    from dataclasses import asdict

    return [{"record": type(record).__name__.lower(), **_plain(asdict(record))} for record in records]


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(item) for item in content]
    return str(content) if isinstance(content, Path) else content
