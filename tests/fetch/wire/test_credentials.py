"""Tokens reach the host they are for and nobody else, and are shown to nobody; seen with real servers on loopback."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlcat.errors import InvalidError
from dlcat.fetch.wire.credentials import Secret, authentication, read_tokens, redact, redact_text

TOKEN = "hf_AbC123=="


def tokens(**by_host: str) -> dict[str, Secret]:
    return {host: Secret(token) for host, token in by_host.items()}


@dataclass
class Witness:
    """A server that notes who was let see what, and sends on to `Location` whoever asks for /to/<url>."""

    url: str = ""
    seen: list[str | None] = field(default_factory=list)


@contextmanager
def witness(address: str = "127.0.0.1", certificate: Path | None = None) -> Iterator[Witness]:
    noted = Witness()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            noted.seen.append(self.headers.get("Authorization"))
            target = self.path.removeprefix("/to/")
            self.send_response(200 if target == self.path else 302)
            if target != self.path:
                self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((address, 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    noted.url = f"{'https' if certificate else 'http'}://{address}:{server.server_port}"
    yield noted
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _no_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def new_witness() -> Iterator[Callable[..., Witness]]:
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(witness(*arguments))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=loopback"
    made = subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt"],
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def get(url: str, known: dict[str, Secret], certificate: Path | None = None) -> requests.Response:
    return requests.get(
        url, auth=authentication(url, known), timeout=20, verify=str(certificate) if certificate else True
    )


def test_a_token_reaches_its_host_and_stays_when_the_host_sends_on_to_itself(new_witness):
    server = new_witness()
    assert get(f"{server.url}/to/{server.url}/file", tokens(**{"127.0.0.1": TOKEN})).ok
    assert get(f"{server.url}/to//file", tokens(**{"127.0.0.1": TOKEN})).ok
    assert server.seen == [f"Bearer {TOKEN}"] * 4


@pytest.mark.parametrize("address", ["127.0.0.2", "127.0.0.1"], ids=["another host", "another port"])
def test_a_token_is_not_sent_on_elsewhere(new_witness, address):
    first = new_witness()
    try:
        second = new_witness(address)
    except OSError:
        pytest.skip(f"this machine has no {address}")
    known = tokens(**{"127.0.0.1": TOKEN})
    assert get(f"{first.url}/to/{second.url}/file", known).ok
    assert (first.seen, second.seen) == ([f"Bearer {TOKEN}"], [None])


def test_a_token_that_left_its_host_does_not_come_back_with_the_next_redirect(new_witness):
    first, second = new_witness(), new_witness()
    assert get(f"{first.url}/to/{second.url}/to/{first.url}/file", tokens(**{"127.0.0.1": TOKEN})).ok
    assert first.seen == [f"Bearer {TOKEN}", None]
    assert second.seen == [None]


def test_the_same_host_by_another_name_is_another_host(new_witness):
    first, second = new_witness(), new_witness()
    elsewhere = second.url.replace("127.0.0.1", "localhost")
    assert get(f"{first.url}/to/{elsewhere}/file", tokens(**{"127.0.0.1": TOKEN, "localhost": "other"})).ok
    assert second.seen == [None]


@pytest.mark.parametrize("first_secure", [True, False], ids=["https to http", "http to https"])
def test_a_token_does_not_change_between_http_and_https(new_witness, certificate, first_secure):
    first = new_witness("127.0.0.1", certificate if first_secure else None)
    second = new_witness("127.0.0.1", None if first_secure else certificate)
    assert get(f"{first.url}/to/{second.url}/file", tokens(**{"127.0.0.1": TOKEN}), certificate).ok
    assert (first.seen, second.seen) == ([f"Bearer {TOKEN}"], [None])


def test_netrc_serves_hosts_without_a_token_and_only_those(new_witness, tmp_path: Path):
    server = new_witness()
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password word\n")
    assert get(f"{server.url}/file", {}).ok
    assert get(f"{server.url}/file", tokens(**{"127.0.0.1": TOKEN})).ok
    assert server.seen == ["Basic bWU6d29yZA==", f"Bearer {TOKEN}"]


def test_a_user_in_the_url_goes_before_a_token(new_witness):
    server = new_witness()
    assert get(f"{server.url}/file".replace("//", "//me:word@"), tokens(**{"127.0.0.1": TOKEN})).ok
    assert server.seen == ["Basic bWU6d29yZA=="]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://data.example.org/file", "data.example.org"),
        ("https://DATA.example.org:443/file", "data.example.org"),
        ("https://data.example.org:8443/file", "data.example.org:8443"),
        ("https://data.example.org:9000/file", "data.example.org"),  # for every port, where none is named
        ("http://mirror.local/file", "http://mirror.local"),
        ("http://mirror.local:8080/file", "http://mirror.local:8080"),
        ("http://mirror.local:8081/file", "http://mirror.local"),
        ("http://localhost:8080/file", "localhost"),
        ("http://127.0.0.1:8080/file", "127.0.0.1"),
        ("http://[::1]:8080/file", "[::1]"),
        ("https://example.org/file", None),
        ("https://evil-data.example.org/file", None),
        ("https://data.example.org.evil.org/file", None),
        ("https://evil.org/data.example.org", None),
        ("https://data.example.org@evil.org/file", None),
        ("http://data.example.org/file", None),  # in the clear, and not asked for
        ("https://mirror.local/file", None),
        ("package:sklearn/datasets/data/digits.csv.gz", None),
        ("http://[broken", None),
    ],
)
def test_a_token_is_for_the_host_it_names(url, name):
    names = (
        "data.example.org",
        "data.example.org:8443",
        "http://mirror.local",
        "http://mirror.local:8080",
        "localhost",
        "127.0.0.1",
        "[::1]",
    )
    known = {each: Secret(f"token-{each}") for each in names}
    found = authentication(url, known)
    if name is None:
        assert found is None
    else:
        assert found is not None
        request = requests.Request("GET", url).prepare()
        assert found(request).headers["Authorization"] == f"Bearer token-{name}"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_tokens_come_from_variables_and_a_file_and_the_later_of_them_wins(tmp_path: Path):
    file = write(
        tmp_path / "tokens.yaml",
        "one.org: file-one\ntwo.org: file-two\nthree.org: file-three\nOne.org:8443: 'file-port'\n"
        "http://mirror.local:80: file-mirror\nhttps://four.org:443/: file-four\n",
    )
    variables = {
        "DLCAT_TOKENS": " two.org=list-two\tTHREE.org=list-three= five.org:08443=list-five\n",
        "DLCAT_TOKEN_THREE_ORG": "own-three",
        "DLCAT_TOKEN_DATA_MY__LAB_ORG": "own-lab",
        "DLCAT_TOKEN_ONE_ORG": "",
    }
    assert read_tokens(variables, file) == {
        "one.org": "file-one",
        "two.org": "list-two",
        "three.org": "own-three",
        "one.org:8443": "file-port",
        "http://mirror.local": "file-mirror",
        "four.org": "file-four",
        "five.org:8443": "list-five",
        "data.my-lab.org": "own-lab",
    }


@pytest.mark.parametrize("place", ["tokens.yaml", "no folder/tokens.yaml", "file/tokens.yaml"])
def test_nobody_needs_to_have_a_token(tmp_path: Path, place: str):
    (tmp_path / "file").write_text("")
    assert read_tokens({}, tmp_path / place) == {}
    assert read_tokens({"DLCAT_TOKENS": "  "}, write(tmp_path / "empty.yaml", "")) == {}


@pytest.mark.skipif(os.name != "posix", reason="other systems keep rights in other ways")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o777])
def test_a_file_that_others_may_open_is_refused_with_the_way_out(tmp_path: Path, mode: int):
    file = write(tmp_path / "my tokens.yaml", f"one.org: {TOKEN}\n", mode)
    with pytest.raises(InvalidError, match=f"other users .* {mode:04o}") as caught:
        read_tokens({}, file)
    assert caught.value.exit_code == 3
    assert caught.value.hint == f"chmod 600 '{file}'"
    subprocess.run(caught.value.hint, shell=True, check=True)
    assert read_tokens({}, file) == {"one.org": TOKEN}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"one.org: a\n{TOKEN}\n", ":3"),
        (f"one.org: !{TOKEN} x\n", ":1"),
        (f"one.org: &{TOKEN} x\n", ":1"),
        (f"one.org: '{TOKEN}\n", ":"),
        (f'one.org: "\\q{TOKEN}"\n', ":1"),
        (f"- {TOKEN}\n", ":1"),
        (f"one.org: a\n{TOKEN}: a\n{TOKEN}: b\n", ":3"),
        (f"one.org: [{TOKEN}]\n", ":1"),
        (f"\none.org: {{token: {TOKEN}}}\n", ":2"),
        ("one.org: 123456\n", ":1"),
        ("one.org:\n", ":1"),
        ("one.org: ''\n", ":1"),
        (f"one.org: {TOKEN} and more\n", ":1"),
        (f"one.org: {TOKEN}é\n", ":1"),
        (f"\none.org: Bearer {TOKEN}\n", ":2"),
        (f"https://one.org/{TOKEN}: a\n", ":1"),
        (f"{TOKEN}=: one.org\n", ":1"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_by_its_line_and_not_shown(tmp_path: Path, text: str, line: str):
    file = write(tmp_path / "tokens.yaml", text)
    with pytest.raises(InvalidError) as caught:
        read_tokens({}, file)
    assert caught.value.message.startswith(f"{file}{line}")
    told = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in told.replace(text, "")
    assert "123456" not in told


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"DLCAT_TOKENS": f"one.org=a {TOKEN}"}, "DLCAT_TOKENS, item 2"),
        ({"DLCAT_TOKENS": TOKEN.removesuffix("==")}, "DLCAT_TOKENS, item 1"),
        ({"DLCAT_TOKENS": f"https://one.org/path={TOKEN}"}, "DLCAT_TOKENS, item 1"),
        ({"DLCAT_TOKENS": f"=a {TOKEN}=one.org"}, "DLCAT_TOKENS, item 1"),
        ({"DLCAT_TOKEN_ONE_ORG": f"{TOKEN}\r\nHost: evil.org"}, "DLCAT_TOKEN_ONE_ORG"),
        ({"DLCAT_TOKEN_ONE_ORG": f" {TOKEN}"}, "DLCAT_TOKEN_ONE_ORG"),
    ],
)
def test_what_is_wrong_in_a_variable_is_named_and_not_shown(tmp_path: Path, variables: dict[str, str], place: str):
    with pytest.raises(InvalidError, match=f"^{place}: ") as caught:
        read_tokens(variables, tmp_path / "none")
    assert "AbC123" not in str(caught.value)


def test_a_token_is_in_no_repr(tmp_path: Path):
    known = read_tokens({"DLCAT_TOKENS": f"one.org={TOKEN}"}, tmp_path / "none")
    auth = authentication("https://one.org/file", known)
    assert auth is not None
    request = requests.Request("GET", "https://one.org/file", auth=auth)
    prepared = request.prepare()
    assert prepared.headers["Authorization"] == f"Bearer {TOKEN}"
    shown = repr(
        [known, auth, request.__dict__, prepared, prepared.headers, prepared.__dict__, prepared.copy().headers]
    )
    assert TOKEN not in shown
    assert "'***'" in shown


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://host/a/b.zip", "https://host/a/b.zip"),
        ("https://me@host:8443/a?b=c#d", "https://host:8443/a"),
        ("https://me:pa@ss@host/a@2x.png", "https://host/a@2x.png"),
        ("https://me:pa:ss@[::1]:80/@user/a", "https://[::1]:80/@user/a"),
        ("HTTP://me:word@host", "HTTP://host"),
        ("http://host?key=https://me:word@other/", "http://host"),
        ("http://me:pa/ss@host/a", "http://***"),
        ("http://me:pa#ss@host/a", "http://***"),
        ("http://me:pa[ss/@host/a", "http://***"),
        ("//me:word@host/a", "//host/a"),
        ("1http://me:word@host/a", "1http://host/a"),
        ("package:sklearn/datasets/data/digits.csv.gz", "package:sklearn/datasets/data/digits.csv.gz"),
        ("/home/me/a file#1?.zip", "/home/me/a file#1?.zip"),
        ("", ""),
    ],
)
def test_a_url_is_told_without_what_may_be_secret(url, told):
    assert redact(url) == told


words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=4, max_size=12).map(
    lambda word: f"Z{word}Z"
)


@given(words, words, words, st.text("/a.@", max_size=6), st.sampled_from(["", ":", "/", "?", "#", "@", "[", "\\", " "]))
@settings(max_examples=300, deadline=None)
def test_no_user_password_or_query_is_left_whatever_stands_in_it(user, password, query, path, sign):
    url = f"https://{user}:{password}{sign}{password}@host.example/{path}?{query}#{query}"
    for told in (redact(url), redact_text(f"no route to {url}") if sign != " " else ""):
        assert not any(word in told.replace("host.example", "") for word in (user, password, query))
    assert redact(redact(url)) == redact(url)


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
@settings(max_examples=200, deadline=None)
@example("http://[", [])
def test_any_text_can_be_redacted(text, secrets):
    redact(text)
    redact_text(text, secrets)


def test_secrets_are_hidden_in_every_form_and_the_longer_first():
    secrets = [Secret("to/ken"), "to/ken=long", ""]
    text = f"to/ken to/ken=long {quote('to/ken=long', safe='')} {quote('to/ken', safe='')} (to/ken)"
    assert redact_text(text, secrets) == "*** *** *** *** (***)"


def test_long_texts_are_redacted_without_delay():
    assert redact_text("x" * 300_000) == "x" * 300_000  # minutes, where every letter may begin a URL without end
