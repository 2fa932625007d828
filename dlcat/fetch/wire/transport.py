"""Sources opened: http(s) URLs, whole or by range, and files inside installed packages.

What is wrong with the source is a SourceError whose message is the bare reason, so that the caller can go on to the
next one.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dlcat.fetch.identity import CHUNK_BYTES
from dlcat.fetch.wire.answer import BRIEF, FINAL, PASSING, Answer, Asked, SourceError, read_answer
from dlcat.fetch.wire.credentials import redact, redact_text
from dlcat.fetch.wire.hosts import retry_after_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

CONNECT_SECONDS = 10
READ_SECONDS = 30
"""Without a byte for this long a source counts as dead; every byte starts the clock anew, so a slow link is none."""
FAST_BYTES_PER_SECOND = 8 * 2**20
"""From here on whole chunks are waited for, which is twice as fast as taking what is there."""


class Response:
    """An answer whose body has not been read yet."""

    def __init__(self, response: requests.Response, answer: Answer) -> None:
        self.answer = answer
        self.content_type = response.headers.get("Content-Type")
        self.url = response.url
        """Where redirects have led."""
        self._response = response

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes, not decoded: a server that labels a .gz file as encoded still means the file.

        Raises:
            SourceError: it breaks off, or no byte comes for too long.
        """
        from urllib3.exceptions import HTTPError

        raw = self._response.raw
        is_fast = False
        try:
            while True:
                before_seconds = monotonic()
                read = raw.read if is_fast else raw.read1
                chunk: bytes = read(CHUNK_BYTES, decode_content=False)
                if not chunk:
                    return
                yield chunk
                is_fast = len(chunk) > FAST_BYTES_PER_SECOND * (monotonic() - before_seconds)
        except (HTTPError, OSError, ValueError) as error:  # ValueError: closed by `abort`
            raise SourceError(reason(error)) from error

    def abort(self) -> None:
        """End the body now, also for a thread that waits for its next byte."""
        shutdown = getattr(self._response.raw, "shutdown", None)
        try:
            if shutdown is not None:
                shutdown()
        except (OSError, ValueError, RuntimeError):
            pass  # it has ended by itself

    def close(self) -> None:
        """Give the connection back where the body was read to its end, else close it."""
        self._response.close()


def new_session() -> requests.Session:
    """Connections to be used again, through the proxies of the environment, which is asked anew after a redirect."""
    import requests

    class Session(requests.Session):
        def merge_environment_settings(self, url: Any, *others: Any) -> Any:
            _require_proxy(str(url))
            merge: Any = super().merge_environment_settings
            return merge(url, *others)

        def rebuild_proxies(self, prepared_request: Any, _: Any) -> Any:
            _require_proxy(str(prepared_request.url))
            rebuild: Any = super().rebuild_proxies
            return rebuild(prepared_request, {})  # not that of the first host: NO_PROXY may name this one

    return Session()


@contextmanager
def opened(url: str, asked: Asked, session: requests.Session, authentication: Any = None) -> Iterator[Response]:
    """The answer to a request for bytes of a URL; redirects are followed.

    Raises:
        SourceError: there is none.
    """
    import requests

    try:
        response = session.get(
            url,
            headers={"Accept-Encoding": "identity", "User-Agent": f"dlcat/{version()}", **asked.headers()},
            auth=authentication,
            stream=True,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
    except (requests.RequestException, ValueError) as error:  # ValueError: a URL that cannot be one
        raise SourceError(reason(error), _patience(error)) from error
    try:
        wait_seconds = retry_after_seconds(response.headers, time())
        yield Response(response, read_answer(response.status_code, response.reason, response.headers, wait_seconds))
    finally:
        response.close()


def packaged_path(name: str) -> Path:
    """The file NAME/path inside an installed package, found without importing the package.

    Raises:
        SourceError: no such package, or no such file in it.
    """
    from importlib.util import find_spec

    package, _, inside = name.partition("/")
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):  # the parent of a dotted name is missing
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(f"the Python package {package!r} is not installed", FINAL)
    folder = Path(next(iter(spec.submodule_search_locations))).resolve()
    path = (folder / inside).resolve()
    if not path.is_relative_to(folder):
        raise SourceError(f"{inside!r} leads out of the package {package!r}", FINAL)
    if not path.is_file():
        raise SourceError(f"the Python package {package!r} holds no file {inside!r}", FINAL)
    return path


