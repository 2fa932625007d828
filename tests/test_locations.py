"""Where things are: in a workspace, elsewhere, and where somebody said so; asking creates nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlcat import locations


@pytest.fixture(autouse=True)
def _no_cache_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DLCAT_CACHE")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "catalog.yaml").write_text("")
    return folder


def test_a_workspace_uses_what_lies_in_it(workspace: Path) -> None:
    found = locations.find(folder=workspace)
    assert found.catalogs == (workspace / "catalog.yaml",)
    assert found.recipes == (workspace / "recipes", locations.shipped("recipes"))
    assert found.cache == workspace / "cache"
    assert found.runs == workspace / "runs"
    parts = (found.artifacts, found.data, found.prepared, found.index)
    assert [path.parent for path in parts] == [workspace / "cache"] * 4
    assert len({path.name for path in parts}) == 4


def test_elsewhere_the_shipped_catalog_and_the_users_cache_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = locations.find(folder=tmp_path)
    assert found.catalogs == (locations.shipped("catalog.yaml"),)
    assert found.recipes == (tmp_path, locations.shipped("recipes"))
    assert found.cache.name == "dlcat"
    assert found.cache.is_relative_to(tmp_path)
    assert found.runs == tmp_path / "runs"


def test_the_current_folder_is_the_default(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    assert locations.find() == locations.find(folder=Path.cwd())


def test_variables_win_over_the_workspace_and_options_over_everything(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = workspace / "catalog.yaml"
    monkeypatch.setenv("DLCAT_CACHE", str(tmp_path / "named"))
    monkeypatch.setenv("DLCAT_CATALOG", f"one.yaml{os.pathsep}{os.pathsep}two.yaml")
    found = locations.find(folder=workspace)
    assert found.cache == tmp_path / "named"
    assert found.catalogs == (home, Path("one.yaml"), Path("two.yaml"))
    found = locations.find(folder=workspace, catalogs=(Path("three.yaml"),), cache=tmp_path / "option")
    assert found.cache == tmp_path / "option"
    assert found.catalogs == (home, Path("three.yaml"))


def test_an_empty_variable_names_nothing(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCAT_CACHE", "")
    monkeypatch.setenv("DLCAT_CATALOG", "")
    found = locations.find(folder=workspace)
    assert (found.cache, found.catalogs) == (workspace / "cache", (workspace / "catalog.yaml",))


def test_mirrors_may_be_named_once_for_all(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert locations.find(folder=workspace).mirrors == ()
    monkeypatch.setenv("DLCAT_MIRROR", " http://one/base  http://two ")
    assert locations.find(folder=workspace).mirrors == ("http://one/base", "http://two")


def test_a_tilde_is_the_home_folder(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DLCAT_CATALOG", "~/mine.yaml")
    found = locations.find(folder=workspace, cache=Path("~/cache"))
    assert found.cache == tmp_path / "home" / "cache"
    assert found.catalogs[1] == tmp_path / "home" / "mine.yaml"


def test_a_catalog_named_twice_is_read_once(workspace: Path) -> None:
    home = workspace / "catalog.yaml"
    assert locations.find(folder=workspace, catalogs=(home, home)).catalogs == (home,)


def test_asking_creates_nothing(workspace: Path) -> None:
    found = locations.find(folder=workspace)
    assert found.index.parent == found.cache
    assert [path.name for path in workspace.iterdir()] == ["catalog.yaml"]


@pytest.mark.parametrize("name", ["catalog.yaml", "recipes"])
def test_what_ships_is_there(name: str) -> None:
    assert locations.shipped(name).exists()


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US", "DLCAT_LANG": "zh"}, "zh"),
        ({"LC_MESSAGES": "ZH_tw", "LANG": "C"}, "zh"),
    ],
)
def test_the_language_follows_the_locale(
    variables: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert locations.language() == language


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_color_can_be_turned_off(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert locations.color_wanted()
    monkeypatch.setenv(variable, value)
    assert not locations.color_wanted()


def test_tokens_are_read_from_variables_that_are_named_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"DLCAT_TOKENS": "one.org=a", "DLCAT_TOKEN_TWO_ORG": "b"}
    for name, value in {**variables, "DLCAT_TOKEN_": "c", "DLCAT_TOKENIZER": "d", "TOKEN": "e"}.items():
        monkeypatch.setenv(name, value)
    assert locations.token_variables() == variables


def test_tokens_lie_in_the_users_config_folder_which_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("XDG_CONFIG_HOME", "HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "user"))
    file = locations.tokens_file()
    assert file.name == "tokens.yaml"
    assert file.parent.name == "dlcat"
    assert list(tmp_path.iterdir()) == []
