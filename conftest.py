"""Every test and doctest runs in an empty folder of its own, with a cache that this session shares and nobody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is imported. The networks of the tests are so small that two threads mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("dlcat", deadline=None, derandomize=True, database=None)
settings.load_profile("dlcat")

SETTINGS = ("DLCAT_CATALOG", "DLCAT_MIRROR", "DLCAT_OFFLINE", "DLCAT_LANG", "DLCAT_TRACEBACK", "COLUMNS", "NO_COLOR")
LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of all tests that do not make their own: digits are unpacked and decoded once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _elsewhere(shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLCAT_CACHE", str(shared_cache))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))  # where it is noted which terms are accepted
    for name in (*SETTINGS, *LOCALE, *PROXIES):
        monkeypatch.delenv(name, raising=False)
