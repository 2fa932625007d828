"""Proxies come from the environment: what passes through one, what it gets to see, and who hears of its password."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from urllib.parse import urlsplit

import pytest

from dlcat.catalog.dataset import Artifact
from dlcat.errors import UnreachableError
from dlcat.fetch.fetch import fetch
from dlcat.fetch.wire.credentials import Secret
from dlcat.fetch.wire.network import Network
from dlcat.testing import FaultServer, Impatient, Proxy, can_sign, faults

BODY = bytes(range(256)) * 4000
PASSWORD = "pass%2Fword9"
"""As it is written in a URL; 'pass/word9' as it is meant."""
FORMS = ("pass%2Fword9", "pass/word9", "bWU6cGFzcy93b3JkO")
"""How it could be written anywhere: percent-encoded, plain, and as the beginning of base64 of 'me:pass/word9'."""

needs_tls = pytest.mark.skipif(not can_sign(), reason="no openssl")


@pytest.fixture
def lab():
    with FaultServer({"a.bin": BODY}) as server:
        yield server


@pytest.fixture
def secure(monkeypatch):
    with FaultServer({"a.bin": BODY}, tls=True) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.certificate))
        yield server


@pytest.fixture
def proxy():
    with Proxy(user="me", password="pass/word9") as running:
        assert PASSWORD in running.url
        yield running


@pytest.fixture
def toy(make_dataset):
    """toy(url, ...): a dataset of one artifact with these sources."""

    def make(*urls):
        sha256 = hashlib.sha256(BODY).hexdigest()
        return make_dataset(
            Artifact(
                file="a.bin", urls=list(urls), size=len(BODY), checksums={"sha256": sha256}, provenance="made here"
            )
        )

    return make


def bring(dataset, store, **options):
    return list(fetch(dataset, store, network=Network(connections=1, random=Impatient(), **options)))


def written(store):
    """Everything that lies in the cache, but for the data."""
    paths = (path for path in store.locations.cache.rglob("*") if path.is_file())
    return b"".join(str(path).encode() + path.read_bytes() for path in paths if path.name != "a.bin").decode("latin-1")


def assert_secret(*texts):
    for text in texts:
        assert not [form for form in FORMS if form in text], text


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"])
def test_http_goes_through_the_proxy_as_a_whole_url(variable, lab, proxy, toy, store, monkeypatch):
    if variable == "HTTP_PROXY":
        monkeypatch.delenv("REQUEST_METHOD", raising=False)  # set, it would mean that this is a CGI script
    monkeypatch.setenv(variable, proxy.url)
    records = bring(toy(lab.url("a.bin")), store)
    assert {(shown.method, shown.target, shown.status) for shown in proxy.requests} == {("GET", lab.url("a.bin"), 200)}
    assert len(lab.requests) == len(proxy.requests)
    assert "proxy-authorization" not in lab.requests[0].headers
    assert written(store)
    assert_secret(repr(records), written(store))


@needs_tls
@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_https_goes_through_a_tunnel_which_sees_no_token(variable, secure, proxy, toy, store, monkeypatch):
    monkeypatch.setenv(variable, proxy.url)
    records = bring(toy(secure.url("a.bin")), store, tokens={"127.0.0.1": Secret("sesame")})
    place = urlsplit(secure.base).netloc
    assert {(shown.method, shown.target, shown.status) for shown in proxy.requests} == {("CONNECT", place, 200)}
    assert "sesame" not in repr(proxy.requests)
    assert all("authorization" not in shown.headers for shown in proxy.requests)
    assert secure.requests[0].headers["authorization"] == "Bearer sesame"
    assert not [name for name in secure.requests[0].headers if name.startswith("proxy")]
    assert_secret(repr(records), written(store))


@pytest.mark.parametrize("spared", ["127.0.0.1", "localhost,127.0.0.0/8", "*"])
def test_who_is_to_be_reached_without_it_is(spared, lab, proxy, toy, store, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("NO_PROXY", spared)
    bring(toy(lab.url("a.bin")), store)
    assert proxy.requests == ()
    assert lab.requests


def test_a_redirect_to_who_is_spared_leaves_the_proxy(lab, proxy, toy, store, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "127.0.0.2")
    with FaultServer({"b.bin": BODY}, host="127.0.0.2") as elsewhere:
        lab.schedule("a.bin", faults.redirect(elsewhere.url("b.bin")))
        bring(toy(lab.url("a.bin")), store)
        assert {shown.target for shown in proxy.requests} == {lab.url("a.bin")}
        assert not [name for name in elsewhere.requests[0].headers if name.startswith("proxy")]


@needs_tls
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_dead_proxy_is_named_without_its_password(scheme, lab, secure, toy, store, monkeypatch):
    dead = lab.refused_url().rstrip("/")
    monkeypatch.setenv(f"{scheme}_proxy", dead.replace("//", f"//me:{PASSWORD}@"))
    server = {"http": lab, "https": secure}[scheme]
    with pytest.raises(UnreachableError) as caught:
        bring(toy(server.url("a.bin")), store)
    assert caught.value.exit_code == 4
    assert f"from {server.url('a.bin')}: the proxy {dead} failed: Connection refused" in caught.value.message
    assert server.requests == ()
    assert_secret(str(caught.value), written(store))


@needs_tls
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_another_password_is_not_asked_again(scheme, lab, secure, proxy, toy, store, monkeypatch):
    monkeypatch.setenv(f"{scheme}_proxy", proxy.url.replace(PASSWORD, "passnot"))
    server = {"http": lab, "https": secure}[scheme]
    with pytest.raises(UnreachableError, match="407 Proxy") as caught:
        bring(toy(server.url("a.bin")), store)
    assert len(proxy.requests) == 1
    assert "passnot" not in str(caught.value)
    assert server.requests == ()


@pytest.mark.parametrize(
    "address",
    [
        "me:{}@127.0.0.1:port",
        "http://me:{}@127.0.0.1:port",
        "http://me:{}@",
        "socks5://me:{}@127.0.0.1:1",
        "gopher://me:{}@[",
        "me:{}@[::1",
    ],
)
def test_an_address_that_is_none_is_an_error_without_the_password(address, lab, toy, store, monkeypatch):
    monkeypatch.setenv("http_proxy", address.format(PASSWORD))
    with pytest.raises(UnreachableError) as caught:
        bring(toy(lab.url("a.bin")), store)
    assert "proxy" in caught.value.message or "SOCKS" in caught.value.message
    assert lab.requests == ()
    assert_secret(str(caught.value), written(store))


@pytest.mark.skipif(find_spec("socks") is not None, reason="PySocks is installed")
def test_a_socks_proxy_says_what_it_needs(lab, toy, store, monkeypatch):
    monkeypatch.setenv("http_proxy", f"socks5://me:{PASSWORD}@127.0.0.1:1")
    with pytest.raises(UnreachableError, match=r"dlcat\[socks\]"):
        bring(toy(lab.url("a.bin")), store)
