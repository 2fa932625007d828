"""Sources opened: what each failure is called, and to whom a token goes."""

from __future__ import annotations

import pytest
import requests

from dlcat.fetch.wire.answer import BRIEF, FINAL, Asked, SourceError
from dlcat.fetch.wire.credentials import Secret
from dlcat.fetch.wire.network import Network
from dlcat.fetch.wire.transport import opened, packaged_path
from dlcat.testing import FaultServer, faults


def open_once(url, asked=None, network=None):
    network = network or Network()
    with network.session() as session, opened(url, asked or Asked(), session, network.authentication(url)) as response:
        return response.answer, b"".join(response.chunks())


@pytest.fixture
def lab():
    with FaultServer({"a.bin": bytes(1000)}) as server:
        yield server


def test_an_answer_tells_length_and_validator(lab):
    answer, body = open_once(lab.url("a.bin"))
    assert (answer.status, answer.total_bytes, len(body)) == (200, 1000, 1000)
    assert answer.validator is not None
    answer, body = open_once(lab.url("a.bin"), Asked(10, 20, answer.validator, 1000))
    assert (answer.status, answer.start, answer.end, answer.total_bytes, len(body)) == (206, 10, 20, 1000, 10)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.redirect_loop, "redirects in a circle"),
        (faults.drop_after(600), "ended after 600 of 1000 bytes"),
        (faults.hang_up, "."),
    ],
)
def test_what_goes_wrong_is_said_in_one_sentence(lab, fault, reason):
    lab.schedule("a.bin", fault)
    with pytest.raises(SourceError, match=reason) as caught:
        open_once(lab.url("a.bin"))
    assert "\n" not in caught.value.message


def test_who_cannot_be_reached_is_not_asked_for_long(lab):
    with pytest.raises(SourceError, match="Connection refused") as caught:
        open_once(lab.refused_url("a.bin"))
    assert caught.value.patience == BRIEF
    for url in (
        lab.url("a.bin", scheme="https"),
        "http://",
        "http://[/file",
        "http://host:99999/file",
        "ftp://host/file",
    ):
        with pytest.raises(SourceError) as caught:
            open_once(url)
        assert caught.value.patience == FINAL


def test_a_token_goes_to_its_host_and_not_along_with_a_redirect(lab):
    with FaultServer({"b.bin": bytes(10)}, host="127.0.0.2") as elsewhere:
        lab.schedule("a.bin", faults.redirect(elsewhere.url("b.bin")))
        tokens = {"127.0.0.1": Secret("sesame"), "127.0.0.3": Secret("other")}
        _, body = open_once(lab.url("a.bin"), network=Network(tokens=tokens))
        assert len(body) == 10
        assert lab.requests[0].headers["authorization"] == "Bearer sesame"
        assert "authorization" not in elsewhere.requests[0].headers


def test_a_session_serves_one_connection_after_the_other(lab):
    network = Network()
    for _ in range(3):
        open_once(lab.url("a.bin"), network=network)
    assert lab.connections == 1
    with network.session() as one, network.session() as two:
        assert one is not two
        assert isinstance(two, requests.Session)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("no_such_package_here/file", "'no_such_package_here' is not installed"),
        ("no_such_package_here.sub/file", "'no_such_package_here.sub' is not installed"),
        ("dlcat/no-such-file", "holds no file 'no-such-file'"),
        ("dlcat/catalog", "holds no file 'catalog'"),
        ("dlcat/../tests/fetch/conftest.py", "leads out of the package"),
        ("dlcat//etc/hostname", "leads out of the package"),
    ],
)
def test_a_package_without_the_file_is_a_reason(source, reason):
    with pytest.raises(SourceError, match=reason):
        packaged_path(source)
