"""The proxy of the fault lab: what passes, what it tells, and that it ends."""

from __future__ import annotations

import doctest
import socket
import threading
from urllib.parse import urlsplit

import pytest
import requests

from dlcat.testing import FaultServer, Proxy, can_sign, faults
from dlcat.testing import proxy as module

BODY = bytes(range(256)) * 1000
PATIENCE_SECONDS = 20


def get(url, proxy, **options):
    return requests.get(url, proxies={"http": proxy, "https": proxy}, timeout=PATIENCE_SECONDS, **options)


@pytest.fixture(autouse=True)
def _no_thread_stays():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "dlcat-proxy"]


@pytest.fixture
def server():
    with FaultServer({"a.bin": BODY}) as running:
        yield running


def test_the_example_is_true():
    assert doctest.testmod(module).failed == 0


def test_plain_http_is_asked_for_by_its_whole_url(server):
    with Proxy() as proxy:
        found = get(server.url("a.bin"), proxy.url, headers={"Range": "bytes=1-9"})
        (shown,) = proxy.requests
    assert (found.status_code, found.content) == (206, BODY[1:10])
    assert (shown.method, shown.target, shown.status) == ("GET", server.url("a.bin"), 200)
    assert shown.headers["range"] == "bytes=1-9"
    assert server.requests[0].target == "/a.bin"


@pytest.mark.skipif(not can_sign(), reason="no openssl")
def test_https_passes_through_a_tunnel_unseen():
    with FaultServer({"a.bin": BODY}, tls=True) as server, Proxy() as proxy:
        found = get(server.url("a.bin"), proxy.url, verify=str(server.certificate), headers={"X-Secret": "sesame"})
        (shown,) = proxy.requests
        assert found.content == BODY
        assert (shown.method, shown.target) == ("CONNECT", urlsplit(server.base).netloc)
        assert "x-secret" not in shown.headers
        assert server.requests[0].headers["x-secret"] == "sesame"


def test_who_does_not_know_the_password_is_refused_and_who_does_shows_it_to_the_proxy_alone(server):
    with Proxy(user="me@lab", password="se:cret/1") as proxy:
        assert get(server.url("a.bin"), proxy.url).content == BODY
        stranger = f"http://127.0.0.1:{urlsplit(proxy.url).port}"
        assert get(server.url("a.bin"), stranger).status_code == 407
        assert [shown.status for shown in proxy.requests] == [200, 407]
    assert len(server.requests) == 1
    assert not [name for name in server.requests[0].headers if name.startswith("proxy-")]


def test_where_nobody_listens_it_is_a_bad_gateway(server):
    with Proxy() as proxy:
        assert get(server.refused_url(), proxy.url).status_code == 502
        assert proxy.requests[0].status == 502


def test_it_ends_while_an_answer_stands_still(server):
    server.schedule("a.bin", faults.stall_after(100))
    with Proxy() as proxy, socket.create_connection(("127.0.0.1", urlsplit(proxy.url).port)) as client:
        client.sendall(f"GET {server.url('a.bin')} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        server.wait_stalled()
    server.release()


def test_what_is_no_request_is_not_answered():
    with Proxy() as proxy, socket.create_connection(("127.0.0.1", urlsplit(proxy.url).port)) as client:
        client.sendall(b"hello\r\n\r\n")
        assert client.recv(100) == b""
        assert proxy.requests == ()


def test_without_running_it_has_no_address():
    with pytest.raises(RuntimeError, match="not running"):
        _ = Proxy().url
