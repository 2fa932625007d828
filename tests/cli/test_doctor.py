"""`dlcat doctor`: the place, and with --links every URL; what it prints, and what it ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import dlcat.cli.doctor  # noqa: F401 - the command joins the app
from dlcat.testing import FaultServer, faults

Command = Callable[..., Any]
BODY = b"toys, and more of them"


@pytest.fixture(autouse=True)
def _own_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home cache"))
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("DLCAT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer({"toys.bin": BODY, "home": b"<html>"}) as running:
        yield running


@pytest.fixture
def options(tmp_path: Path, entry: Callable[..., dict[str, Any]], server: FaultServer) -> Callable[..., list[str]]:
    """options("toys.bin", "gone.bin"): a catalog with one file that has these sources, and a cache of its own."""

    def make(*files: str) -> list[str]:
        urls = [server.url(file) for file in files]
        artifact = {"file": "toys.bin", "urls": urls, "size": len(BODY), "provenance": "made here"}
        size = {"download": len(BODY), "unpacked": len(BODY)}
        content = {"toy": entry(artifacts=[artifact], size=size, homepage=server.url("home"))}
        path = tmp_path / "toy.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return ["--catalog", str(path), "--cache", str(tmp_path / "cache")]

    return make


def _subjects(answer: Any) -> dict[str, dict[str, Any]]:
    return {each["subject"]: each for each in json.loads(answer.out)["checks"]}


def test_a_sound_place_ends_with_0(command: Command, options: Callable[..., list[str]]) -> None:
    answer = command("doctor", *options("toys.bin"))
    assert (answer.code, answer.err) == (0, "")
    for word in ("dlcat", "torch", "cache", "locks", "catalog", "tokens", "proxies", "made when it is needed"):
        assert word in answer.out
    assert "fault" not in answer.out


def test_the_place_as_one_document(command: Command, options: Callable[..., list[str]], tmp_path: Path) -> None:
    found = _subjects(command("doctor", "--json", *options("toys.bin")))
    assert all(each["state"] in ("ok", "warning") for each in found.values())
    assert found["locks"]["found"] == "two processes keep out of each other's way"
    assert str(tmp_path / "toy.yaml") in found["catalog"]["found"]
    assert not (tmp_path / "cache" / "artifacts").exists()


def test_torch_is_not_loaded_unless_it_is_asked_for(
    environment: dict[str, str], options: Callable[..., list[str]], tmp_path: Path
) -> None:
    code = (
        "import sys, dlcat.cli.doctor; from dlcat.cli import run; code = run(sys.argv[1:]); "
        "assert code == 0; assert 'torch' not in sys.modules"
    )
    words = [sys.executable, "-c", code, "doctor", *options("toys.bin")]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_torch_says_on_what_it_would_train(command: Command, options: Callable[..., list[str]]) -> None:
    assert "trains on" in command("doctor", "--torch", *options("toys.bin")).out


def test_a_catalog_that_is_no_catalog_is_3(command: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("toy: 3\n", encoding="utf-8")
    answer = command("doctor", "--catalog", tmp_path / "bad.yaml", "--cache", tmp_path / "cache")
    assert answer.code == 3
    assert "bad.yaml:1: toy: expected an entry with keys" in answer.out


def test_a_mirror_that_does_not_answer_is_4(
    command: Command, options: Callable[..., list[str]], server: FaultServer
) -> None:
    answer = command("doctor", "--mirror", server.refused_url("base"), *options("toys.bin"))
    assert answer.code == 4
    assert "Connection refused" in answer.out


def test_a_mirror_that_answers_anything_is_there(
    command: Command, options: Callable[..., list[str]], server: FaultServer
) -> None:
    address = server.url("base").replace("//", "//me:hidden@")
    answer = command("doctor", "--mirror", address, *options("toys.bin"))
    assert answer.code == 0
    assert f"{server.url('base')} answers" in answer.out
    assert "hidden" not in answer.out


def test_a_cache_where_nothing_can_be_written_is_7(
    command: Command, options: Callable[..., list[str]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    chosen = options("toys.bin")
    answer = command("doctor", *chosen[:2], "--cache", tmp_path / "file")
    assert answer.code == 7
    assert "cannot be written" in answer.out


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_tokens_that_others_may_read_are_3(command: Command, options: Callable[..., list[str]], tmp_path: Path) -> None:
    file = tmp_path / "config" / "dlcat" / "tokens.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("data.example: hidden\n", encoding="utf-8")
    file.chmod(0o644)
    answer = command("doctor", *options("toys.bin"))
    assert (answer.code, "chmod 600" in answer.out, "hidden" in answer.out) == (3, True, False)
    file.chmod(0o600)
    answer = command("doctor", *options("toys.bin"))
    assert (answer.code, "for data.example" in answer.out, "hidden" in answer.out) == (0, True, False)


def test_a_proxy_is_shown_without_its_password(
    command: Command, options: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://me:hidden@proxy.example:3128")
    answer = command("doctor", *options("toys.bin"))
    assert "http → http://proxy.example:3128" in answer.out
    assert "hidden" not in answer.out


def test_names_without_links_are_usage_2(command: Command) -> None:
    answer = command("doctor", "mnist")
    assert (answer.code, answer.out) == (2, "")
    assert "dlcat doctor --links mnist" in answer.err


def test_links_that_all_work_end_with_0(command: Command, options: Callable[..., list[str]]) -> None:
    answer = command("doctor", "--links", "toy", *options("toys.bin"))
    assert answer.code == 0, answer.err
    assert answer.out.strip() == "2 URLs: 2 ok"


def test_a_dead_link_ends_with_4_and_the_document_is_whole(
    command: Command, options: Callable[..., list[str]], server: FaultServer
) -> None:
    answer = command("doctor", "--links", "toy", "--json", *options("toys.bin", "gone.bin"))
    assert answer.code == 4
    assert "1 of 3 URLs do not give what the catalog says" in answer.err
    found = json.loads(answer.out)
    assert [(each["url"], each["state"]) for each in found["links"]] == [
        (server.url("toys.bin"), "ok"),
        (server.url("gone.bin"), "dead"),
        (server.url("home"), "ok"),
    ]
    assert found["patches"] == []


def test_a_page_in_place_of_a_file_ends_with_4(
    command: Command, options: Callable[..., list[str]], server: FaultServer
) -> None:
    server.schedule("toys.bin", faults.drive_quota_page)
    answer = command("doctor", "--links", "toy", *options("toys.bin"))
    assert answer.code == 4
    assert "a Google Drive quota page" in answer.out


def test_after_three_days_a_patch_is_suggested(
    command: Command, options: Callable[..., list[str]], server: FaultServer, tmp_path: Path
) -> None:
    from dlcat.fetch.care import links

    chosen = options("gone.bin", "toys.bin")
    for day in ("2026-01-01", "2026-01-02"):
        result = links.Result(when=f"{day}T12:00:00+00:00", state="dead", reason="HTTP 404")
        links.keep(tmp_path / "cache" / "artifacts" / ".links.json", {server.url("gone.bin"): result})
    answer = command("doctor", "--links", "toy", *chosen)
    assert answer.code == 4
    assert "day 3 in a row; quarantined" in answer.out
    assert (
        f"suggested for {tmp_path / 'toy.yaml'} (patch -p1 in its folder):\n--- a/toy.yaml\n+++ b/toy.yaml\n"
        in answer.out
    )
    found = json.loads(command("doctor", "--links", "toy", "--json", *chosen).out)
    [patch] = found["patches"]
    assert patch["diff"].startswith("--- a/toy.yaml\n+++ b/toy.yaml\n@@")
    assert patch["by_hand"] == []


def test_a_dataset_that_does_not_exist_is_usage_2(command: Command, options: Callable[..., list[str]]) -> None:
    answer = command("doctor", "--links", "toys", *options("toys.bin"))
    assert (answer.code, answer.out) == (2, "")
    assert "did you mean 'toy'?" in answer.err


def test_without_a_network_on_purpose_no_link_is_asked(
    command: Command, options: Callable[..., list[str]], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLCAT_OFFLINE", "1")
    answer = command("doctor", "--links", "toy", "--mirror", server.url("base"), *options("toys.bin"))
    assert (answer.code, answer.out) == (4, "")
    assert "offline" in answer.err
    assert command("doctor", "--mirror", server.url("base"), *options("toys.bin")).code == 0
    assert server.requests == ()
