"""Bearer tokens by host, given to that host and to nobody else, and texts without what is secret in them.

A token comes from DLCAT_TOKENS ("host=token other.org:8443=token"), from DLCAT_TOKEN_<HOST>, or from tokens.yaml in the
user's config folder (`host: token`). In the variable's name an underscore stands for a dot and two for a dash, so that
one name means one host: DLCAT_TOKEN_DATA_MY__LAB_ORG is for data.my-lab.org. What ~/.netrc holds is used by `requests`.

A token is sent over https. Over http, where everybody on the way can read it, it is sent to this machine itself, and to
a host that is written with its scheme: "http://mirror.local:8080".
"""

from __future__ import annotations

import os
import re
import shlex
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from dlcat.errors import InvalidError
from dlcat.fetch.wire.hosts import host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from requests import PreparedRequest

HIDDEN = "***"
_Found = tuple[str, str, str]
"""Where it stands, the host as it is written, the token."""

_SCHEME = re.compile(r"(?:[a-z0-9+.-]+:)?//", re.ASCII | re.IGNORECASE)
_URL = re.compile(
    rf"(?P<scheme>{_SCHEME.pattern})(?:[^/?#]*@)?(?P<host>[^/?#@:\[\]]*|\[[0-9a-f:.%]*\])(?P<port>:[0-9]*)?"
    r"(?P<path>/[^?#]*)?(?:[?#].*)?",
    re.ASCII | re.DOTALL | re.IGNORECASE,
)
_URL_IN_TEXT = re.compile(r"[a-z0-9+.-]{1,20}://\S+", re.ASCII | re.IGNORECASE)  # bounded: linear in the text's length
_HOST = re.compile(r"(?:(http)://|https://)?([^\s/@:?#=\[\]]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?", re.ASCII)
_TOKEN = re.compile(r"=*[0-9A-Za-z_~+/.-][\x21-\x7e]*")  # not the padding alone: then the host is a token


class Secret(str):
    """Text that `repr` does not show: no traceback, record or dictionary that holds it does."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(HIDDEN)


def read_tokens(variables: Mapping[str, str], file: Path) -> dict[str, Secret]:
    """The tokens by host, 'host:port' or 'http://host'; the file is read first, then DLCAT_TOKENS, then the rest.

    Args:
        variables: see `locations.token_variables`.
        file: see `locations.tokens_file`; it need not exist.

    Raises:
        InvalidError: the file may be read by others, or something in it or in a variable is no host or no token.
    """
    found = (*_from_file(file), *_from_variables(variables))
    return {_checked_host(place, name): _checked_token(place, token) for place, name, token in found}


def authentication(url: str, tokens: Mapping[str, Secret]) -> Callable[[PreparedRequest], PreparedRequest] | None:
    """What to hand to `requests` as `auth` for this URL; None where there is no token for its host.

    None leaves the choice to `requests`, which knows netrc. The token becomes the header Authorization, which `requests`
    takes off again when a redirect leads to another host, port or scheme. User and password in the URL go before a token.
    """
    if _has_user(url):
        return None
    token = next((tokens[name] for name in _names(url) if name in tokens), None)
    return None if token is None else partial(_authorize, token)


def redact(url: str) -> str:
    """The URL without user, password, query and fragment; what is no URL (package:NAME/path) stays as it is.

    >>> redact("https://me:secret@data.example:8443/a/b@2x.zip?key=secret#top")
    'https://data.example:8443/a/b@2x.zip'
    """
    found = _URL.fullmatch(url.strip())
    if found:
        return "".join(found.group("scheme", "host")) + "".join(part or "" for part in found.group("port", "path"))
    # It cannot be told where the password ends: '/', '?' or '#' may stand in it.
    scheme = _SCHEME.match(url.strip())
    return f"{scheme[0]}{HIDDEN}" if scheme else url


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with every URL in it redacted, and every secret hidden, also where it is percent-encoded.

    >>> redact_text("GET http://me:pass@host/file?key=1 with abc", ["abc"])
    'GET http://host/file with ***'
    """
    hidden = {form for secret in secrets if secret for form in (str(secret), quote(secret), quote(secret, safe=""))}
    for form in sorted(hidden, key=len, reverse=True):  # a secret may begin with another one
        text = text.replace(form, HIDDEN)
    return _URL_IN_TEXT.sub(lambda found: redact(found[0]), text)


def _authorize(token: Secret, request: PreparedRequest) -> PreparedRequest:
    request.headers["Authorization"] = Secret(f"Bearer {token}")
    return request


def _has_user(url: str) -> bool:
    try:
        return "@" in urlsplit(url).netloc
    except ValueError:
        return False


def _names(url: str) -> list[str]:
    """Under which names a token for the URL's host may be kept, the one that says most first."""
    full = host(url)
    if not full:
        return []
    bare = re.sub(r":[0-9]+$", "", full)
    names = list(dict.fromkeys((full, bare)))
    if url.strip().lower().startswith("https:"):
        return names
    return [*(f"http://{name}" for name in names), *(names if _is_this_machine(bare) else [])]


def _is_this_machine(name: str) -> bool:
    try:
        return name == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _from_variables(variables: Mapping[str, str]) -> Iterator[_Found]:
    for position, item in enumerate(variables.get("DLCAT_TOKENS", "").split(), start=1):
        name, _, token = item.partition("=")
        yield f"DLCAT_TOKENS, item {position}", name, token
    for variable, token in variables.items():
        if variable != "DLCAT_TOKENS" and token:  # an empty variable names nothing
            yield variable, variable.removeprefix("DLCAT_TOKEN_").replace("__", "-").replace("_", "."), token


def _from_file(path: Path) -> Iterator[_Found]:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise InvalidError(f"{path}: cannot be read: {error.strerror}") from error
    if os.name == "posix" and mode & 0o077:
        raise InvalidError(
            f"{path}: holds tokens, and other users of this machine may open it (mode {mode & 0o777:04o})",
            hint=f"chmod 600 {shlex.quote(str(path))}",
        )
    yield from _parsed(path)


def _parsed(path: Path) -> Iterator[_Found]:
    from dlcat.document import load  # YAML, needed only by who keeps such a file

    try:
        document = load(path)
    except InvalidError as error:
        # The reason may quote what it stumbled over, which may be a token.
        place = re.match(rf"{re.escape(str(path))}(:[0-9]+)?", error.message)
        raise InvalidError(f"{place[0] if place else path}: expected lines of the form `host: token`") from None
    for name, token in document.data.items():
        line = f"{path}:{document.lines[name,]}"
        if not isinstance(token, str):
            raise InvalidError(f"{line}: expected a token as text", hint="put it in quotes")
        yield line, name, token


def _checked_host(place: str, name: str) -> str:
    """The name as `_names` gives it. What is wrong is not quoted: it may be a token in the wrong place."""
    found = _HOST.fullmatch(name.lower())
    if found is None:
        raise InvalidError(f"{place}: expected host=token, the host as in data.example.org or localhost:8000")
    scheme, bare, port = found.groups()
    full = bare if port in (None, "80" if scheme else "443") else f"{bare}:{int(port)}"
    return f"http://{full}" if scheme else full


def _checked_token(place: str, token: str) -> Secret:
    if not _TOKEN.fullmatch(token):
        raise InvalidError(f"{place}: expected a token of signs that an HTTP header may hold")
    return Secret(token)
