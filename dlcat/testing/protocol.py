"""HTTP/1.1 as an honest server speaks it: a request read, ranges and If-Range decided, the head of an answer written."""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from dlcat.testing.content import Content
from dlcat.testing.records import Answer, Request, Resource, Slice

if TYPE_CHECKING:
    from collections.abc import Mapping


def parse(head: bytes, connection: int) -> Request:
    """The request in the bytes before its empty line.

    Raises:
        ValueError: this is no HTTP request.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    keep_alive = version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"
    return Request(
        method=method,
        path=key(urlsplit(target).path),
        target=target,
        headers=headers,
        number=0,
        connection=connection,
        keep_alive=keep_alive,
    )


def key(path: str) -> str:
    """The one name of a path: decoded, without the leading slash."""
    return unquote(path).lstrip("/")


def negotiate(request: Request, resource: Resource) -> Answer:
    """The honest answer for what is there: 200, 206 or 416, and 405 to who does not read it."""
    if request.method not in ("GET", "HEAD"):
        return said(405, headers={"Allow": "GET, HEAD"})
    content = resource.content
    asked = _asked(request, resource)
    if asked is None:
        return Answer(status=200, headers=_headers(resource), body=Slice(content, 0, content.size_bytes))
    start, stop = asked
    if start >= stop:
        return unsatisfiable(resource.content)
    headers = _headers(resource) | {"Content-Range": content_range(start, stop, content.size_bytes)}
    return Answer(status=206, headers=headers, body=Slice(content, start, stop))


def unsatisfiable(content: Content) -> Answer:
    """416, with the true size."""
    return said(416, headers={"Content-Range": f"bytes */{content.size_bytes}"})


def content_range(start: int, stop: int, total_bytes: int) -> str:
    """The value of Content-Range for the bytes from `start` up to and without `stop`."""
    return f"bytes {start}-{stop - 1}/{total_bytes}"


def said(
    code: int, body: bytes | None = None, *, content_type: str = "text/html", headers: Mapping[str, str] | None = None
) -> Answer:
    """An answer that is no file; without a body, a page with the status in words."""
    if body is None and code in (204, 304):  # these have none
        body = b""
    elif body is None:
        body = f"<!doctype html>\n<title>{code} {_phrase(code)}</title>\n".encode()
    return Answer(
        status=code,
        headers={"Content-Type": content_type, **(headers or {})},
        body=Slice(Content(body), 0, len(body)),
    )


def head(answer: Answer, *, keep_alive: bool) -> bytes:
    """The status line and the headers, with the empty line."""
    lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}", f"Date: {formatdate(usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if answer.framing == "length":
        lines.append(f"Content-Length: {max(0, answer.body.size_bytes + answer.lie_bytes)}")
    elif answer.framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
    if answer.framing == "close" or not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _headers(resource: Resource) -> dict[str, str]:
    headers = {"Content-Type": resource.content_type}
    if resource.serves_ranges:
        headers["Accept-Ranges"] = "bytes"
    if resource.etag is not None:
        headers["ETag"] = resource.etag
    if resource.last_modified is not None:
        headers["Last-Modified"] = resource.last_modified
    return headers


def _asked(request: Request, resource: Resource) -> tuple[int, int] | None:
    """Start and stop of the range that is to be served, empty where there are no such bytes; None: the whole file."""
    if request.method != "GET" or not resource.serves_ranges or not _is_current(request, resource):
        return None
    # Several ranges at once may be answered with the whole file (RFC 9110, 14.2), and are here.
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", request.range or "")
    if not found or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    size = resource.content.size_bytes
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size


def _is_current(request: Request, resource: Resource) -> bool:
    """Whether If-Range, where there is one, names what is there now; a weak ETag never does (RFC 9110, 13.1.5)."""
    condition = request.headers.get("if-range")
    if condition is None or not resource.heeds_if_range:
        return True
    return condition in (resource.etag, resource.last_modified) and not condition.startswith("W/")


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "Unknown"