def reason(error: Exception) -> str:
    """The one sentence that matters in a chain of network errors."""
    from requests import exceptions
    from urllib3.exceptions import IncompleteRead, InvalidChunkLength, ReadTimeoutError

    chain = _chain(error)
    for link in chain:
        if isinstance(link, IncompleteRead) and link.expected is not None:
            return f"the body ended after {link.partial} of {link.partial + link.expected} bytes"
        if isinstance(link, exceptions.ConnectTimeout):
            return f"no connection within {CONNECT_SECONDS} s"
        if isinstance(link, exceptions.ReadTimeout | ReadTimeoutError):
            return f"no byte for {READ_SECONDS} s"
        if isinstance(link, exceptions.TooManyRedirects):
            return "it redirects in a circle"
        if isinstance(link, InvalidChunkLength):
            return "the body broke off"
    deepest = chain[-1]
    said = (getattr(deepest, "strerror", None) or str(deepest) or type(deepest).__name__).strip()
    return _proxy(error) + redact_text(said, _proxy_logins())


def version() -> str:
    """The version of dlcat that is installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("dlcat")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


def _patience(error: Exception) -> Any:
    """Certificates, proxies, redirects and URLs do not mend themselves; a host that is not there hardly does."""
    from requests import exceptions

    final = (exceptions.SSLError, exceptions.InvalidProxyURL, exceptions.TooManyRedirects, exceptions.InvalidURL)
    if isinstance(error, exceptions.ProxyError) and "failed: 407 " in reason(error):
        return FINAL  # the proxy wants a password; otherwise it stands for what is behind it
    if isinstance(error, final) or not isinstance(error, exceptions.ConnectionError | exceptions.Timeout):
        return FINAL
    refused = any(isinstance(link, ConnectionRefusedError) or _is_unknown_host(link) for link in _chain(error))
    return BRIEF if refused or isinstance(error, exceptions.ConnectTimeout) else PASSING


def _proxy(error: Exception) -> str:
    """Where it was not the source that failed: which proxy it was."""
    from requests import exceptions

    if not isinstance(error, exceptions.ProxyError) or error.request is None:
        return ""
    return f"the proxy {redact(_proxy_address(str(error.request.url)))} failed: "


def _require_proxy(url: str) -> None:
    """Refuse a proxy that is no address before `requests` meets it, which may fail in any way then."""
    from requests.exceptions import InvalidProxyURL

    address = _proxy_address(url)
    try:
        parts = urlsplit(address)
        is_address = not address or bool(parts.hostname and (parts.port is None or parts.port))
    except ValueError:
        is_address = False
    if not is_address:
        raise InvalidProxyURL("the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names is no address")
    if address.startswith("socks") and find_spec("socks") is None:
        raise InvalidProxyURL("the environment names a SOCKS proxy, which needs: pip install 'dlcat[socks]'")


def _proxy_address(url: str) -> str:
    """Through which proxy the environment wants the URL to be reached; empty for none."""
    from requests.utils import get_environ_proxies, select_proxy

    try:
        address = select_proxy(url, get_environ_proxies(url)) or ""
    except ValueError:  # the URL is none
        return ""
    return address if not address or "://" in address else f"http://{address}"


def _proxy_logins() -> set[str]:
    """User and password of every proxy as they are written: an address that cannot be parsed is quoted by some errors."""
    from urllib.request import getproxies

    written = (address.partition("://")[2] or address for address in getproxies().values())
    return {login for address in written if (login := address.rpartition("@")[0])}


def _is_unknown_host(error: BaseException) -> bool:
    import socket

    return isinstance(error, socket.gaierror)


def _chain(error: BaseException) -> list[BaseException]:
    """The error, and what it was raised for: its cause, or what the network libraries wrapped in its arguments."""
    chain = [error]
    while (inner := _inner(chain[-1])) is not None and inner not in chain:
        chain.append(inner)
    return chain


def _inner(error: BaseException) -> BaseException | None:
    wrapped = getattr(error, "reason", None)
    candidates = (wrapped, *error.args, error.__cause__, error.__context__)
    return next((each for each in candidates if isinstance(each, BaseException)), None)
