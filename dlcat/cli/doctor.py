"""Data commands: doctor, which looks at the place and, with --links, at every URL of the catalog."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dlcat.cli import out
from dlcat.cli.app import DATA, Cache, Catalogs, Json, Mirrors, app

if TYPE_CHECKING:
    from dlcat.fetch.care.audit import Audited
    from dlcat.fetch.care.patch import Patch
    from dlcat.fetch.care.place import Check
    from dlcat.fetch.wire.network import Network
    from dlcat.workspace import Workspace


@app.command(rich_help_panel=DATA)
def doctor(
    names: Annotated[list[str] | None, typer.Argument(help="With --links: only these datasets.")] = None,
    links: Annotated[bool, typer.Option("--links", help="Look at every URL of the catalog, politely.")] = False,
    torch: Annotated[bool, typer.Option("--torch", help="Load torch and say on what it would train.")] = False,
    mirror: Mirrors = None,
    json: Json = False,
    catalog: Catalogs = None,
    cache: Cache = None,
) -> None:
    """Check the place: versions, folder, locks, catalog, tokens, proxies, mirrors; or with --links every URL.

    --links asks each host at most once a second: HEAD, then of files the first and last 64 KiB. What was found is kept in
    the cache, so that a later audit sees what has changed. URLs that failed on three days in a row are quarantined, and a
    patch of the catalog is suggested. It ends with 4 where a URL is dead or leads to something else.
    """
    from dlcat import locations
    from dlcat.errors import UnreachableError, UsageError

    place = out.workspace(catalog, cache)
    mirrors = tuple(mirror or place.locations.mirrors)
    if links and locations.is_offline():
        raise UnreachableError("offline: DLCAT_OFFLINE forbids to ask anybody", hint="unset DLCAT_OFFLINE")
    if links:
        _links(place, names or [], mirrors, json)
    elif names:
        raise UsageError("names are for --links", hint=f"dlcat doctor --links {' '.join(names)}")
    else:
        _place(place, mirrors, torch, json)


def _place(place: "Workspace", mirrors: tuple[str, ...], torch: bool, json: bool) -> None:
    from dlcat.fetch.care.place import check
    from dlcat.fetch.wire.network import Network
    from dlcat.view import audit as view

    checks = [*check(place.locations, Network(), mirrors=mirrors), *(_torch() if torch else ())]
    if json:
        out.document({"checks": [asdict(each) for each in checks]})
    else:
        out.text(view.place(checks, out.console()))
    code = next((each.exit_code for each in checks if each.state == "fault"), 0)
    if code:
        raise typer.Exit(code)


def _torch() -> Iterator["Check"]:
    """What only torch itself knows."""
    import torch

    from dlcat.fetch.care.place import Check
    from dlcat.train import device

    chosen = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    yield Check(subject="trains on", state="ok", found=f"{chosen}: {device.name(chosen)}")


def _links(place: "Workspace", names: list[str], mirrors: tuple[str, ...], json: bool) -> None:
    from dlcat.errors import UnreachableError
    from dlcat.fetch.care.links import FAILED
    from dlcat.view import audit as view

    records = _audited(place, names, mirrors)
    patches = _patches(place, records)
    if json:
        out.document({"links": [asdict(each) for each in records], "patches": [_plain(each) for each in patches]})
    else:
        out.text(view.links(records, out.console()) + "".join(view.patch(each) for each in patches))
    failed = sum(record.state in FAILED for record in records)
    if failed:
        hint = "look again on another day: after three the catalog's lines to change are named"
        raise UnreachableError(f"{failed} of {len(records)} URLs do not give what the catalog says", hint=hint)


def _audited(place: "Workspace", names: list[str], mirrors: tuple[str, ...]) -> list["Audited"]:
    """What the audit found, in the catalog's order."""
    import sys

    from dlcat.fetch.care.audit import audit, links
    from dlcat.fetch.care.links import key
    from dlcat.fetch.wire.health import Health
    from dlcat.view.audit import AuditProgress

    order = [key(link.url) for link in links([place.catalog[name] for name in names] or place.catalog, mirrors)]
    health = Health(place.store.health_path)
    found = {}
    with AuditProgress(len(order), sys.stderr) as progress:
        for record in audit(place.catalog, names, network=_network(), mirrors=mirrors, health=health):
            progress.show(record)
            found[record.url] = record
    return [found[url] for url in order]


def _network() -> "Network":
    from dlcat import locations
    from dlcat.fetch.wire.credentials import read_tokens
    from dlcat.fetch.wire.network import Network

    return Network(tokens=read_tokens(locations.token_variables(), locations.tokens_file()))


def _patches(place: "Workspace", records: list["Audited"]) -> list["Patch"]:
    quarantined = {record.url for record in records if record.quarantined}
    if not quarantined:
        return []
    from dlcat.fetch.care.patch import suggest

    return list(suggest(place.locations.catalogs, quarantined))


def _plain(patch: "Patch") -> dict[str, object]:
    return {"path": str(patch.path), "diff": patch.diff, "by_hand": list(patch.by_hand)}
