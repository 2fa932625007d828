"""A short check of the place dlcat works in: versions, folder, locks, catalog, tokens, proxies, mirrors.

Nothing stays but the catalog's index, as with every command, and torch is not loaded.
"""

from __future__ import annotations

import platform
import tempfile
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Literal

from dlcat import locations as where
from dlcat import units
from dlcat.disk import HINT, free_bytes
from dlcat.errors import DiskError, DlcatError, UnreachableError
from dlcat.fetch.care.audit import reach
from dlcat.fetch.wire.credentials import read_tokens, redact
from dlcat.fetch.wire.hosts import host
from dlcat.fetch.wire.transport import version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlcat.fetch.wire.network import Network
    from dlcat.locations import Locations

LITTLE_BYTES = 2_000_000_000
"""With less room than this most of the catalog cannot be fetched."""
PACKAGES = ("torch", "numpy", "requests", "urllib3", "filelock", "pydantic", "pyyaml", "typer", "rich", "isal")
_NEEDED = frozenset(PACKAGES) - {"isal"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    subject: str
    state: Literal["ok", "warning", "fault"]
    found: str
    hint: str = ""
    exit_code: int = 0
    """What the command ends with because of it."""


def check(locations: Locations, network: Network, *, mirrors: tuple[str, ...] = ()) -> Iterator[Check]:
    """Look at the place and yield what is found, one thing after the other; nothing is raised.

    Args:
        locations: the folders and files that commands would work with.
        network: how mirrors are asked.
        mirrors: base URLs that should answer.
    """
    yield from _versions()
    yield _folder(locations.cache)
    yield _locks(locations.cache)
    yield _catalog(locations)
    yield _tokens(where.tokens_file())
    yield _proxies()
    if where.is_offline():
        yield Check(subject="network", state="ok", found="not to be used: DLCAT_OFFLINE is set")
        return
    for mirror in mirrors:
        yield _mirror(mirror, network)


def _versions() -> Iterator[Check]:
    yield Check(subject="dlcat", state="ok", found=f"{version()}, Python {platform.python_version()}")
    found = {name: _installed(name) for name in PACKAGES}
    told = ", ".join(f"{name} {installed}" for name, installed in found.items() if installed and name != "torch")
    missing = sorted(name for name in _NEEDED if found[name] is None)
    if missing:
        hint = f"pip install {' '.join(missing)}"
        yield Check(subject="packages", state="fault", found=f"missing: {', '.join(missing)}", hint=hint, exit_code=1)
    else:
        yield Check(subject="packages", state="ok", found=told)
    if (torch := found["torch"]) is not None:
        yield Check(subject="torch", state="ok", found=f"{torch}, {_build(torch)}")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _build(torch: str) -> str:
    """What the build is for, by its version's local part or by the packages that it wants."""
    local = torch.partition("+")[2]
    if local == "cpu":
        return "for the processor alone"
    if local.startswith(("cu", "rocm", "xpu")):
        return f"for graphics processors ({local})"
    wanted = metadata.requires("torch") or []
    return (
        "for NVIDIA's graphics processors"
        if any(each.startswith("nvidia-") for each in wanted)
        else "as it is published"
    )


def _folder(cache: Path) -> Check:
    free = free_bytes(cache)
    room = f"{cache}, {units.size(free)} free"
    try:
        with tempfile.TemporaryFile(dir=_nearest(cache)):
            pass
    except OSError as error:
        found = f"{cache}: cannot be written: {error.strerror}"
        return Check(subject="cache", state="fault", found=found, hint=HINT, exit_code=DiskError.exit_code)
    if free < LITTLE_BYTES:
        return Check(subject="cache", state="warning", found=room, hint=HINT)
    return Check(subject="cache", state="ok", found=room if cache.exists() else f"{room}; made when it is needed")


def _locks(cache: Path) -> Check:
    """Whether two locks on one file keep each other out, on the file system of the cache."""
    from filelock import FileLock, Timeout

    hint = (
        "fetch from one process at a time here: what is fetched is right without locks, too, but may be fetched twice"
    )
    try:
        with tempfile.TemporaryDirectory(dir=_nearest(cache), prefix=".dlcat-doctor-") as folder:
            path = f"{folder}/lock"
            with FileLock(path):
                FileLock(path).acquire(timeout=0).lock.release()
    except Timeout:
        return Check(subject="locks", state="ok", found="two processes keep out of each other's way")
    except (OSError, NotImplementedError) as error:
        found = f"there are none here: {getattr(error, 'strerror', None) or error}"
        return Check(subject="locks", state="warning", found=found, hint=hint)
    return Check(subject="locks", state="warning", found="two locks on one file were given at once", hint=hint)


def _catalog(locations: Locations) -> Check:
    from dlcat.catalog import catalog

    files = ", ".join(str(path) for path in locations.catalogs)
    try:
        found = catalog.load(locations)
    except DlcatError as error:
        return _fault("catalog", error)
    artifacts = sum(len(dataset.artifacts) for dataset in found)
    return Check(subject="catalog", state="ok", found=f"{files}: {len(found)} datasets, {artifacts} files")


def _tokens(file: Path) -> Check:
    try:
        tokens = read_tokens(where.token_variables(), file)
    except DlcatError as error:
        return _fault("tokens", error)
    if not tokens:
        return Check(subject="tokens", state="ok", found=f"none; {file} would hold them")
    return Check(subject="tokens", state="ok", found=f"for {', '.join(sorted(tokens))}")


def _proxies() -> Check:
    from urllib.request import getproxies

    seen = [f"{scheme} → {redact(url)}" for scheme, url in sorted(getproxies().items()) if scheme != "no"]
    return Check(subject="proxies", state="ok", found=", ".join(seen) or "none")


def _mirror(mirror: str, network: Network) -> Check:
    found = "no http(s) URL" if not host(mirror) else reach(mirror, network)
    if found is None:
        return Check(subject="mirror", state="ok", found=f"{redact(mirror)} answers")
    hint = "is it running, and is the port right? `python -m http.server` in its folder would do"
    told = f"{redact(mirror)}: {found}"
    return Check(subject="mirror", state="fault", found=told, hint=hint, exit_code=UnreachableError.exit_code)


def _fault(subject: str, error: DlcatError) -> Check:
    return Check(subject=subject, state="fault", found=error.message, hint=error.hint, exit_code=error.exit_code)


def _nearest(folder: Path) -> Path:
    """The folder itself or, where it does not exist yet, the one in which it would be made."""
    return next(each for each in (folder, *folder.parents) if each.exists())
