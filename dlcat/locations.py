"""Where the catalog, the recipes, the cache and the runs are; the only reader of environment variables.

A folder that holds a catalog.yaml is a workspace: its own catalog, recipes/, cache/ and runs/ are used. Anywhere else
dlcat uses the catalog and recipes it was shipped with, the user's cache folder and ./runs. DLCAT_CATALOG and
DLCAT_CACHE win over both, and the options --catalog and --cache win over everything. DLCAT_MIRROR (base URLs, separated
by spaces) stands for --mirror where that is not given. Tokens for hosts come from DLCAT_TOKENS and DLCAT_TOKEN_<HOST>, or
from tokens.yaml in the user's config folder; `dlcat.fetch.wire.credentials` says how they are written. DLCAT_OFFLINE=1 forbids
every connection.

Asking for a path creates nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Locations:
    """The folders and files one command works with."""

    catalogs: tuple[Path, ...]
    """Catalog files, read in order: a later one adds entries or replaces them whole."""
    recipes: tuple[Path, ...]
    """Folders in which a recipe is looked for by its name, nearest first."""
    cache: Path
    runs: Path
    mirrors: tuple[str, ...] = ()
    """Base URLs that are tried before the catalog's sources, from DLCAT_MIRROR."""

    @property
    def artifacts(self) -> Path:
        """Verified downloads, as upstream serves them: artifacts/<dataset>/<file>."""
        return self.cache / "artifacts"

    @property
    def data(self) -> Path:
        """Unpacked trees: data/<dataset>/."""
        return self.cache / "data"

    @property
    def prepared(self) -> Path:
        """Decoded arrays: prepared/<dataset>/<split>-<key>/."""
        return self.cache / "prepared"

    @property
    def packed(self) -> Path:
        """What `dlcat pack` writes where it is not told where: packed/<dataset>/."""
        return self.cache / "packed"

    @property
    def shards(self) -> Path:
        """What is read from shards that lie elsewhere: shards/<dataset>/<key of the address>/."""
        return self.cache / "shards"

    @property
    def lockfile(self) -> Path:
        """What `dlcat lock` wrote, if anything: dlcat.lock, beside the runs."""
        return self.runs.parent / "dlcat.lock"

    @property
    def index(self) -> Path:
        """Validated catalogs as JSON, so that `dlcat list` need not validate again."""
        return self.cache / "index"


def find(*, catalogs: tuple[Path, ...] = (), cache: Path | None = None, folder: Path | None = None) -> Locations:
    """The locations for a command run in `folder` (the current one by default).

    Args:
        catalogs: what --catalog named; empty means DLCAT_CATALOG (paths joined by the system's path separator) or, without
            it, the workspace's or the shipped catalog.
        cache: what --cache named; None means DLCAT_CACHE, the workspace's cache/ or the user's cache folder.
        folder: where the command was started.
    """
    here = folder or Path.cwd()
    workspace = (here / "catalog.yaml").is_file()
    named = tuple(Path(path).expanduser() for path in os.environ.get("DLCAT_CATALOG", "").split(os.pathsep) if path)
    home = here / "catalog.yaml" if workspace else shipped("catalog.yaml")
    # A named catalog adds to what is there: an own entry should not hide the 27 that ship.
    found = (home, *(catalogs or named))
    recipes = (here / "recipes", shipped("recipes")) if workspace else (here, shipped("recipes"))
    return Locations(
        catalogs=tuple(dict.fromkeys(found)),
        recipes=tuple(dict.fromkeys(recipes)),
        cache=(cache or _cache_from_environment() or (here / "cache" if workspace else _user_cache())).expanduser(),
        runs=here / "runs",
        mirrors=tuple(os.environ.get("DLCAT_MIRROR", "").split()),
    )


def shipped(name: str) -> Path:
    """The path of catalog.yaml or recipes/ as installed: inside the wheel, or beside the package in a checkout."""
    inside = PACKAGE / "shipped" / name
    return inside if inside.exists() else PACKAGE.parent / name


def color_wanted() -> bool:
    """False where NO_COLOR is set (no-color.org) or the terminal is dumb."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def language() -> str:
    """The user's language for summaries: 'zh' where the locale is Chinese, else 'en'."""
    for variable in ("DLCAT_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(variable):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def token_variables() -> dict[str, str]:
    """DLCAT_TOKENS and every DLCAT_TOKEN_<HOST>, as they are written."""
    return {
        name: value
        for name, value in os.environ.items()
        if name == "DLCAT_TOKENS" or (name.startswith("DLCAT_TOKEN_") and name != "DLCAT_TOKEN_")
    }


def tokens_file() -> Path:
    """Where the user may keep tokens for hosts; the file need not exist."""
    from platformdirs import user_config_path  # 10 ms, needed only where something is downloaded

    return user_config_path("dlcat", appauthor=False) / "tokens.yaml"


def consents_file() -> Path:
    """Where it is noted which terms this user has accepted; not in the cache, which may be shared: a person agrees."""
    from platformdirs import user_data_path  # 10 ms, needed only where terms are asked for

    return user_data_path("dlcat", appauthor=False) / "consents.jsonl"


def user_name() -> str:
    """The user's name on this machine; '' where the system knows none, as in some containers."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # what is raised depends on the version of Python and the system
        return ""


def is_offline() -> bool:
    """Whether no connection may be opened (DLCAT_OFFLINE); 0, false and no are as good as nothing."""
    return os.environ.get("DLCAT_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def launched() -> dict[str, int]:
    """What torchrun, or `dlcat train --nproc`, says to each of the processes that train together; empty in any other."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT")
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys():
        return {}
    return {name: int(os.environ[name]) for name in names if os.environ.get(name, "").isdecimal()}


def traceback_wanted() -> bool:
    """Whether a fault of dlcat itself should show its traceback (DLCAT_TRACEBACK), for a report of it."""
    return bool(os.environ.get("DLCAT_TRACEBACK"))


def _cache_from_environment() -> Path | None:
    value = os.environ.get("DLCAT_CACHE")
    return Path(value) if value else None


def _user_cache() -> Path:
    from platformdirs import user_cache_path  # 10 ms, needed only outside a workspace

    return user_cache_path("dlcat", appauthor=False)
